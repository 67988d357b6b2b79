"""Tests of the package, seconds each."""
