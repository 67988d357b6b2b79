"""Claims of Rethinking In-Context Learning in Large Language Models as Gradient Descent."""
