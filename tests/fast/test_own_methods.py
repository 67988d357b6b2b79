"""A reader's own method or metric is measured as ours are, and a trial's key knows the file that it stands in."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest
import torch

from icl_claims.errors import UsageError
from icl_claims.experiments.result import Entry
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial import run_trial
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.methods import AnotherQuerysUpdate, Finetuning, GaussianUpdate, InContext, SwitchedLabels, ZeroShot
from icl_claims.metrics import LayerMetric, SetMetric, accuracy, sim_aou
from icl_claims.metrics.metric import variant
from icl_claims.models.random_models import random_model
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.examples import Example, TaskData
from tests.fast.stored_trials import SPREAD

WORDS = ("warm", "dull", "slow", "kind", "loud", "rare")
FT = Finetuning(0.3)


def example(row):
    return Example({"sentence": " ".join(WORDS[(row + i) % 6] for i in range(1 + row % 4))}, row % 2, row)


DATA = TaskData(TASKS["sst2"], tuple(map(example, range(12))), tuple(map(example, range(9))), "directory", "data")

FILE = '''
from dataclasses import dataclass

from icl_claims.methods import Finetuning
from icl_claims.metrics import LayerMetric


@dataclass(frozen=True)
class Gentle:
    """Finetuning at a fraction of the rate."""

    learning_rate: float | None = None
    name = "gentle"
    title = "gentle finetuning"

    def learn(self, model, demonstrations, known=None):
        return Finetuning(0.5 * self.learning_rate).learn(model, demonstrations)


def distance(outputs, others, power=2):
    """How far apart two outputs are."""
    return (outputs - others).norm(dim=-1).T ** power


DISTANCE = LayerMetric(
    name="distance",
    title="distance",
    definition="How far apart.",
    values=distance,
    takes=lambda found: {"outputs": found.answer.attention_outputs, "others": found.reference.attention_outputs},
)
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Imports a reader's file, with some of its text replaced."""

    def read(before="", after=""):
        assert before in FILE
        path = tmp_path / "own_method.py"
        path.write_text(FILE.replace(before, after), encoding="utf-8")
        found = spec_from_file_location("own_method", path)
        module = module_from_spec(found)
        monkeypatch.setitem(sys.modules, "own_method", module)
        found.loader.exec_module(module)
        return module

    return read


@pytest.fixture
def model(word_encoder):
    made = random_model("llama", 2, 0)
    made.tokens = word_encoder()
    return made


def trial(model, methods=(FT,), metrics=(), **how):
    return run_trial(TrialSpec.of(model, DATA, methods, k=3, seed=5, metrics=metrics), model, DATA, **how)


# Methods


def test_an_own_method_is_measured_beside_its_nulls(own, model):
    gentle = own().Gentle(0.3)
    got, ours = trial(model, (gentle,)), trial(model, (Finetuning(0.15),))
    for method, same in ((gentle, Finetuning()), *((kind(gentle), kind(Finetuning(0.15))) for kind in NULLS)):
        np.testing.assert_array_equal(got.column(sim_aou(method)), ours.column(sim_aou(same)))
    assert got.mean(accuracy(gentle)) == ours.mean(accuracy(Finetuning()))
    assert [one.title for one in got.measured][2:5] == [
        "gentle finetuning",
        "a Gaussian update as long as that of gentle finetuning",
        "another query's update by gentle finetuning",
    ]


NULLS = (GaussianUpdate, AnotherQuerysUpdate)


@pytest.mark.parametrize("wrap", [lambda method: method, lambda method: SwitchedLabels(method, "cyclic")])
def test_the_source_of_an_own_method_is_in_the_key(own, wrap):
    def key(*change):
        return spec_of(methods=(wrap(own(*change).Gentle(0.3)),)).key()

    first = key()
    assert key("0.5 * self", "0.25 * self") != first
    assert key("a fraction of the rate", "half the rate") == first
    assert key() == first


def spec_of(**options):
    return TrialSpec("model", "data", "sst2", 3, 5, 0, None, **{"methods": (), **options})


def test_ours_have_no_source_of_their_own():
    [described] = spec_of(methods=(FT,)).record()["methods"]
    assert "source" not in described


def test_a_method_that_stands_in_no_file_is_refused():
    namespace = {"dataclass": dataclass, "__name__": "nowhere"}
    exec("@dataclass(frozen=True)\nclass Mine:\n    name = title = 'mine'\n    def learn(self, *given): ...", namespace)
    with pytest.raises(UsageError, match="Write it into a file"):
        spec_of(methods=(namespace["Mine"](),)).key()


# Metrics by query and layer


def test_an_own_metric_is_measured_of_every_method_and_null(own, model):
    metric = own().DISTANCE
    got = trial(model, (FT,), (metric,))
    gaussian, outputs = GaussianUpdate(FT), {}
    assert {entry.method for entry in got.by_layer if entry.metric == "distance"} == {
        one.name for one in (ZeroShot(), FT, gaussian, AnotherQuerysUpdate(FT))
    }
    trial(model, (FT,), watch=lambda batch, answers: outputs.update({tuple(batch): answers}))
    [(batch, answers)] = outputs.items()
    wanted = metric.values(*(answers[name].attention_outputs for name in ("finetuning", "in_context")))
    np.testing.assert_allclose(got.by_layer[Entry("distance", "finetuning")][list(batch)], wanted, rtol=1e-5)


def test_the_source_and_options_of_an_own_metric_are_in_the_key(own):
    def key(*change, **options):
        metric = own(*change).DISTANCE
        return spec_of(metrics=(variant(metric, "distance", "", "", **options) if options else metric,)).key()

    first = key()
    assert key("power=2", "power=3") != first
    assert key("How far apart two outputs are.", "How far.") == first
    assert len({first, key(power=2), key(power=3)}) == 3
    assert key("dim=-1", "dim=0", power=2) != key(power=2)


# Metrics of all queries together


def _centred(features):
    return features - features.mean(axis=0)


def _alignment(features):
    """Linear CKA of each layer: it is no mean over queries, for it compares queries with each other."""
    layers = []
    for layer in range(features.shape[1]):
        x, y = np.split(_centred(features[:, layer].astype(float)), 2, axis=-1)
        cross, own_x, own_y = (np.linalg.norm(a.T @ b) for a, b in ((x, y), (x, x), (y, y)))
        layers.append(cross**2 / (own_x * own_y))
    return np.array(layers)


CKA = SetMetric(
    name="cka",
    title="CKA",
    definition="Are the same queries alike?",
    values=lambda ours, theirs: torch.cat([ours, theirs], dim=-1).transpose(0, 1),
    takes=lambda found: {"ours": found.answer.attention_outputs, "theirs": found.reference.attention_outputs},
    over=_alignment,
)


@dataclass
class Outputs:
    """Attention outputs of every query, as a trial shows them."""

    by_query: dict = field(default_factory=dict)

    def __call__(self, batch, answers):
        for row, query in enumerate(batch):
            self.by_query[query] = {name: one.attention_outputs[:, row] for name, one in answers.items()}

    def of(self, method, layer):
        rows = [self.by_query[query][method][layer] for query in sorted(self.by_query)]
        return torch.stack(rows).double().numpy()


def test_a_set_metric_is_computed_once_from_all_queries(model):
    seen = Outputs()
    got = trial(model, metrics=(CKA, SPREAD), watch=seen, tokens_per_batch=1)
    for layer in range(2):
        grams = []
        for method in ("in_context", "finetuning"):
            gram = seen.of(method, layer) @ seen.of(method, layer).T
            mean = np.eye(9) - 1 / 9
            grams.append(mean @ gram @ mean)
        wanted = (grams[0] * grams[1]).sum() / (np.linalg.norm(grams[0]) * np.linalg.norm(grams[1]))
        assert got.over_queries[Entry("cka", "finetuning")][layer] == pytest.approx(wanted, rel=1e-4)
        variance = ((seen.of("zero_shot", layer) - seen.of("zero_shot", layer).mean(0)) ** 2).sum() / 9
        assert got.over_queries[Entry("spread", "zero_shot")][layer] == pytest.approx(variance, rel=1e-4)
    assert got.column(CKA(FT)).shape == (1,)
    assert got.mean(CKA(FT)) == pytest.approx(got.over_queries[Entry("cka", "finetuning")].mean())
    assert got.values_by_layer(CKA(FT)).shape == (1, 2)
    assert got.column(CKA(FT).at((0.5, 1.0))) == got.over_queries[Entry("cka", "finetuning")][1:]


def test_a_set_metric_has_the_nulls_of_every_other(model):
    got = trial(model, metrics=(CKA, SPREAD))
    compared = {ZeroShot(), FT, GaussianUpdate(FT), AnotherQuerysUpdate(FT)}
    measured = {(entry.metric, entry.method) for entry in got.over_queries}
    alone = {ZeroShot(), InContext(), FT}
    assert measured == {("cka", one.name) for one in compared} | {("spread", one.name) for one in alone}
    assert not {entry.metric for entry in got.by_layer} & {"cka", "spread"}
    assert got.mean(CKA(GaussianUpdate(FT))) != got.mean(CKA(FT))


@pytest.mark.parametrize("tokens", [1, 11, 10_000])
def test_a_set_metric_is_the_same_whatever_the_batches(model, tokens):
    whole, got = (trial(model, metrics=(CKA, SPREAD), tokens_per_batch=size) for size in (None, tokens))
    assert got.over_queries.keys() == whole.over_queries.keys()
    for entry, values in whole.over_queries.items():
        np.testing.assert_allclose(got.over_queries[entry], values, rtol=1e-4)


def test_a_set_metric_is_stored_without_its_features(model, tmp_path):
    spec, store = TrialSpec.of(model, DATA, (FT,), k=3, metrics=(CKA,)), TrialStore(tmp_path)
    first = store.get_or_run(spec, lambda new: run_trial(new, model, DATA))
    again = TrialStore(tmp_path).get_or_run(spec, lambda _new: pytest.fail("run again"))
    assert list(again.over_queries) == list(first.over_queries)
    assert again.mean(CKA(FT)) == first.mean(CKA(FT))
    assert max(values.ndim for group in (again.by_layer, again.over_queries) for values in group.values()) == 2


def test_a_method_that_diverged_has_no_set_metric(model):
    diverging = Finetuning(float("inf"))
    got = trial(model, (diverging, SwitchedLabels(FT, "cyclic")), (CKA,))
    assert got.failures.keys() == {"finetuning"}
    assert {entry.method for entry in got.over_queries} == {"zero_shot", "finetuning_cyclic_labels"}


def test_a_layer_metric_without_what_it_needs_is_left_out(model):
    needy = replace(sim_aou, name="needy", needs=frozenset({"shares"}))
    assert isinstance(needy, LayerMetric)
    got = trial(model, (SwitchedLabels(FT, "cyclic"),), (needy,))
    assert got.column(needy(SwitchedLabels(FT, "cyclic"))) is None
