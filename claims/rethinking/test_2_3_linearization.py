"""Section 2.3: a model near its parameters is a linear model of its gradients."""

from __future__ import annotations

import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd.functional import jvp

from icl_claims.claims import IN_EVERY_CASE, Decide, rethinking
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import linearization
from icl_claims.theory.linearization import Function, LinearModel

from ..cases import Loss, Network, learning_rates, losses, normal, smooth_networks

SMALL = 1e-4  # a change of parameters whose square is far above rounding and far below itself
CURVED = 1e-2  # a second derivative that is far above what a small change has of the third


@rethinking.claim("taylor-first-order", where="section 2.3, equation 5", rule=IN_EVERY_CASE, on="exact")
def test_near_its_parameters_a_model_is_its_expansion(evidence: ExactEvidence, decide: Decide) -> None:
    """Near its pretrained parameters a model is its first-order expansion: linear in the change of the parameters, with
    an error that falls with the square of the change, along any direction in which the model curves.
    """

    @given(smooth_networks())
    def slope_of_expansion_is_directional_derivative(net: Network) -> None:
        model = linearization.linearize(net.function, net.start)
        value, slope = jvp(net.function, net.start, net.direction)
        evidence.equal(linearization.linear_output(model, torch.zeros_like(net.start)), value, "exact at no change")
        expansion = linearization.linear_output(model, net.direction)
        evidence.equal(expansion, value + slope, "f_lin(d) = f + derivative along d")
        central = (
            net.function(net.start + SMALL * net.direction) - net.function(net.start - SMALL * net.direction)
        ) / 2
        evidence.equal(expansion, value + central / SMALL, "f_lin(d) - f = central difference", within=1e-5)

    @given(smooth_networks())
    def error_is_half_the_second_derivative(net: Network) -> None:
        model = linearization.linearize(net.function, net.start)
        curvature = second_derivative(net.function, net.start, net.direction)
        assume(curvature.abs().max() > CURVED)
        whole, half = (error_of_expansion(net, model, size * net.direction) / SMALL**2 for size in (SMALL, SMALL / 2))
        evidence.equal(whole, 4 * half, "half the change, a quarter of the error", within=0.1)
        # What is left of third order in the error of a change is twice that in four times the error of its half.
        evidence.equal(8 * half - whole, curvature / 2, "error / |d|^2 = half the curvature", within=1e-3)

    @given(smooth_networks(), st.floats(-3, 3))
    def expansion_is_affine_in_the_change(net: Network, share: float) -> None:
        model = linearization.linearize(net.function, net.start)
        mixed = linearization.linear_output(model, share * net.direction + (1 - share) * net.other_direction)
        ends = [linearization.linear_output(model, d) for d in (net.direction, net.other_direction)]
        evidence.equal(mixed, share * ends[0] + (1 - share) * ends[1], "f_lin is affine in the change")

    decide(
        evidence.every(
            slope_of_expansion_is_directional_derivative,
            error_is_half_the_second_derivative,
            expansion_is_affine_in_the_change,
        )
    )


@test_near_its_parameters_a_model_is_its_expansion.claim.needs("a small change")
def test_far_from_the_parameters_the_expansion_differs(evidence: ExactEvidence, decide: Decide) -> None:
    """Far from its parameters the model leaves its expansion."""

    @given(smooth_networks())
    def expansion_leaves_the_model(net: Network) -> None:
        model = linearization.linearize(net.function, net.start)
        far = 3.0 * net.direction
        evidence.different(
            net.function(net.start + far), linearization.linear_output(model, far), "a far change", by=1e-3
        )

    decide(evidence.every(expansion_leaves_the_model))


@test_near_its_parameters_a_model_is_its_expansion.claim.needs("a smooth model")
def test_at_a_kink_the_error_falls_only_as_fast_as_the_change(evidence: ExactEvidence, decide: Decide) -> None:
    """At a kink half the change gives half the error, not a quarter."""

    @given(st.integers(1, 6), st.integers(0, 2**16), st.sampled_from([1.0, 1e-2, 1e-4]))
    def half_the_change_half_the_error(size: int, seed: int, scale: float) -> None:
        change, kink = scale * normal(seed, size), torch.zeros(size, dtype=torch.float64)
        model = linearization.linearize(torch.abs, kink)
        errors = [torch.abs(step) - linearization.linear_output(model, step) for step in (change, change / 2)]
        evidence.equal(errors[0], 2 * errors[1], "at a kink, half the change gives half the error")
        evidence.different(errors[0], 4 * errors[1], "not a quarter", by=0.1)

    decide(evidence.every(half_the_change_half_the_error))


@rethinking.claim("lin-step-features", where="section 2.3, below equation 5", rule=IN_EVERY_CASE, on="exact")
def test_finetuning_the_expansion_needs_the_loss_slope_only(evidence: ExactEvidence, decide: Decide) -> None:
    """Finetuning the expansion differentiates the loss with respect to its outputs only: the gradients of the network
    at the pretrained parameters are features that stay as they are.
    """

    @given(smooth_networks(), losses(), learning_rates())
    def steps_on_coefficients_are_descent_on_the_expansion(net: Network, loss: Loss, learning_rate: float) -> None:
        model = linearization.linearize(net.function, net.start)
        by_features, by_descent = torch.zeros_like(net.start), torch.zeros_like(net.start)
        for _ in range(3):
            by_features = linearization.coefficient_step(model, by_features, loss, learning_rate)
            by_descent = descend(by_descent, lambda change: expanded_loss(net, loss, change), learning_rate)
        evidence.equal(by_features, by_descent, "three steps with constant features = descent on L(f_lin)", within=1e-7)

    @given(smooth_networks(), losses(), learning_rates())
    def first_step_is_that_of_finetuning(net: Network, loss: Loss, learning_rate: float) -> None:
        model = linearization.linearize(net.function, net.start)
        of_expansion = linearization.coefficient_step(model, torch.zeros_like(net.start), loss, learning_rate)
        of_model = descend(net.start, lambda theta: loss(net.function(theta)), learning_rate) - net.start
        evidence.equal(of_expansion, of_model, "first step of linear finetuning = first step of finetuning")

    decide(evidence.every(steps_on_coefficients_are_descent_on_the_expansion, first_step_is_that_of_finetuning))


@test_finetuning_the_expansion_needs_the_loss_slope_only.claim.needs("descent on the expansion")
def test_after_the_first_step_the_models_features_have_changed(evidence: ExactEvidence, decide: Decide) -> None:
    """From the second step on, finetuning the model itself parts from its expansion."""

    @given(smooth_networks(), losses())
    def second_step_of_finetuning_differs(net: Network, loss: Loss) -> None:
        model = linearization.linearize(net.function, net.start)
        of_expansion, theta = torch.zeros_like(net.start), net.start
        for _ in range(2):
            of_expansion = linearization.coefficient_step(model, of_expansion, loss, 0.1)
            theta = descend(theta, lambda parameters: loss(net.function(parameters)), 0.1)
        evidence.different(of_expansion, theta - net.start, "two steps of finetuning leave the expansion")

    decide(evidence.every(second_step_of_finetuning_differs))


def second_derivative(function: Function, at: Tensor, direction: Tensor) -> Tensor:
    """Along a direction, by differentiating twice."""
    curvature: Tensor = jvp(lambda point: jvp(function, point, direction, create_graph=True)[1], at, direction)[1]
    return curvature


def error_of_expansion(net: Network, model: LinearModel, change: Tensor) -> Tensor:
    """f(theta_0 + d) - f_lin(d)."""
    return net.function(net.start + change) - linearization.linear_output(model, change)


def expanded_loss(net: Network, loss: Loss, change: Tensor) -> Tensor:
    """L(f_lin(d)), differentiable in d, from the derivative along d: no features are ever formed."""
    value, slope = jvp(net.function, net.start, change, create_graph=True)
    return loss(value + slope)


def descend(at: Tensor, loss: Function, learning_rate: float) -> Tensor:
    """A step of gradient descent."""
    leaf = at.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    return at - learning_rate * gradient
