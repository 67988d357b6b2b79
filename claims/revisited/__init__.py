"""Claims of Understanding In-Context Learning in Large Language Models as Gradient Descent Revisited."""
