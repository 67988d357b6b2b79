"""Tests of the power of the suite itself."""
