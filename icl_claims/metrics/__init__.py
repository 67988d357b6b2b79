"""How alike two ways of learning are: pure functions of activations and of predictions."""
