"""The dual forms on cases that can be worked out by hand."""

from __future__ import annotations

import torch

from icl_claims.theory.dual_form import (
    Head,
    attention_form,
    dual_form,
    error_signals,
    in_context_update,
    linear_attention,
    linear_head,
    softmax_head,
    weight_change,
)

ONE_BY_TWO = torch.tensor([[1.0, 2.0]], dtype=torch.float64)


def half_square(outputs):
    return outputs.square().sum() / 2


def test_the_error_signal_of_a_square_is_the_negative_output():
    inputs = torch.tensor([[3.0, 1.0]], dtype=torch.float64)
    assert error_signals(ONE_BY_TWO, inputs, half_square, 0.1).item() == -0.5


def test_weight_change_of_one_example_is_one_outer_product():
    change = weight_change(torch.tensor([[2.0]]), torch.tensor([[3.0, 1.0]]))
    assert change.tolist() == [[6.0, 2.0]]


def test_no_examples_change_nothing():
    nothing = torch.zeros(0, 2, dtype=torch.float64)
    errors = error_signals(ONE_BY_TWO, nothing, half_square, 0.1)
    assert weight_change(errors, nothing).tolist() == [[0.0, 0.0]]


def test_linear_attention_weighs_values_by_key_query_products():
    values, keys = torch.tensor([[1.0], [10.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert linear_attention(values, keys, torch.tensor([2.0, 3.0])).tolist() == [32.0]


def test_attention_form_adds_to_the_initial_layer():
    one = torch.ones(1, 1)
    assert attention_form(2 * one, one, one, torch.tensor([5.0])).tolist() == [15.0]


def test_a_demonstration_adds_the_product_of_its_value_and_key():
    head = Head(torch.tensor([[2.0]]), torch.tensor([[3.0]]))
    assert in_context_update(head, torch.tensor([[1.0], [10.0]])).item() == 606.0
    assert dual_form(head, torch.tensor([[10.0]]), torch.tensor([[1.0]]), torch.tensor([1.0])).item() == 606.0
    assert linear_head(head, torch.tensor([[1.0], [10.0]]), torch.tensor([1.0])).item() == 606.0


def test_softmax_head_over_one_token_gives_its_value():
    head = Head(torch.tensor([[2.0]]), torch.tensor([[3.0]]))
    assert softmax_head(head, torch.tensor([[5.0]]), torch.tensor([7.0])).item() == 10.0
