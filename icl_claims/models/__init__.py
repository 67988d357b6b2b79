"""What is asked: causal language models, all run through one attention function of ours."""
