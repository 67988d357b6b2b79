"""Section 2.3: a model near its parameters is a linear model of its gradients."""

from __future__ import annotations

import torch
from cases import learning_rates, losses, normal, smooth_networks
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd.functional import jvp

from icl_claims.claims import IN_EVERY_CASE, Claim
from icl_claims.theory import linearization

TAYLOR_FIRST_ORDER = Claim(
    id="taylor-first-order",
    paper="rethinking",
    where="section 2.3, equation 5",
    statement="Near its pretrained parameters a model is its first-order expansion: linear in the change of the "
    "parameters, with an error that falls with the square of the change.",
    rule=IN_EVERY_CASE,
)
LINEAR_STEP_FEATURES = Claim(
    id="lin-step-features",
    paper="rethinking",
    where="section 2.3, below equation 5",
    statement="Finetuning the expansion differentiates the loss with respect to its outputs only: the gradients of the "
    "network at the pretrained parameters are features that stay as they are.",
    rule=IN_EVERY_CASE,
)
SMALL = 1e-4  # a change of parameters whose square is far above rounding and far below itself


@TAYLOR_FIRST_ORDER.decided_on("exact")
def test_a_model_near_its_parameters_is_its_first_order_expansion(evidence, decide):
    @given(smooth_networks())
    def slope_of_expansion_is_directional_derivative(net):
        model = linearization.linearize(net.function, net.start)
        value, slope = jvp(net.function, net.start, net.direction)
        evidence.equal(linearization.linear_output(model, torch.zeros_like(net.start)), value, "exact at no change")
        expansion = linearization.linear_output(model, net.direction)
        evidence.equal(expansion, value + slope, "f_lin(d) = f + derivative along d")
        central = (
            net.function(net.start + SMALL * net.direction) - net.function(net.start - SMALL * net.direction)
        ) / 2
        evidence.equal(expansion - value, central / SMALL, "f_lin(d) - f = central difference", within=1e-5)

    @given(smooth_networks())
    def error_is_half_the_second_derivative(net):
        model = linearization.linearize(net.function, net.start)
        curvature = second_derivative(net.function, net.start, net.direction)
        errors = [error_of_expansion(net, model, size * net.direction) for size in (SMALL, SMALL / 2)]
        evidence.equal(errors[0] / SMALL**2, curvature / 2, "error / |d|^2 = half the curvature", within=1e-2)
        evidence.equal(errors[0], 4 * errors[1], "half the change, a quarter of the error", within=1e-2)

    @given(smooth_networks(), st.floats(-3, 3))
    def expansion_is_affine_in_the_change(net, share):
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


@TAYLOR_FIRST_ORDER.needs("a small change")
def test_far_from_the_parameters_the_expansion_is_another_function(evidence, decide):
    @given(smooth_networks())
    def expansion_leaves_the_model(net):
        model = linearization.linearize(net.function, net.start)
        far = 3.0 * net.direction
        evidence.different(
            net.function(net.start + far), linearization.linear_output(model, far), "a far change", by=1e-3
        )

    decide(evidence.every(expansion_leaves_the_model))


@TAYLOR_FIRST_ORDER.needs("a smooth model")
def test_at_a_kink_the_error_falls_only_as_fast_as_the_change(evidence, decide):
    @given(st.integers(1, 6), st.integers(0, 2**16), st.sampled_from([1.0, 1e-2, 1e-4]))
    def half_the_change_half_the_error(size, seed, scale):
        change, kink = scale * normal(seed, size), torch.zeros(size, dtype=torch.float64)
        model = linearization.linearize(torch.abs, kink)
        errors = [torch.abs(step) - linearization.linear_output(model, step) for step in (change, change / 2)]
        evidence.equal(errors[0], 2 * errors[1], "at a kink, half the change gives half the error")
        evidence.different(errors[0], 4 * errors[1], "not a quarter", by=0.1)

    decide(evidence.every(half_the_change_half_the_error))


@LINEAR_STEP_FEATURES.decided_on("exact")
def test_finetuning_the_expansion_only_needs_the_slope_of_the_loss(evidence, decide):
    @given(smooth_networks(), losses(), learning_rates())
    def steps_on_coefficients_are_descent_on_the_expansion(net, loss, learning_rate):
        model = linearization.linearize(net.function, net.start)
        by_features, by_descent = torch.zeros_like(net.start), torch.zeros_like(net.start)
        for _ in range(3):
            by_features = linearization.coefficient_step(model, by_features, loss, learning_rate)
            by_descent = descend(by_descent, lambda change: expanded_loss(net, loss, change), learning_rate)
        evidence.equal(by_features, by_descent, "three steps with constant features = descent on L(f_lin)", within=1e-7)

    @given(smooth_networks(), losses(), learning_rates())
    def first_step_is_that_of_finetuning(net, loss, learning_rate):
        model = linearization.linearize(net.function, net.start)
        of_expansion = linearization.coefficient_step(model, torch.zeros_like(net.start), loss, learning_rate)
        of_model = descend(net.start, lambda theta: loss(net.function(theta)), learning_rate) - net.start
        evidence.equal(of_expansion, of_model, "first step of linear finetuning = first step of finetuning")

    decide(evidence.every(steps_on_coefficients_are_descent_on_the_expansion, first_step_is_that_of_finetuning))


@LINEAR_STEP_FEATURES.needs("descent on the expansion")
def test_after_the_first_step_the_features_of_the_model_itself_have_changed(evidence, decide):
    @given(smooth_networks(), losses())
    def second_step_of_finetuning_differs(net, loss):
        model = linearization.linearize(net.function, net.start)
        of_expansion, theta = torch.zeros_like(net.start), net.start
        for _ in range(2):
            of_expansion = linearization.coefficient_step(model, of_expansion, loss, 0.1)
            theta = descend(theta, lambda parameters: loss(net.function(parameters)), 0.1)
        evidence.different(of_expansion, theta - net.start, "two steps of finetuning leave the expansion")

    decide(evidence.every(second_step_of_finetuning_differs))


def second_derivative(function, at, direction):
    """Along a direction, by central differences."""
    step = 1e-3 * direction
    return (function(at + step) - 2 * function(at) + function(at - step)) / 1e-6


def error_of_expansion(net, model, change):
    """f(theta_0 + d) - f_lin(d)."""
    return net.function(net.start + change) - linearization.linear_output(model, change)


def expanded_loss(net, loss, change):
    """L(f_lin(d)), differentiable in d, from the derivative along d: no features are ever formed."""
    value, slope = jvp(net.function, net.start, change, create_graph=True)
    return loss(value + slope)


def descend(at, loss, learning_rate):
    """A step of gradient descent."""
    leaf = at.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    return at - learning_rate * gradient
