"""The claims: a folder for each paper, a file for each section, a test for each sentence."""
