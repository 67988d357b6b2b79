"""Every metric equals a slow, literal second implementation, query by query, and keeps to its range."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.metrics import accuracy, changed, rec2ftp, rpa, sim_am, sim_am_update, sim_aou
from icl_claims.metrics.learning import log_gradient_ratio
from icl_claims.metrics.predictions import predicted_labels
from icl_claims.metrics.similarity import sim_aou_random, sim_aou_unnormalised, uniform_updates

CPU = torch.device("cpu")
CLOSE = {"abs": 1e-5}


# Literal definitions, on lists of numbers


def cosine(a, b):
    length = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / length if length else 0.0


def unit(h):
    length = math.sqrt(sum(x * x for x in h))
    return [x / length for x in h]


def minus(a, b):
    return [x - y for x, y in zip(a, b, strict=True)]


def share(counted, wanted):
    """|wanted & counted| / |counted| of two sets of queries, NaN where nothing counts."""
    return len(counted & wanted) / len(counted) if counted else math.nan


def literal_rpa(icl, ft, zsl, gold, only, agreement):
    """The authors' formula, from three counts."""
    queries = range(len(gold))
    kept = {
        "all": lambda predicted, i: True,
        "correct": lambda predicted, i: predicted[i] == gold[i],
        "incorrect": lambda predicted, i: predicted[i] != gold[i],
    }[only]
    by_icl = {i for i in queries if icl[i] != zsl[i] and kept(icl, i)}
    by_ft = {i for i in queries if ft[i] != zsl[i] and kept(ft, i)}
    same = sum(agreement == "changed" or icl[i] == ft[i] for i in by_icl & by_ft)
    either = len(by_icl) + len(by_ft) - same
    return same / either if either else math.nan


# What they are given


@st.composite
def activations(draw, *, heads: int | None = None, count: int = 3):
    shape = (
        draw(st.integers(1, 3)),
        *(() if heads is None else (heads,)),
        draw(st.integers(1, 4)),
        draw(st.integers(2, 6)),
    )
    stream = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0.01, 1.0, 100.0]))
    return [scale * torch.randn(shape, generator=stream) for _ in range(count)]


@st.composite
def predictions(draw, labels: int | None = None):
    n = labels or draw(st.integers(2, 5))
    columns = st.lists(st.lists(st.integers(0, n - 1), min_size=4, max_size=4), min_size=1, max_size=30)
    return [np.array(column) for column in zip(*draw(columns), strict=True)]


selections = st.sampled_from(["all", "correct", "incorrect"])
agreements = st.sampled_from(["same_label", "changed"])


def mean(column):
    counted = column[~np.isnan(column)]
    return counted.mean() if len(counted) else math.nan


# Attention


@given(activations(), st.booleans())
def test_sim_aou_is_the_cosine_of_updates(given_states, normalised):
    icl, ft, zsl = given_states
    got = sim_aou.values(icl, ft, zsl, normalised=normalised)
    prepare = unit if normalised else list
    for layer in range(icl.shape[0]):
        for query in range(icl.shape[1]):
            h = [prepare(states[layer, query].tolist()) for states in (icl, ft, zsl)]
            wanted = cosine(minus(h[0], h[2]), minus(h[1], h[2]))
            assert got[query, layer].item() == pytest.approx(wanted, abs=1e-3)


@given(activations(count=3))
def test_sim_aou_of_a_random_update_takes_it_as_the_update(given_states):
    icl, zsl, drawn = given_states
    got = sim_aou_random(icl, zsl, drawn)
    for layer in range(icl.shape[0]):
        for query in range(icl.shape[1]):
            update = minus(unit(icl[layer, query].tolist()), unit(zsl[layer, query].tolist()))
            assert got[query, layer].item() == pytest.approx(cosine(update, drawn[layer, query].tolist()), abs=1e-3)


@given(activations(count=3))
def test_sim_aou_of_a_random_state_subtracts_the_zero_shot_state(given_states):
    icl, zsl, drawn = given_states
    assert torch.equal(sim_aou_random(icl, zsl, drawn, baseline="state"), sim_aou.values(icl, drawn, zsl))


@given(activations(heads=2))
def test_sim_am_is_the_cosine_of_maps_averaged_over_heads(given_maps):
    icl, ft, zsl = given_maps
    direct, update = sim_am.values(icl, ft), sim_am_update.values(icl, ft, zsl)
    layers, heads, queries, _ = icl.shape
    for layer in range(layers):
        for query in range(queries):
            maps = [[m[layer, head, query].tolist() for m in (icl, ft, zsl)] for head in range(heads)]
            wanted = sum(cosine(a, b) for a, b, _ in maps) / heads
            assert direct[query, layer].item() == pytest.approx(wanted, **CLOSE)
            wanted = sum(cosine(minus(a, z), minus(b, z)) for a, b, z in maps) / heads
            assert update[query, layer].item() == pytest.approx(wanted, **CLOSE)


@given(activations(heads=2), st.integers(0, 3))
def test_zeros_beyond_the_end_of_a_query_do_not_count(given_maps, padding):
    padded = [torch.nn.functional.pad(m, (0, padding)) for m in given_maps]
    torch.testing.assert_close(sim_am.values(*padded[:2]), sim_am.values(*given_maps[:2]))
    torch.testing.assert_close(sim_am_update.values(*padded), sim_am_update.values(*given_maps))


@given(activations(), activations(heads=3))
def test_similarities_lie_between_minus_one_and_one(states, maps):
    values = torch.cat(
        [x.flatten() for x in (sim_aou.values(*states), sim_am.values(*maps[:2]), sim_am_update.values(*maps))]
    )
    assert values.abs().max() <= 1 + 1e-6


@given(activations(), activations(heads=2))
def test_similarities_of_float64_are_exact_and_others_in_float32(states, maps):
    exact = [m.double() for m in (*states, *maps)]
    icl, ft, zsl = exact[:3]
    for normalised in (True, False):
        a, b, z = (h / h.norm(dim=-1, keepdim=True) if normalised else h for h in (icl, ft, zsl))
        wanted = ((a - z) * (b - z)).sum(-1) / (a - z).norm(dim=-1) / (b - z).norm(dim=-1)
        torch.testing.assert_close(sim_aou.values(icl, ft, zsl, normalised=normalised), wanted.T, atol=1e-9, rtol=0)
    m, n, z = exact[3:]
    for found, a, b in ((sim_am.values(m, n), m, n), (sim_am_update.values(m, n, z), m - z, n - z)):
        wanted = ((a * b).sum(-1) / a.norm(dim=-1) / b.norm(dim=-1)).mean(1)
        torch.testing.assert_close(found, wanted.T, atol=1e-9, rtol=0)
    halved = [h.bfloat16() for h in states]
    assert {sim_aou.values(*given_states).dtype for given_states in (states, halved)} == {torch.float32}


@given(activations(), activations(heads=2))
def test_doing_as_in_context_learning_has_similarity_one(states, maps):
    icl, _, zsl = states
    torch.testing.assert_close(sim_aou.values(icl, icl, zsl), torch.ones(icl.shape[1], icl.shape[0]))
    torch.testing.assert_close(sim_am.values(maps[0], maps[0]), torch.ones(maps[0].shape[2], maps[0].shape[0]))


@given(activations())
def test_an_update_of_nothing_has_no_direction(states):
    icl, ft, zsl = states
    assert sim_aou.values(icl, zsl, zsl).isnan().all()
    assert sim_aou.values(zsl, ft, zsl).isnan().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("short_side", ["in_context", "other"])
@pytest.mark.parametrize(("metric", "least"), [(sim_aou_unnormalised, 0), (sim_am_update, 1e-4)])
def test_updates_below_what_a_dtype_resolves_have_no_similarity(dtype, short_side, metric, least):
    before, long, direction = torch.eye(8)[:3]
    resolved = max(4 * torch.finfo(dtype).eps, least if short_side == "in_context" else 0)
    for length, counts in ((0.97 * resolved, False), (1.03 * resolved, True)):
        given = {"in_context": long, "other": long, short_side: length * direction}
        states = {side: before + update for side, update in given.items()} | {"zero_shot": before.to(dtype)}
        shape = (1, 1, 8) if metric is sim_aou_unnormalised else (1, 1, 1, 8)
        found = metric.values(**{side: state.view(shape) for side, state in states.items()})
        assert found.isfinite().all() == counts


@given(activations())
def test_normalised_sim_aou_does_not_see_the_length_of_a_state(states):
    icl, ft, zsl = states
    torch.testing.assert_close(
        sim_aou.values(3 * icl, 0.5 * ft, 7 * zsl), sim_aou.values(icl, ft, zsl), atol=2e-3, rtol=0
    )


def test_uniform_updates_do_not_depend_on_batches():
    together = uniform_updates(3, 8, [4, 0, 9], 5, CPU)
    for place, query in enumerate([4, 0, 9]):
        assert torch.equal(together[:, place], uniform_updates(3, 8, [query], 5, CPU)[:, 0])


def test_uniform_updates_differ_by_query_and_seed():
    drawn = uniform_updates(4, 64, [0, 1, 2], 7, CPU)
    assert 0 <= drawn.min() < 0.02 < 0.98 < drawn.max() < 1
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.05)
    assert not torch.equal(drawn[:, 0], drawn[:, 1])
    assert not torch.equal(drawn, uniform_updates(4, 64, [0, 1, 2], 8, CPU))


def test_drawing_updates_leaves_global_randomness_alone():
    before = torch.get_rng_state()
    uniform_updates(2, 3, [0], 0, CPU)
    assert torch.equal(before, torch.get_rng_state())


# Predictions


@given(predictions())
def test_accuracy_and_changes_are_shares_of_all_queries(columns):
    icl, _, zsl, gold = columns
    n = len(gold)
    assert mean(accuracy.values(icl, gold)) == pytest.approx(sum(icl[i] == gold[i] for i in range(n)) / n)
    assert mean(changed.values(icl, zsl)) == pytest.approx(sum(icl[i] != zsl[i] for i in range(n)) / n)


@given(predictions())
def test_rec2ftp_is_the_share_of_shared_corrections(columns):
    icl, ft, zsl, gold = columns
    right = [{i for i in range(len(gold)) if predicted[i] == gold[i]} for predicted in (icl, ft, zsl)]
    wanted = share(right[1] - right[2], right[0])
    assert mean(rec2ftp.values(icl, ft, zsl, gold)) == pytest.approx(wanted, nan_ok=True)


@given(predictions(), selections, agreements)
def test_rpa_is_the_share_of_changes_that_both_make(columns, only, agreement):
    got = mean(rpa.values(*columns, only=only, agreement=agreement))
    assert got == pytest.approx(literal_rpa(*columns, only, agreement), nan_ok=True)


@given(predictions(), selections, agreements)
def test_rpa_treats_both_methods_alike(columns, only, agreement):
    icl, ft, zsl, gold = columns
    how = {"only": only, "agreement": agreement}
    np.testing.assert_array_equal(rpa.values(icl, ft, zsl, gold, **how), rpa.values(ft, icl, zsl, gold, **how))


@given(predictions(), selections)
def test_asking_for_the_same_label_never_raises_rpa(columns, only):
    same, any_change = (mean(rpa.values(*columns, only=only, agreement=how)) for how in ("same_label", "changed"))
    assert math.isnan(same) == math.isnan(any_change)
    assert math.isnan(same) or same <= any_change


@given(predictions(), selections)
def test_a_query_changed_to_two_labels_is_two_changes(columns, only):
    icl, ft, zsl, gold = columns
    column = rpa.values(*columns, only=only)
    twice = ~np.isnan(column).any(axis=1)
    kept = {"all": True, "correct": False, "incorrect": (icl != gold) & (ft != gold)}[only]
    np.testing.assert_array_equal(twice, (icl != zsl) & (ft != zsl) & (icl != ft) & kept)
    assert not column[twice].any()
    assert not np.isnan(column[~np.isnan(column[:, 1]), 0]).any()


@given(predictions(labels=2))
def test_with_two_labels_both_agreements_are_one(columns):
    np.testing.assert_array_equal(
        rpa.values(*columns, agreement="same_label"), rpa.values(*columns, agreement="changed")
    )


@given(predictions())
def test_rpa_lies_between_its_correct_and_incorrect_parts(columns):
    whole, *parts = (mean(rpa.values(*columns, only=only)) for only in ("all", "correct", "incorrect"))
    defined = [part for part in parts if not math.isnan(part)]
    assert math.isnan(whole) == (not defined)
    assert not defined or min(defined) - 1e-12 <= whole <= max(defined) + 1e-12


def test_in_the_words_of_the_paper_rpa_may_exceed_both_parts():
    zsl, gold = np.array([0, 0, 0]), np.array([1, 1, 1])
    icl, ft = np.array([1, 1, 2]), np.array([1, 2, 2])  # the second query is in both parts, shared in neither
    for agreement, wanted in (("changed", [1, 1 / 2, 1 / 2]), ("same_label", [1 / 2, 1 / 2, 1 / 2])):
        columns = [
            rpa.values(icl, ft, zsl, gold, only=only, agreement=agreement) for only in ("all", "correct", "incorrect")
        ]
        assert [mean(column) for column in columns] == pytest.approx(wanted)


def test_where_no_query_counts_a_metric_is_undefined():
    same = np.array([0, 1])
    assert np.isnan(rec2ftp.values(same, same, same, same)).all()
    assert np.isnan(rpa.values(same, same, same, same)).all()


@given(predictions(), selections, agreements)
def test_every_value_is_zero_one_or_undefined(columns, only, agreement):
    values = np.concatenate([rec2ftp.values(*columns), rpa.values(*columns, only=only, agreement=agreement).ravel()])
    assert set(values[~np.isnan(values)]) <= {0.0, 1.0}


@given(predictions())
def test_metrics_leave_their_arguments_alone(columns):
    copies = [column.copy() for column in columns]
    rpa.values(*columns, only="correct")
    rec2ftp.values(*columns)
    assert all((column == copy).all() for column, copy in zip(columns, copies, strict=True))


# Calibration


@st.composite
def log_probabilities(draw):
    generator, labels = np.random.default_rng(draw(st.integers(0, 10**6))), draw(st.integers(2, 5))
    return [3 * generator.normal(size=(draw(st.integers(1, 6)), labels)) - 5 for _ in range(2)]


@given(log_probabilities())
def test_contextual_calibration_divides_by_the_prior_of_a_label(columns):
    queries, content_free = columns
    labels = range(queries.shape[1])
    normalised = [[math.exp(row[y]) / sum(math.exp(v) for v in row) for y in labels] for row in content_free]
    prior = [sum(row[y] for row in normalised) / len(normalised) for y in labels]
    wanted = [max(labels, key=lambda y, row=row: math.exp(row[y]) / prior[y]) for row in queries]
    assert predicted_labels(queries, content_free, "contextual").tolist() == wanted


@given(log_probabilities())
def test_uncalibrated_the_most_probable_label_is_predicted(columns):
    queries, content_free = columns
    wanted = [max(range(len(row)), key=row.__getitem__) for row in queries.tolist()]
    assert predicted_labels(queries, content_free, "none").tolist() == wanted


def test_a_label_is_not_predicted_for_its_prior_alone():
    content_free = np.log([[0.9, 0.1]])
    queries = np.log([[0.8, 0.2], [0.95, 0.05]])
    assert predicted_labels(queries, content_free, "none").tolist() == [0, 0]
    assert predicted_labels(queries, content_free, "contextual").tolist() == [1, 0]


def test_batch_calibration_by_hand():
    queries = np.log([[0.6, 0.2, 0.1], [0.5, 0.3, 0.1], [0.4, 0.1, 0.4]])  # means 0.5, 0.2 and 0.2
    assert predicted_labels(queries, queries[:0], "none").tolist() == [0, 0, 0]
    assert predicted_labels(queries, queries[:0], "batch").tolist() == [0, 1, 2]  # 1.2 1 .5, 1 1.5 .5 and .8 .5 2


@given(log_probabilities())
def test_batch_calibration_divides_by_the_mean_of_a_label_over_queries(columns):
    queries, content_free = columns
    labels = range(queries.shape[1])
    mean = [sum(math.exp(row[y]) for row in queries) / len(queries) for y in labels]
    wanted = [max(labels, key=lambda y, row=row: math.exp(row[y]) / mean[y]) for row in queries]
    assert predicted_labels(queries, content_free, "batch").tolist() == wanted


@given(log_probabilities(), st.integers(0, 10**6))
def test_batch_calibration_forgets_what_a_label_has_everywhere(columns, seed):
    queries, content_free = columns
    wanted = predicted_labels(queries, content_free, "batch")
    shift = 5 * np.random.default_rng(seed).normal(size=queries.shape[1])
    assert (predicted_labels(queries + shift, content_free + shift, "batch") == wanted).all()
    order = np.random.default_rng(seed).permutation(len(queries))
    assert (predicted_labels(queries[order], content_free, "batch") == wanted[order]).all()


@given(log_probabilities())
def test_batch_calibration_changes_nothing_where_labels_are_equally_probable_in_the_mean(columns):
    queries = np.vstack([np.roll(columns[0], turn, axis=1) for turn in range(columns[0].shape[1])])
    without = [predicted_labels(queries, columns[1], calibration) for calibration in ("none", "batch")]
    assert (without[0] == without[1]).all()


def test_a_single_query_has_no_batch_to_be_calibrated_by():
    assert predicted_labels(np.log([[0.1, 0.9]]), np.zeros((0, 2)), "batch").tolist() == [0]


def test_a_layer_without_gradients_has_no_ratio():
    norms, standard = np.array([[0.0, 2.0, 1.0]]), np.array([[0.0, 1.0, 0.0]])
    np.testing.assert_array_equal(log_gradient_ratio.values(norms, standard), [[np.nan, np.log(2), np.nan]])
