"""Runs of pytest inside of tests; a conftest further down may not ask for that plugin."""

pytest_plugins = ["pytester"]
