"""The mathematics behind the claims: pure functions of tensors, in float64."""
