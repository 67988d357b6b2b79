"""What is asked: six classification tasks, their examples, and the prompts made of them."""
