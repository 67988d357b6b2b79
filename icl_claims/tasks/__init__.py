"""What is asked: classification tasks, their examples, and the prompts made of them."""
