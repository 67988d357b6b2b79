"""Whether the suite does on a GPU what it does on a CPU, and how fast: with random weights, nothing to download."""
