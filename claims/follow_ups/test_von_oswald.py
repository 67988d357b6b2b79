"""Von Oswald et al. 2023: linear self-attention that is gradient descent, by construction and after training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import IN_EVERY_CASE, CaseRule, Comparison, Decide, Finding, Verdict, Word, von_oswald
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import in_context_regression as regression
from icl_claims.theory import linear_self_attention as attention

from ..cases import learning_rates
from ..over_seeds import over_seeds
from .strategies import Attention, Regression, Spectrum, attention_layers, regressions, spectra


@von_oswald.claim("construction", where="section 2, proposition 1", rule=IN_EVERY_CASE, on="exact")
def test_a_query_is_answered_by_the_stepped_model(evidence: ExactEvidence, decide: Decide) -> None:
    """With W_K = W_Q = [[I, 0], [0, 0]], W_V = [[0, 0], [W0, -I]] and P = (eta/N) I, a layer of linear self-attention
    answers a query as the linear model does after a gradient step from W0, and leaves its demonstrations with the loss
    of that model.
    """

    @given(regressions())
    def answer_and_loss_are_those_after_the_step(case: Regression) -> None:
        inputs = case.inputs.shape[1]
        layer = attention.construct(case.weights, case.rate, len(case.inputs))
        demonstrations = attention.demonstration_tokens(case.inputs, case.targets)
        stepped = case.stepped([case.rate])
        query = attention.query_tokens(case.weights, case.queries)
        answers = attention.answers(attention.attend_linearly(layer, demonstrations, query), inputs)
        evidence.equal(answers, case.queries @ stepped.T, "the answer to a query")
        targets = attention.attend_linearly(layer, demonstrations, demonstrations)[:, inputs:]
        residuals = case.inputs @ case.weights.T - targets
        evidence.equal(residuals, case.inputs @ stepped.T - case.targets, "the residuals of the demonstrations")

    decide(evidence.every(answer_and_loss_are_those_after_the_step))


@von_oswald.claim("layers-are-steps", where="section 3, several layers", rule=IN_EVERY_CASE, on="exact")
def test_layers_are_steps(evidence: ExactEvidence, decide: Decide) -> None:
    """As many such layers, one after the other, are as many steps of gradient descent."""

    @given(regressions(), st.lists(learning_rates(), max_size=5))
    def stack_equals_descent(case: Regression, rates: list[float]) -> None:
        layers = [attention.construct(case.weights, rate, len(case.inputs)) for rate in rates]
        demonstrations = attention.demonstration_tokens(case.inputs, case.targets)
        queries = attention.query_tokens(case.weights, case.queries)
        answers = attention.answers(attention.stack(layers, demonstrations, queries), case.inputs.shape[1])
        evidence.equal(answers, case.queries @ case.stepped(rates).T, f"answers after {len(rates)} layers")

    decide(evidence.every(stack_equals_descent))


@test_layers_are_steps.claim.needs("demonstrations that every layer updates as it does the query")
def test_over_unchanged_demonstrations_the_first_step_repeats(evidence: ExactEvidence, decide: Decide) -> None:
    """Layers that leave the demonstrations as they are take the first step again and again."""

    @given(regressions(least_demonstrations=1), st.integers(2, 4))
    def the_same_step_again(case: Regression, layers: int) -> None:
        layer = attention.construct(case.weights, case.rate, len(case.inputs))
        demonstrations = attention.demonstration_tokens(case.inputs, case.targets)
        start = tokens = attention.query_tokens(case.weights, case.queries)
        for _ in range(layers):
            tokens = attention.attend_linearly(layer, demonstrations, tokens)
        before, after = (attention.answers(each, case.inputs.shape[1]) for each in (start, tokens))
        first = case.queries @ (case.stepped([case.rate]) - case.weights).T
        evidence.equal(after, before + layers * first, "as many times the first step")
        descent = case.queries @ (case.stepped([case.rate] * layers) - case.weights).T
        evidence.different(after - before, descent, "not as many steps")

    decide(evidence.every(the_same_step_again))


@von_oswald.claim(
    "gd-plus-plus", where="section 3, GD++, and the appendix on curvature correction", rule=IN_EVERY_CASE, on="exact"
)
def test_a_layer_takes_the_step_and_corrects_the_curvature(evidence: ExactEvidence, decide: Decide) -> None:
    """A layer can at once take the step and correct the inputs by x <- (I - gamma X X^T) x, which maps each eigenvalue
    l of X X^T to l - 2 gamma l^2 + gamma^2 l^3 and, for gamma in a window, lowers the condition number.
    """

    @given(regressions(), learning_rates())
    def tokens_take_both(case: Regression, curvature: float) -> None:
        layer = attention.construct_plus_plus(case.weights, case.rate, curvature, len(case.inputs))
        demonstrations = attention.demonstration_tokens(case.inputs, case.targets)
        inputs = case.inputs.clone()
        for x in case.inputs:
            inputs -= curvature * torch.outer(case.inputs @ x, x)
        targets = case.targets - case.inputs @ (case.stepped([case.rate]) - case.weights).T
        expected = torch.cat([inputs, targets], dim=1)
        evidence.equal(attention.attend_linearly(layer, demonstrations, demonstrations), expected, "tokens after GD++")

    @given(spectra(), st.floats(0.01, 0.99))
    def spectrum_is_mapped_and_narrowed(case: Spectrum, part: float) -> None:
        spectrum = case.eigenvalues
        curvature = part * attention.curvature_window(float(spectrum[0]), float(spectrum[-1]))
        after = corrected(case, curvature)
        mapped = attention.corrected_spectrum(spectrum, curvature)
        evidence.equal(after, mapped.sort().values, "eigenvalues after the correction")
        evidence.check(bool(after[-1] / after[0] < spectrum[-1] / spectrum[0]), "the condition number falls")

    decide(evidence.every(tokens_take_both, spectrum_is_mapped_and_narrowed))


@test_a_layer_takes_the_step_and_corrects_the_curvature.claim.needs(
    "gamma within a window that depends on the two ends of the spectrum"
)
def test_outside_the_window_the_condition_number_rises(evidence: ExactEvidence, decide: Decide) -> None:
    """Beyond the window, some spectrum with the same ends gets a higher condition number."""

    @given(spectra(), st.floats(1.01, 1.2))
    def some_spectrum_with_these_ends_gets_worse(case: Spectrum, part: float) -> None:
        smallest, largest = float(case.eigenvalues[0]), float(case.eigenvalues[-1])
        curvature = part * attention.curvature_window(smallest, largest)
        # The correction maps l to l (1 - gamma l)^2: highest at 1/(3 gamma), and 0 at 1/gamma.
        highest, lowest = (min(max(at, smallest), largest) for at in (1 / (3 * curvature), 1 / curvature))
        worst = torch.tensor([smallest, highest, lowest, largest], dtype=torch.float64)
        after = corrected(Spectrum(worst, case.seed), curvature)
        evidence.check(bool(after[-1] * smallest > after[0] * largest), "the condition number rises")

    decide(evidence.every(some_spectrum_with_these_ends_gets_worse))


def corrected(case: Spectrum, curvature: float) -> torch.Tensor:
    """Eigenvalues of X X^T after a layer of GD++ that takes no step, smallest first."""
    inputs = case.inputs()
    nothing = torch.zeros(1, inputs.shape[1], dtype=torch.float64)
    layer = attention.construct_plus_plus(nothing, 0.0, curvature, len(inputs))
    tokens = attention.demonstration_tokens(inputs, torch.zeros(len(inputs), 1, dtype=torch.float64))
    after = attention.attend_linearly(layer, tokens, tokens)[:, :-1]
    eigenvalues: torch.Tensor = torch.linalg.eigvalsh(after.T @ after)
    return eigenvalues


@von_oswald.claim("only-products-matter", where="section 3, comparing weights", rule=IN_EVERY_CASE, on="exact")
def test_layers_with_the_same_products_do_the_same(evidence: ExactEvidence, decide: Decide) -> None:
    """What a layer of linear self-attention does depends on P W_V and W_K^T W_Q only, and not on a factor that one of
    the two gives to the other.
    """

    @given(attention_layers(), learning_rates())
    def a_layer_rewritten(case: Attention, factor: float) -> None:
        (layer,), (one, other) = case.layers, case.changes
        expected = token_by_token(layer, case.demonstrations, case.queries)
        values, scores = attention.products(layer)
        rewritten = attention.LinearSelfAttention(
            key=other @ layer.key,
            query=torch.linalg.inv(other).T @ layer.query,
            value=one @ layer.value,
            projection=layer.projection @ torch.linalg.inv(one),
        )
        for same, what in (
            (layer, "the layer"),
            (attention.from_products(values, scores), "its two products"),
            (rewritten, "invertible matrices between P and W_V, and between W_K and W_Q"),
            (attention.from_products(values * factor, scores / factor), "a factor from one product to the other"),
        ):
            evidence.equal(attention.attend_linearly(same, case.demonstrations, case.queries), expected, what)

    decide(evidence.every(a_layer_rewritten))


@test_layers_with_the_same_products_do_the_same.claim.needs(
    "no softmax, for a factor to go from one product to the other"
)
def test_with_a_softmax_the_scale_of_the_scores_matters(evidence: ExactEvidence, decide: Decide) -> None:
    """With a softmax a factor moved from one product to the other changes the layer."""

    @given(attention_layers(), st.sampled_from([0.1, 0.5, 2.0, 10.0]))
    def a_factor_changes_the_layer(case: Attention, factor: float) -> None:
        values, scores = attention.products(case.layers[0])

        def softmax(values: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            weights = (case.queries @ scores.T @ case.demonstrations.T).softmax(dim=-1)
            return weights @ case.demonstrations @ values.T

        evidence.different(softmax(values * factor, scores / factor), softmax(values, scores), "softmax attention")

    decide(evidence.every(a_factor_changes_the_layer))


def token_by_token(
    layer: attention.LinearSelfAttention, demonstrations: torch.Tensor, tokens: torch.Tensor
) -> torch.Tensor:
    """A layer's output by loops over queries and keys."""
    changed = []
    for token in tokens:
        change = torch.zeros_like(token)
        for demonstration in demonstrations:
            score = (layer.key @ demonstration) @ (layer.query @ token)
            change = change + score * (layer.value @ demonstration)
        changed.append(token + layer.projection @ change)
    return torch.stack(changed)


# Training

DEMONSTRATIONS, INPUTS = 10, 10
TRAINING_SEEDS = range(5)
HELD_OUT_TASKS = 10_000
BOUNDS = {  # what the interval has to stay within
    "loss": (-0.05, 0.05),
    "loss of the average": (-0.05, 0.05),
    "difference of predictions": (-np.inf, 0.05),
    "cosine of sensitivities": (0.95, np.inf),
}


@von_oswald.claim(
    "trained-layer-is-gd",
    where="section 3, figure 2",
    rule=CaseRule(
        "for uniform and for normal inputs, the 95 % t interval over five training seeds lies within the bound: loss "
        "of the trained layer and of the average within 5 % of the loss of one gradient step with its best rate, "
        "squared difference of predictions below 5 % of their square, cosine of sensitivities above .95"
    ),
    on="exact",
    trained=True,
)
def test_a_trained_layer_is_a_step_of_gradient_descent(evidence: ExactEvidence, decide: Decide) -> None:
    """A layer of linear self-attention that is trained on regression in context becomes a step of gradient descent:
    same loss, same predictions, same sensitivities, and the average of its weights and the constructed ones is as good.
    """
    findings: list[Finding] = []
    for kind in ("uniform", "normal"):
        tuned, held_out = (held_out_tasks(kind, seed) for seed in (10_001, 10_002))
        step = regression.constructed(held_out, regression.best_step(tuned))
        layers = (
            regression.train(seed, demonstrations=DEMONSTRATIONS, inputs=INPUTS, kind=kind, how=regression.Training())
            for seed in TRAINING_SEEDS
        )
        measured = [against_the_step(layer, step, held_out) for layer in layers]
        findings += [
            over_seeds(f"{name}, {kind} inputs", [m[name] for m in measured], *BOUNDS[name]) for name in BOUNDS
        ]
    decide(verdict(findings))


def held_out_tasks(kind: regression.Inputs, seed: int) -> regression.Tasks:
    """Tasks that no layer was trained on."""
    generator = torch.Generator().manual_seed(seed)
    return regression.draw(HELD_OUT_TASKS, demonstrations=DEMONSTRATIONS, inputs=INPUTS, generator=generator, kind=kind)


def against_the_step(
    trained: attention.LinearSelfAttention, step: attention.LinearSelfAttention, tasks: regression.Tasks
) -> Mapping[str, float]:
    """One trained layer against the constructed one: losses relative to its loss, predictions, sensitivities."""
    average = regression.average(trained, step, INPUTS)
    loss, best, between = (float(regression.loss(layer, tasks)) for layer in (trained, step, average))
    predicted, expected = (regression.predict(layer, tasks) for layer in (trained, step))
    slopes, steps = (regression.sensitivities(layer, tasks) for layer in (trained, step))
    return {
        "loss": loss / best - 1,
        "loss of the average": between / best - 1,
        "difference of predictions": float((predicted - expected).square().mean() / expected.square().mean()),
        "cosine of sensitivities": float(torch.cosine_similarity(slopes, steps, dim=-1).mean()),
    }


def verdict(findings: Sequence[Finding]) -> Verdict:
    """Supported when every measure holds, refuted when one fails."""
    outcomes = {finding.outcome for finding in findings}
    word: Word = "refuted" if "fails" in outcomes else "supported" if outcomes == {"holds"} else "inconclusive"
    said = "; ".join(f"{f.task} {f.difference:.2g} [{f.low:.2g}, {f.high:.2g}]" for f in findings)
    cases = sum(finding.queries for finding in findings)
    measures = Comparison("a trained layer against a step of gradient descent", tuple(findings), upwards=None)
    return Verdict(word, f"Mean and interval over {len(TRAINING_SEEDS)} seeds: {said}.", measures, cases)
