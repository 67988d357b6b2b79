"""Tests by purpose and cost: fast, slow, and the quality of the suite itself."""
