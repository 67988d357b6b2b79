"""Tests that run whole programs."""
