"""Negative controls of the claims about attention by kernels and by a softmax: Cheng, Ramsauer, Zhang and Cao, Ren."""

from __future__ import annotations

import pytest
import torch

from icl_claims.theory import hopfield_energy, kernel_attention, softmax_dual
from tests.quality.controls import Control, verdict_under

KERNEL = "icl_claims.theory.kernel_attention"
ENERGY = "icl_claims.theory.hopfield_energy"
DESCENT = "icl_claims.theory.normalised_descent"
DUAL = "icl_claims.theory.softmax_dual"

attend, stack = kernel_attention.attend, kernel_attention.stack
energy, posted_energy, features = (
    hopfield_energy.energy,
    hopfield_energy.posted_energy,
    softmax_dual.exponential_features,
)


def normalised_scores(kernel, inputs, targets, queries, answers, rate):
    def shares(left, right):
        scores = kernel(left, right)
        return scores / scores.sum(1, keepdim=True)

    return attend(shares, inputs, targets, queries, answers, rate)


def targets_left_as_they_were(kernel, inputs, targets, queries, answers, rate):
    return targets, attend(kernel, inputs, targets, queries, answers, rate)[1]


def answers_after_the_targets(kernel, inputs, targets, queries, answers, rate):
    targets, _ = attend(kernel, inputs, targets, queries, answers, rate)
    return targets, attend(kernel, inputs, targets, queries, answers, rate)[1]


def one_layer_too_few(kernel, inputs, targets, queries, rates):
    return stack(kernel, inputs, targets, queries, rates[1:])


def mean_with_noise(kernel, inputs, targets, queries):
    spread = kernel(inputs, inputs) + torch.eye(len(inputs)).to(inputs)
    return kernel(queries, inputs) @ torch.linalg.solve(spread, targets)


def shared_part_counted_once(process, kernel, inputs, query):
    weights = torch.linalg.solve(kernel(inputs, inputs), kernel(inputs, query))[:, 0]
    return process(query, query)[0, 0] - weights @ process(inputs, query)[:, 0]


def error_of_targets_of_the_kernel(process, kernel, inputs, query):
    weights = torch.linalg.solve(kernel(inputs, inputs), kernel(inputs, query))[:, 0]
    return process(query, query)[0, 0] - weights @ kernel(inputs, query)[:, 0]


def without_the_square(patterns, state, beta):
    return energy(patterns, state, beta) - state @ state / 2


def without_beta(patterns, state, beta):
    return (patterns @ state).softmax(dim=0) @ patterns


def beta_only_inside(patterns, state, beta):
    return beta * posted_energy(patterns, state, beta)


def values_without_labels(weights, inputs, labels, rate):
    return weights + rate * ((-labels * (inputs @ weights)).softmax(0) @ inputs)


def keys_without_labels(weights, inputs, labels, rate):
    return weights + rate * ((-inputs @ weights).softmax(0) @ (labels[:, None] * inputs))


def without_denominator(weights, inputs, labels, rate):
    return weights + rate * ((-labels * (inputs @ weights)).exp() @ (labels[:, None] * inputs))


def features_of_the_linear_kernel(points, degree):
    return points


def features_of_low_degree(points, degree):
    return features(points, 2)


CONTROLS = [
    Control("functional-gd", "scores normalised over demonstrations", {f"{KERNEL}.attend": normalised_scores}),
    Control("functional-gd", "targets left as they were", {f"{KERNEL}.attend": targets_left_as_they_were}),
    Control("functional-gd", "answers read targets after the layer", {f"{KERNEL}.attend": answers_after_the_targets}),
    Control("kernel-layers-converge", "the limit with noise", {f"{KERNEL}.process_mean": mean_with_noise}),
    Control("kernel-layers-converge", "one layer too few", {f"{KERNEL}.stack": one_layer_too_few}),
    Control("kernel-layers-converge", "targets left as they were", {f"{KERNEL}.attend": targets_left_as_they_were}),
    Control(
        "matching-kernel-is-best",
        "what query and demonstrations share counted once",
        {f"{KERNEL}.expected_error": shared_part_counted_once},
    ),
    Control(
        "matching-kernel-is-best",
        "the error that a kernel would have on targets of its own",
        {f"{KERNEL}.expected_error": error_of_targets_of_the_kernel},
    ),
    Control("hopfield-step", "|s|^2 / 2 missing", {f"{ENERGY}.energy": without_the_square}),
    Control("hopfield-step", "scores without beta", {f"{ENERGY}.retrieve": without_beta}),
    Control("hopfield-step", "the sign of beta as posted", {f"{ENERGY}.energy": posted_energy}),
    Control("hopfield-energy-posted", "the energy times beta", {f"{ENERGY}.posted_energy": beta_only_inside}),
    Control("softmax-normalised-descent", "values without labels", {f"{DESCENT}.step": values_without_labels}),
    Control("softmax-normalised-descent", "keys without labels", {f"{DESCENT}.step": keys_without_labels}),
    Control("softmax-normalised-descent", "no denominator", {f"{DESCENT}.step": without_denominator}),
    Control(
        "softmax-dual-model",
        "features of the linear kernel",
        {f"{DUAL}.exponential_features": features_of_the_linear_kernel},
    ),
    Control("softmax-dual-model", "features up to degree 2", {f"{DUAL}.exponential_features": features_of_low_degree}),
    Control(
        "softmax-dual-model",
        "no denominator in the loss",
        {f"{DUAL}.denominator": lambda keys, query: torch.ones(()).to(keys)},
    ),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_refutes_its_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == "refuted"


def test_nothing_but_the_sign_refutes_the_posted_energy(monkeypatch):
    corrected = Control("hopfield-energy-posted", "the sign put right", {f"{ENERGY}.posted_energy": energy})
    assert verdict_under(corrected, monkeypatch).word == "supported"
