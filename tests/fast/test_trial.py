"""A trial equals a literal computation, one whole prompt at a time, and its key tells it from any other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from claims.small_transformers import key_value_gradients, take_step
from icl_claims.errors import IclClaimsError, ModelError, UsageError
from icl_claims.experiments.batches import batches_by_length
from icl_claims.experiments.plan import plan_trials, resolve
from icl_claims.experiments.profiles import PROFILES, Choices
from icl_claims.experiments.result import Entry
from icl_claims.experiments.spec import CODE_THAT_MAKES_NUMBERS, SAID_IN_PRINT, TrialSpec, code_digest
from icl_claims.experiments.studies import find_study
from icl_claims.experiments.trial import prompts_of, run_trial
from icl_claims.methods import (
    Clipping,
    Finetuning,
    InContext,
    LayerCausal,
    Linearized,
    Reordered,
    SwitchedLabels,
    ZeroShot,
    at_rate,
)
from icl_claims.methods.prompting import switched
from icl_claims.metrics import accuracy, changed, gradient_norm, kendall, rec2ftp, rpa, sim_aou
from icl_claims.metrics.similarity import uniform_updates
from icl_claims.models.random_models import BOS, EOS, random_model
from icl_claims.protocol import Protocol
from icl_claims.storage.source_code import PACKAGE, source_digest
from icl_claims.tasks import catalogue
from icl_claims.tasks.catalogue import TASKS, read_own_task
from icl_claims.tasks.examples import Example, TaskData, shuffle
from icl_claims.tasks.prompts import Queries

WORDS = ("warm", "dull", "slow", "kind", "loud", "rare")
FAMILIES = ("llama", "gpt2", "opt", "gpt_neox")
ROTARY = {"llama", "gpt_neox"}
RATE = 0.3
FT = Finetuning()


def example(row):
    text = " ".join(WORDS[(row + i) % len(WORDS)] for i in range(1 + row % 4))
    return Example({"sentence": text}, row % 2, row)


DATA = TaskData(TASKS["sst2"], tuple(map(example, range(12))), tuple(map(example, range(9))), "directory", "data")


@pytest.fixture(scope="module")
def model_of(word_encoder):
    def make(family="llama"):
        model = random_model(family, 2, 0)
        model.tokens = word_encoder()
        return model

    return make


def spec_of(model, **changes):
    base = TrialSpec(model.digest, DATA.digest, "sst2", 3, 5, 0, None, (Finetuning(RATE),), code="code")
    return replace(base, **changes)


@pytest.fixture(scope="module")
def result(model_of):
    model = model_of()
    return run_trial(spec_of(model), model, DATA)


def same(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_allclose(values, other[name], **tolerance)


# Against a literal computation


@pytest.mark.parametrize("family", FAMILIES)
def test_every_number_is_that_of_whole_prompts_one_at_a_time(plain, model_of, family):
    model = model_of(family)
    got = run_trial(spec_of(model), model, DATA)
    drawn, asked = shuffle(DATA.train, 5)[:3], shuffle(DATA.validation, 1)
    encode, words = model.tokens.encode, ("Negative", "Positive")
    written = [(BOS, *encode(f"Sentence: {e.fields['sentence']} Label: {words[e.label]}")) for e in drawn]
    labels = [encode(word)[0] for word in words]

    pretrained, tuned = plain.network(family, 2), plain.network(family, 2).requires_grad_(False)
    for sequence in written:
        take_step(tuned, key_value_gradients(tuned, sequence, model.blocks.names), RATE)
    context = [BOS, *(token for sequence in written for token in (*sequence[1:], EOS))]
    ways = {"zero_shot": (pretrained, [BOS]), "in_context": (pretrained, context), "finetuning": (tuned, [BOS])}

    assert got.gold.tolist() == [e.label for e in asked]
    for place, asked_example in enumerate(asked):
        ids = encode(f"Sentence: {asked_example.fields['sentence']} Label: Negative")
        seen = {name: plain.see(network, [*before, *ids]) for name, (network, before) in ways.items()}
        out = {name: s.outputs[:, -1] for name, s in seen.items()}
        h = {name: torch.nn.functional.normalize(outputs, dim=-1) for name, outputs in out.items()}
        m = {name: s.scores[:, :, -1, -len(ids) :] for name, s in seen.items()}
        for name, s in seen.items():
            np.testing.assert_allclose(
                got.log_probabilities[name][place], s.logits[-2].log_softmax(-1)[labels], atol=1e-3
            )
        cosine = torch.cosine_similarity
        update = h["in_context"] - h["zero_shot"]
        random = uniform_updates(2, h["in_context"].shape[-1], [place], 5, torch.device("cpu"))[:, 0]
        wanted = {
            Entry("sim_aou", "finetuning"): cosine(update, h["finetuning"] - h["zero_shot"], dim=-1),
            Entry("sim_aou_unnormalised", "finetuning"): cosine(
                out["in_context"] - out["zero_shot"], out["finetuning"] - out["zero_shot"], dim=-1
            ),
            Entry("sim_aou", "random_update"): cosine(update, random, dim=-1),
            Entry("sim_am", "finetuning"): cosine(m["in_context"], m["finetuning"], dim=-1).mean(-1),
            Entry("sim_am", "zero_shot"): cosine(m["in_context"], m["zero_shot"], dim=-1).mean(-1),
            Entry("sim_am_update", "finetuning"): cosine(
                m["in_context"] - m["zero_shot"], m["finetuning"] - m["zero_shot"], dim=-1
            ).mean(-1),
        }
        if family in ROTARY:  # nothing but rounding moves the scores of the first layer; see the next test
            wanted[Entry("sim_am_update", "finetuning")][0] = float(
                got.by_layer[Entry("sim_am_update", "finetuning")][place, 0]
            )
        same({name: got.by_layer[name][place] for name in wanted}, wanted, atol=2e-3)


@pytest.mark.parametrize("family", sorted(ROTARY))
def test_rotary_positions_leave_the_first_layers_scores(model_of, family):
    model = model_of(family)
    first_layer = run_trial(spec_of(model), model, DATA).by_layer[Entry("sim_am", "zero_shot")][:, 0]
    np.testing.assert_allclose(first_layer, 1, atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 11, 10_000])
def test_the_size_of_a_batch_does_not_change_the_numbers(model_of, result, tokens):
    model = model_of()
    other = run_trial(spec_of(model), model, DATA, tokens_per_batch=tokens)
    assert other.provenance["tokens_per_batch"] == tokens
    same(other.log_probabilities, result.log_probabilities, atol=1e-5)
    same(other.by_layer, result.by_layer, atol=1e-4)


def test_a_trial_is_repeated_bit_for_bit(model_of, result):
    model = model_of()
    again = run_trial(spec_of(model), model, DATA)
    same(again.log_probabilities, result.log_probabilities, atol=0)
    same(again.by_layer, result.by_layer, atol=0)


@pytest.mark.parametrize("tokens", [1, 7, 100])
def test_batches_hold_every_query_once_within_the_limit(tokens):
    rows = tuple((9,) * length for length in (5, 1, 8, 3, 3, 9, 2))
    batches = list(batches_by_length(Queries(rows, (1, 2), -1, -1), tokens))
    assert sorted(i for batch in batches for i in batch) == list(range(7))
    assert all(len(batch) <= 3 or sum(len(rows[i]) for i in batch) <= tokens for batch in batches)


def test_the_result_names_its_queries_and_where_it_was_run(result):
    assert result.query_rows.tolist() == [e.row for e in shuffle(DATA.validation, 1)]
    assert result.provenance["demonstration_rows"] == [e.row for e in shuffle(DATA.train, 5)[:3]]
    assert result.provenance["demonstrations_in_context"] == result.provenance["demonstrations_drawn"] == 3
    assert result.methods == ("zero_shot", "in_context", "finetuning")
    assert len(result.losses["finetuning"]) == 3
    assert "in_context" not in result.losses


def test_metrics_of_a_result_are_those_of_its_predictions(result):
    icl, ft, zsl = (result.predicted(method) for method in (InContext(), FT, ZeroShot()))
    equal = np.testing.assert_array_equal
    equal(result.column(accuracy(FT)), ft == result.gold)
    equal(result.column(changed(InContext())), icl != zsl)
    equal(result.column(rec2ftp(FT)), rec2ftp.values(icl, ft, zsl, result.gold))
    equal(result.column(rpa(FT)), rpa.values(icl, ft, zsl, result.gold))
    equal(result.column(sim_aou(FT)), result.by_layer[Entry("sim_aou", "finetuning")].mean(axis=1))
    assert result.mean(accuracy(FT)) == (ft == result.gold).mean()
    assert result.mean(sim_aou(FT)) == result.column(sim_aou(FT)).mean()


def test_the_order_of_attention_to_demonstrations_is_measured(model_of):
    model = model_of()
    got = run_trial(spec_of(model, methods=(Finetuning(RATE), LayerCausal(0.1), Linearized(0.01))), model, DATA)
    measured = {entry.method for entry in got.by_layer if entry.metric == "kendall"}
    assert measured == {"zero_shot", "finetuning", "layer_causal", "random_update", "demonstration_lengths"}
    named = [one for one in got.measured if one.name in measured]
    assert len(named) == len(measured)
    for method in named:
        column = got.column(kendall(method))
        assert column.shape == got.gold.shape
        assert (np.abs(column) <= 1).all()
    np.testing.assert_array_equal(
        got.column(kendall(ZeroShot())), got.by_layer[Entry("kendall", "zero_shot")].mean(axis=1)
    )


def test_without_diagnostics_all_other_numbers_are_the_same(model_of, result):
    model = model_of()
    got = run_trial(spec_of(model, diagnostics=False), model, DATA)
    left_out = {entry for entry in result.by_layer if entry.metric in ("kendall", "lens_loss")}
    assert left_out
    assert set(got.by_layer) == set(result.by_layer) - left_out
    for entry, values in got.by_layer.items():
        np.testing.assert_array_equal(values, result.by_layer[entry])
    same(got.log_probabilities, result.log_probabilities, atol=0)


def test_what_was_not_measured_is_none_and_not_a_number(result):
    for metric in (sim_aou, rpa, gradient_norm):
        assert result.column(metric(LayerCausal())) is None
        assert np.isnan(result.mean(metric(LayerCausal())))


@pytest.mark.parametrize("wrong", ["model", "data", "dtype", "device"])
def test_a_trial_of_another_model_or_of_other_data_is_refused(model_of, wrong):
    model = model_of()
    with pytest.raises(UsageError, match="not those of the trial's specification"):
        run_trial(replace(spec_of(model), **{wrong: "another"}), model, DATA)


@pytest.mark.parametrize("rate", [1e14, 1e18, 1e30, float("inf")])
@pytest.mark.parametrize("k", [1, 3])
def test_a_method_that_diverges_fails_alone(model_of, k, rate):
    model = model_of("gpt2")
    methods = (Finetuning(rate), LayerCausal(0.01))
    got = run_trial(spec_of(model, k=k, methods=methods), model, DATA)
    if rate == float("inf"):
        assert "diverged" in got.failures["finetuning"]
    answered = {"zero_shot", "in_context", "finetuning", "layer_causal"} - set(got.failures)
    assert got.failures.keys() <= {"finetuning"}
    assert set(got.log_probabilities) == set(got.content_free) == answered
    assert set(got.losses) == set(got.drift) == set(got.gradient_norms) == answered - {"zero_shot", "in_context"}
    assert all(np.isfinite(values).all() for values in got.log_probabilities.values())
    assert (Entry("sim_aou", "finetuning") in got.by_layer) == ("finetuning" in answered)
    assert got.column(accuracy(FT)) is None or "finetuning" in answered


@pytest.mark.parametrize(
    "builds_on", [LayerCausal(1.5, norm_matched=True), LayerCausal(1.5, clip=Clipping(norm="finetuning"))]
)
def test_what_others_learned_is_found_by_all_their_parameters(model_of, builds_on):
    model = model_of()
    beside = [(), (Finetuning(RATE),), (Finetuning(1.5),), (Finetuning(1.5, "label_only"),)]
    drifts = [
        run_trial(spec_of(model, methods=(*some, builds_on)), model, DATA).drift[builds_on.name] for some in beside
    ]
    for drift_beside in drifts[1:]:
        np.testing.assert_array_equal(drift_beside, drifts[0])


def test_labels_at_random_are_others_in_every_trial(model_of):
    model, shuffled = model_of(), SwitchedLabels(InContext(), "random")
    answers = [run_trial(spec_of(model, seed=seed, methods=(shuffled,)), model, DATA) for seed in (5, 6, 7)]
    prompts = [prompts_of(trial.spec, model, DATA).demonstrations for trial in answers]
    assert [shown.seed for shown in prompts] == [5, 6, 7]
    labels = {switched(tuple([0] * 12), 4, "random", seed) for seed in (5, 6, 7)}
    assert len(labels) == 3
    for trial, shown in zip(answers, prompts, strict=True):
        relabelled = shown.relabelled(switched(shown.labels, 2, "random", trial.spec.seed))
        wanted = InContext().learn(model, relabelled).answer(prompts_of(trial.spec, model, DATA).queries)
        np.testing.assert_allclose(trial.log_probabilities[shuffled.name], wanted.log_probabilities, atol=1e-5)


def test_a_method_that_diverges_on_the_way_leaves_no_numbers(model_of, monkeypatch):
    model = model_of()
    answer, calls = model.activations, []

    def fail_late(rows, prefix, *, weights, **how):
        calls.append(bool(weights))
        if calls.count(True) > 3:
            weights = {name: value * torch.nan for name, value in weights.items()}
        return answer(rows, prefix, weights=weights, **how)

    monkeypatch.setattr(model, "activations", fail_late)
    got = run_trial(spec_of(model), model, DATA, tokens_per_batch=1)
    assert "smaller learning rate" in got.failures["finetuning"]
    assert got.methods == ("zero_shot", "in_context")
    left = {"zero_shot", "in_context", "random_update", "demonstration_lengths"}
    assert {entry.method for entry in got.by_layer} == left


def test_a_damaged_model_is_no_failure_of_a_method(model_of):
    model = model_of()
    with torch.no_grad():
        model.network.lm_head.weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="not finite"):
        run_trial(spec_of(model), model, DATA)


def test_queries_without_content_are_asked_only_for_calibration(model_of, result):
    model = model_of()
    calibrated = run_trial(spec_of(model, protocol=Protocol(calibration="contextual")), model, DATA)
    same(calibrated.log_probabilities, result.log_probabilities, atol=0)
    assert calibrated.content_free["finetuning"].shape == (3, 2)
    assert result.content_free["finetuning"].shape == (0, 2)


def test_the_batch_of_batch_calibration_is_all_queries_of_the_trial(model_of, result):
    calibrated = run_trial(spec_of(model_of(), protocol=Protocol(calibration="batch")), model_of(), DATA)
    same(calibrated.log_probabilities, result.log_probabilities, atol=0)
    for method in calibrated.spec.answering:
        said = np.exp(result.log_probabilities[method.name])
        assert calibrated.content_free[method.name].shape == (0, 2)
        assert (calibrated.predicted(method) == (said / said.mean(axis=0)).argmax(axis=1)).all()


def test_progress_runs_from_nothing_to_all(model_of):
    model, told = model_of(), []
    run_trial(spec_of(model), model, DATA, lambda what, done: told.append((done, what)))
    shares = [done for done, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert "3 methods answer, query 1 of 9" in [what for _, what in told]


# The key

CHANGES = {
    "model": "another",
    "data": "another",
    "task": "mr",
    "k": 4,
    "seed": 6,
    "permutation": 1,
    "queries": 7,
    "methods": (Finetuning(0.2),),
    "weights": "norms",
    "dtype": "bfloat16",
    "protocol": Protocol(probe="template_end"),
    "diagnostics": False,
    "metrics": (replace(sim_aou, name="mine"),),
    "device": "cuda",
    "kernels": "others",
    "libraries": {"torch": "0.1"},
    "code": "another",
}
SPEC = TrialSpec("model", "data", "sst2", 3, 5, 0, None, (Finetuning(RATE),), code="code")


def test_every_field_of_a_specification_is_tried_here():
    assert set(CHANGES) == set(TrialSpec.__dataclass_fields__)


@pytest.mark.parametrize("field", CHANGES)
def test_the_key_changes_with_every_field(field):
    assert replace(SPEC, **{field: CHANGES[field]}).key() != SPEC.key()


@pytest.mark.parametrize(
    "method",
    [
        Finetuning(0.31),
        Finetuning(RATE, "label_only"),
        Finetuning(RATE, clip=Clipping(1.0, "global_l2")),
        LayerCausal(RATE),
        LayerCausal(RATE, "sequential"),
        LayerCausal(RATE, norm_matched=True),
        SwitchedLabels(Finetuning(RATE), "cyclic"),
        SwitchedLabels(Finetuning(0.31), "cyclic"),
        Reordered(InContext(), 1),
        Reordered(InContext(), 2),
    ],
    ids=str,
)
def test_the_key_changes_with_every_parameter_of_a_method(method):
    assert len({replace(SPEC, methods=methods).key() for methods in [(method,), (Finetuning(RATE),), ()]}) == 3


def test_the_key_changes_with_the_methods_within_others():
    switched = (SwitchedLabels(Finetuning(rate), "random") for rate in (RATE, 0.31))
    assert len({replace(SPEC, methods=(method,)).key() for method in switched}) == 2


def test_two_methods_of_one_name_are_refused():
    with pytest.raises(UsageError, match="names that differ, got finetuning, finetuning"):
        replace(SPEC, methods=(Finetuning(RATE), Finetuning(0.31)))


def test_the_kind_of_a_method_counts_at_the_same_learning_rate():
    one, other = (replace(SPEC, methods=(kind(RATE),)) for kind in (Finetuning, LayerCausal))
    assert one.key() != other.key()


def test_equal_specifications_have_one_key():
    assert replace(SPEC).key() == SPEC.key()


def test_a_specification_is_recorded_as_plain_data():
    assert json.loads(json.dumps(SPEC.record()))["methods"] == [
        {"kind": "Finetuning", "learning_rate": RATE, "loss": None, "clip": None, "name": "finetuning"}
    ]


@pytest.fixture
def code(tmp_path):
    """The digest of a file of the package after some of its text was replaced."""

    def digest(room, before="", after=""):
        text = (PACKAGE / room).read_text(encoding="utf-8")
        assert before in text
        path = tmp_path / Path(room).name
        path.write_text(text.replace(before, after), encoding="utf-8")
        return source_digest([path], tmp_path, words=SAID_IN_PRINT)

    return digest


@pytest.mark.parametrize(
    ("room", "before", "after"),
    [
        ("metrics/similarity.py", 'title="SimAOU"', 'title="Similarity"'),
        ("metrics/similarity.py", "Do demonstrations and finetuning", "Do they"),
        ("metrics/similarity.py", "mean}", "average}"),
        ("metrics/similarity.py", "Rethinking, section 3.2", "Rethinking"),
        ("metrics/similarity.py", "Similarity of attention maps, direct", "Likeness of maps"),
        ("methods/finetuning.py", "One step of stochastic gradient descent", "A step of SGD"),
        ("methods/finetuning.py", 'title_with("finetuning"', 'title_with("fine-tuning"'),
        ("methods/prompting.py", '"zero-shot"', '"no demonstrations"'),
    ],
)
def test_what_things_say_of_themselves_is_no_code(code, room, before, after):
    assert code(room, before, after) == code(room)


@pytest.mark.parametrize(
    ("room", "before", "after"),
    [
        ("metrics/similarity.py", "RESOLVED = 4.0", "RESOLVED = 3.0"),
        ("metrics/similarity.py", "normalised=False", "normalised=True"),
        ("metrics/similarity.py", '"sim_aou_unnormalised"', '"sim_aou_plain"'),
        ("metrics/similarity.py", "found.reference.scores", "found.zero_shot.scores"),
        ("methods/descent.py", "self.model.dtype, number)", "self.model.dtype, 0)"),
        ("methods/prompting.py", '"zero_shot"', '"zsl"'),
        ("methods/prompting.py", "isinstance(learner_of(m), Finetuning)", "isinstance(learner_of(m), InContext)"),
    ],
)
def test_whatever_makes_or_names_a_number_is_code(code, room, before, after):
    assert code(room, before, after) != code(room)


def test_the_digest_of_the_code_is_that_of_the_code():
    assert code_digest() == code_digest.__wrapped__()
    assert len(code_digest()) == 64
    assert all(list(PACKAGE.glob(pattern)) for pattern in CODE_THAT_MAKES_NUMBERS)


def test_a_specification_of_a_model_and_data_is_the_written_one(model_of):
    model = model_of()
    made = TrialSpec.of(model, DATA, [Finetuning(RATE)], k=3, seed=5)
    assert made == spec_of(model, code=code_digest())
    changed = TrialSpec.of(model, DATA, [Finetuning(RATE)], k=3, seed=5, queries=7, diagnostics=False)
    assert changed == replace(made, queries=7, diagnostics=False)


# The plan


def test_a_plan_has_a_trial_for_every_task_and_draw(model_of):
    choices = Choices(PROFILES["paper"], tasks=("cb", "sst2"), queries=5)
    specs = plan_trials(resolve(choices, model_of()))
    assert [(s.task, s.seed, s.permutation) for s in specs] == [
        *(("sst2", seed, permutation) for seed, permutation in zip(range(2, 14), [0, 1, 2] * 4, strict=True)),
        *(("cb", seed, permutation) for seed, permutation in zip(range(3, 15), [0, 1, 2] * 4, strict=True)),
    ]
    assert {s.k for s in specs} == {32}
    assert {s.methods for s in specs} == {
        tuple(at_rate(method, rate) for method in find_study("main").methods) for rate in (0.0005, 0.08)
    }
    assert len({s.key() for s in specs}) == 24


def test_chosen_seeds_are_run_in_their_drawn_order(model_of):
    choices = Choices(PROFILES["embedded"], tasks=("mr",), seeds=(11, 12), k=2)
    specs = plan_trials(resolve(choices, model_of()))
    assert [(s.seed, s.permutation, s.k) for s in specs] == [(11, 0, 2), (12, 0, 2)]
    assert choices.changed == ("tasks", "k", "seeds")


def test_a_profile_without_a_model_says_how_to_name_one():
    with pytest.raises(UsageError, match="fairseq:DIR, path:DIR or hub:NAME"):
        _ = Choices(PROFILES["paper"]).model_reference


def test_a_data_directory_that_is_none_is_refused(tmp_path):
    with pytest.raises(IclClaimsError, match="The data directory is no folder: expected one with a folder per task"):
        resolve(Choices(PROFILES["embedded"], data=tmp_path / "nowhere"))


@pytest.mark.parametrize("field", Protocol.__dataclass_fields__)
def test_the_key_changes_with_every_reading(field):
    other = Protocol.__dataclass_fields__[field].metadata["values"][1]
    assert replace(SPEC, protocol=Protocol(**{field: other})).key() != SPEC.key()


def test_named_readings_reach_every_trial_and_count_as_changed(model_of):
    readings = {"probe": "template_end", "calibration": "batch"}
    choices = Choices(PROFILES["embedded"], tasks=("mr",), protocol=readings)
    assert {spec.protocol for spec in plan_trials(resolve(choices, model_of()))} == {
        Protocol(**readings, query_draw="own")
    }
    assert choices.changed == ("tasks", "probe"), "batch is what the profile has"


def own_task(folder, **changes):
    (folder / "trec").mkdir()
    described = ["title = 'TREC'", "fields = ['text']", "template = 'Question: {text} Type:'", "paraphrase = '{text}'"]
    table = [f"{name} = {value}" for name, value in changes.items()]
    lines = [*described, "verbalizers = ['True', 'False']", "[learning_rates]", *table]
    (folder / "trec" / "task.toml").write_text("\n".join(lines))
    for split in ("train", "validation"):
        (folder / "trec" / f"{split}.jsonl").write_text('{"text": "who ?", "label": 1}\n' * 9)
    return f"{folder}/trec"


def test_an_own_task_runs_at_its_own_rate_or_the_median(model_of, tmp_path):
    choices = Choices(PROFILES["embedded"], tasks=("mr", own_task(tmp_path, embedded=0.7)))
    run = resolve(choices, model_of())
    assert {(s.task, s.methods[0].learning_rate) for s in plan_trials(run)} == {("mr", 0.001), ("trec", 0.7)}
    assert run.rates.origin == "of the profile embedded; the task's own for trec"
    median = resolve(replace(choices, profile=PROFILES["tiny"]), model_of()).rates
    assert (median.by_task["trec"], median.origin[-39:]) == (2.5, "the median of the profile tiny for trec")


def test_a_further_known_task_runs_only_where_it_is_named(model_of, monkeypatch, tmp_path):
    task = read_own_task(Path(own_task(tmp_path)))
    monkeypatch.setattr(catalogue, "TASKS", {**TASKS, "trec": task})
    assert [task.name for task in Choices(PROFILES["tiny"]).chosen_tasks()] == list(TASKS)
    assert [task.name for task in Choices(PROFILES["tiny"], tasks=("trec", "cb")).chosen_tasks()] == ["cb", "trec"]


def test_the_same_draw_twice_is_no_second_observation(tmp_path):
    with pytest.raises(UsageError, match=r"Two of the seeds are the same: expected different ones.*got 2, 2"):
        Choices(PROFILES["tiny"], seeds=(2, 2))
    described = Path(own_task(tmp_path)) / "task.toml"
    described.write_text("runs = [[1, 0], [1, 0]]\n" + described.read_text())
    with pytest.raises(IclClaimsError, match="different pairs of a seed"):
        read_own_task(described.parent)


@pytest.mark.parametrize("device", [None, "auto", "cpu", "spread"])
def test_the_device_of_a_run_is_that_of_the_model_it_loads(device):
    choices = Choices(PROFILES["tiny"], device=device, tasks=("cb",))
    (planned, *_) = plan_trials(resolve(choices))
    assert planned.device == choices.load_model().device.type
    assert planned.dtype == "float32"
