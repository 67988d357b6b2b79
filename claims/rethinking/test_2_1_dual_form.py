"""Section 2.1: a linear layer that took a step of gradient descent is the layer before, plus linear attention."""

from __future__ import annotations

import torch
from hypothesis import given
from torch import nn

from icl_claims.claims import IN_EVERY_CASE, Decide, rethinking
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import dual_form

from ..cases import Layer, Loss, learning_rates, linear_layers, losses, step_by_autograd


@rethinking.claim("dual-delta-w", where="section 2.1, equation 1", rule=IN_EVERY_CASE, on="exact")
def test_a_gradient_step_is_a_sum_of_outer_products(evidence: ExactEvidence, decide: Decide) -> None:
    """A step of gradient descent changes a linear layer by a sum of outer products: the error signal of each training
    example with the example itself.
    """

    @given(linear_layers(), losses(), learning_rates())
    def change_of_sgd_is_outer_products(layer: Layer, loss: Loss, learning_rate: float) -> None:
        by_sgd = step_by_autograd(layer.weight, layer.inputs, loss, learning_rate) - layer.weight
        errors = dual_form.error_signals(layer.weight, layer.inputs, loss, learning_rate)
        by_outer_products = dual_form.weight_change(errors, layer.inputs)
        evidence.equal(by_sgd, by_outer_products, "step of SGD = sum of e_i x_i^T")

    @given(linear_layers(), learning_rates())
    def squared_error_gives_the_residuals(layer: Layer, learning_rate: float) -> None:
        errors = dual_form.error_signals(layer.weight, layer.inputs, lambda out: out.square().sum() / 2, learning_rate)
        residuals = [-learning_rate * layer.weight @ x for x in layer.inputs]
        evidence.equal(errors, torch.stack(residuals) if residuals else errors[:0], "e_i = -eta (W x_i - 0)")

    decide(evidence.every(change_of_sgd_is_outer_products, squared_error_gives_the_residuals))


@test_a_gradient_step_is_a_sum_of_outer_products.claim.needs("a layer without bias")
def test_with_a_bias_the_outer_products_are_not_the_whole_change(evidence: ExactEvidence, decide: Decide) -> None:
    """With a bias the outer products miss the sum of the error signals."""

    @given(linear_layers(least_examples=1, least_size=2), losses(), learning_rates())
    def the_bias_moves_by_the_sum_of_error_signals(layer: Layer, loss: Loss, learning_rate: float) -> None:
        linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[0], dtype=torch.float64)
        linear.load_state_dict({"weight": layer.weight, "bias": layer.weight[:, 0]})
        before = linear(layer.query).detach()
        gradients = torch.autograd.grad(loss(linear(layer.inputs)), list(linear.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(linear.parameters(), gradients, strict=True):
                parameter.sub_(learning_rate * gradient)
        after = linear(layer.query).detach()
        bias_first = torch.cat([layer.weight[:, :1], layer.weight], dim=1)
        ones_first = nn.functional.pad(layer.inputs, (1, 0), value=1.0)
        errors = dual_form.error_signals(bias_first, ones_first, loss, learning_rate)
        by_weights = dual_form.weight_change(errors, layer.inputs) @ layer.query
        evidence.different(after - before, by_weights, "the outer products leave out the step of the bias")
        whole = before + by_weights + errors.sum(0)
        evidence.equal(after, whole, "what they leave out is the sum of the error signals")

    decide(evidence.every(the_bias_moves_by_the_sum_of_error_signals))


@rethinking.claim("dual-linear-attn", where="section 2.1, equation 2", rule=IN_EVERY_CASE, on="exact")
def test_a_layer_after_a_step_attends_to_its_training_examples(evidence: ExactEvidence, decide: Decide) -> None:
    """A linear layer after a step of gradient descent is the layer before it plus linear attention to the training
    examples, with their error signals as values.
    """

    @given(linear_layers(), losses(), learning_rates())
    def trained_layer_is_initial_layer_plus_attention(layer: Layer, loss: Loss, learning_rate: float) -> None:
        trained = step_by_autograd(layer.weight, layer.inputs, loss, learning_rate)
        errors = dual_form.error_signals(layer.weight, layer.inputs, loss, learning_rate)
        by_attention = dual_form.attention_form(layer.weight, errors, layer.inputs, layer.query)
        evidence.equal(trained @ layer.query, by_attention, "(W0 + dW) x = W0 x + LinearAttn(E, X, x)")

    decide(evidence.every(trained_layer_is_initial_layer_plus_attention))


@test_a_layer_after_a_step_attends_to_its_training_examples.claim.needs("error signals as values and examples as keys")
def test_with_values_and_keys_exchanged_attention_differs(evidence: ExactEvidence, decide: Decide) -> None:
    """Attention with examples as values and error signals as keys is another function."""

    @given(linear_layers(least_examples=1, least_size=2), losses(), learning_rates())
    def exchanged_roles_differ(layer: Layer, loss: Loss, learning_rate: float) -> None:
        square = layer.weight @ layer.weight.T
        inputs, query = layer.inputs @ layer.weight.T, layer.weight @ layer.query
        change = step_by_autograd(square, inputs, loss, learning_rate) - square
        errors = dual_form.error_signals(square, inputs, loss, learning_rate)
        exchanged = dual_form.linear_attention(inputs, errors, query)
        evidence.different(change @ query, exchanged, "LinearAttn(X, E, x) is not what the step adds")

    decide(evidence.every(exchanged_roles_differ))
