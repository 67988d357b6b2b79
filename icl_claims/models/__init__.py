"""Causal language models, all run through one attention function of ours."""
