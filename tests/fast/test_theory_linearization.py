"""The expansion of functions whose derivatives are known."""

from __future__ import annotations

import torch

from icl_claims.theory.linearization import coefficient_step, linear_output, linearize

AT = torch.tensor([3.0, 2.0], dtype=torch.float64)


def product_and_square(parameters):
    return torch.stack([parameters[0] * parameters[1], parameters[0] ** 2])


def test_features_are_the_gradients():
    model = linearize(product_and_square, AT)
    assert model.value.tolist() == [6.0, 9.0]
    assert model.features.tolist() == [[2.0, 3.0], [6.0, 0.0]]


def test_expansion_adds_features_times_change():
    model = linearize(product_and_square, AT)
    assert linear_output(model, torch.tensor([1.0, 10.0], dtype=torch.float64)).tolist() == [38.0, 15.0]


def test_expansion_of_a_linear_function_is_the_function():
    matrix = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    model = linearize(lambda parameters: matrix @ parameters, AT)
    change = torch.tensor([5.0, 7.0], dtype=torch.float64)
    assert torch.equal(linear_output(model, change), matrix @ (AT + change))


def test_step_goes_against_slope_times_features():
    model = linearize(product_and_square, AT)
    step = coefficient_step(model, torch.zeros_like(AT), lambda outputs: outputs[0], 0.5)
    assert step.tolist() == [-1.0, -1.5]
