"""The command icl-claims: its help teaches, its errors name what is wrong, and its JSON holds what its tables show."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast
from typer.testing import CliRunner

from icl_claims import __version__, cli
from icl_claims.experiments.options import OPTIONS, PYTEST, options_of
from icl_claims.experiments.profiles import Choices
from icl_claims.models.random_models import fill_at_random
from icl_claims.protocol import Protocol, choices
from icl_claims.tasks.catalogue import PAPERS_TASKS
from icl_claims.tasks.sources import vocabulary

COMMANDS = {
    "run",
    "list",
    "rules",
    "replicate",
    "specifications",
    "studies",
    "trial",
    "plan",
    "tune",
    "tune-prompting",
    "doctor",
    "export",
    "compare",
}
ROOT = Path(__file__).parents[2]
OWN = ROOT / "examples" / "own_study"
WITHOUT_QUESTION = {"clip-task-dependent", "lin-memory"}  # claims about tasks that keep a body


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of random weights whose tokens are the words of the synthetic tasks."""
    words = ["<s>", "<pad>", "</s>", "<unk>", *vocabulary()]
    plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    config = LlamaConfig(num_hidden_layers=2, vocab_size=len(words), max_position_embeddings=512, **shape, **ids)
    network = AutoModelForCausalLM.from_config(config)
    fill_at_random(network, 0)
    made = tmp_path_factory.mktemp("model")
    network.save_pretrained(made)
    PreTrainedTokenizerFast(tokenizer_object=plain, **special).save_pretrained(made)
    return made


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ICL_CLAIMS_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "cache"


@pytest.fixture
def small(folder):
    return ("--profile", "tiny", "--model", f"path:{folder}", "--k", 4, "--device", "cpu")


# Help


def help_of(*arguments):
    shown = CliRunner().invoke(cli.app, [*arguments, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.stdout)


def test_the_help_names_commands_and_says_how_claims_are_run():
    page = help_of()
    assert all(re.search(rf"\b{name}\b", page) for name in COMMANDS)
    assert "pytest claims/" in page
    assert {command.name or command.callback.__name__ for command in cli.app.registered_commands} == COMMANDS


@pytest.mark.parametrize(
    ("command", "taught"),
    [
        ("trial", ["For example: icl-claims trial", "fairseq:DIR", "--dtype", "bfloat16", "spread"]),
        (
            "plan",
            ["For example: icl-claims plan", "--queries", "--seeds", "memory", "nothing is cached", "bound", "--json"],
        ),
        ("tune", ["For example: icl-claims tune", "never read", "--held-out", "--write", "larger of equals"]),
        ("list", ["sources of evidence", "what it asks", "--things", "--json"]),
        ("rules", ["For example: icl-claims rules", "--write", "--today", "keeps its date", "exit code is 1"]),
        ("doctor", ["what is missing"]),
        ("cache", ["import those of another machine"]),
        ("cache ls", ["icl-claims cache import DIR"]),
        ("cache import", ["For example: icl-claims cache import", "nothing here is lost", "Verdicts are not imported"]),
    ],
)
def test_the_help_of_a_command_teaches_it(command, taught):
    page = " ".join(help_of(*command.split()).replace("│", " ").split())
    for words in taught:
        assert words in page


def test_every_option_of_every_command_is_explained():
    for command in cli.app.registered_commands:
        page = help_of(command.name or command.callback.__name__)
        for line in page.splitlines():
            found = re.match(r"│\s+\*?\s*(--[\w-]+)\s+(.*)│", line)
            if found:
                assert len(re.sub(r"TEXT|INTEGER|FLOAT|PATH|DIRECTORY|RANGE|\[.*?\]", "", found[2]).split()) > 0, line


def test_without_arguments_the_help_is_shown():
    assert "Usage" in CliRunner().invoke(cli.app, []).output


def test_the_version_is_shown(run):
    code, out, _ = run("--version")
    assert (code, out) == (0, f"icl_claims {__version__}\n")


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "/nowhere"), "No claims were found in /nowhere"),
        (("trial", "--task", "imdb"), "The task is unknown: expected one of sst2"),
        (
            ("trial", "--task", "sst2", "--methods", "adam", "--profile", "tiny"),
            "--methods names an unknown one: expected all, or",
        ),
        (
            ("trial", "--task", "sst2", "--clip", "0", "--profile", "tiny"),
            "--clip is too small: expected a norm above 0",
        ),
        (
            ("trial", "--task", "sst2", "--clip-norm", "l3", "--profile", "tiny"),
            "--clip-norm has no such value: expected global_l2 or",
        ),
        (
            ("trial", "--task", "sst2", "--weights", "half", "--profile", "tiny"),
            "--weights has no such value: expected trained or",
        ),
        (("plan", "--studies", "clip", "--profile", "tiny"), "Unknown study"),
        (("trial", "--task", "sst2", "--model", "gpt17"), "Unknown model reference"),
        (("trial", "--task", "sst2", "--model", "path:/nowhere"), "No model lies in /nowhere"),
        (("trial", "--task", "sst2", "--data", "/nowhere"), "The data directory"),
        (
            ("trial", "--task", "sst2", "--model", "FOLDER", "--dtype", "int3"),
            "--dtype has no such value: expected float32 or",
        ),
        (("trial", "--task", "sst2", "--model", "FOLDER", "--device", "gpu"), "Unknown device"),
        (
            ("trial", "--task", "sst2", "--model", "FOLDER", "--profile", "tiny", "--probe", "x"),
            "--probe has no such value: expected label_token or template_end, got 'x'",
        ),
        (("trial", "--task", "sst2", "--profile", "huge"), "Unknown profile: expected one of tiny, embedded, paper"),
        (("plan", "--profile", "paper"), "has no model of its own. Name one: --model fairseq:DIR"),
        (("plan", "--seeds", "1,x"), "--seeds cannot be read: expected whole numbers"),
        (("plan", "--model", "FOLDER", "--profile", "tiny", "--rates", "no.json"), "The file of --rates is not there"),
        (("cache", "import", "/nowhere"), "No stored trials lie in /nowhere: expected a cache folder, got nothing"),
        (("tune", "--tasks", "imdb"), "The task is unknown"),
        (("tune", "--tasks", ","), "--tasks names nothing: expected names separated by commas"),
        (("tune", "--model", "FOLDER", "--profile", "tiny", "--k", 240), "No training example of"),
        (("tune", "--model", "FOLDER", "--profile", "tiny", "--write", "/dev/null/x"), "cannot be written"),
    ],
)
def test_an_error_is_one_named_message_and_exit_code_2(run, folder, arguments, message):
    code, out, err = run(*(f"path:{folder}" if word == "FOLDER" else word for word in arguments))
    assert code == 2
    assert message in err
    assert err.startswith("icl-claims: ")
    assert "Traceback" not in out + err


@pytest.mark.parametrize("arguments", [("trial",), ("nonsense",), ("plan", "--k", "0"), ("tune", "--held-out", "none")])
def test_a_malformed_command_line_is_refused_with_exit_code_2(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2
    assert "Traceback" not in out + err


def test_as_a_program_an_error_leaves_no_traceback_either():
    program = [sys.executable, "-c", "from icl_claims.cli import main; main()", "list", "/nowhere"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("icl-claims: No claims were found in /nowhere")
    assert "Traceback" not in done.stderr


# Commands


def listed(folder, *options):
    program = [sys.executable, "-c", "from icl_claims.cli import main; main()", "list", str(folder), *options]
    return subprocess.run(program, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_the_list_names_every_claim_of_the_project_once():
    found = json.loads(listed(ROOT / "claims", "--json"))
    claims = found["claims"]
    ids = [claim["id"] for claim in claims]
    declared = {
        name
        for file in (ROOT / "claims").rglob("test_*.py")
        for name in re.findall(r"@\w+\.claim\(\s*\"([\w-]+)\"", file.read_text(encoding="utf-8"))
    }
    assert len(ids) == len(set(ids)) > 20
    assert len(declared) > 20
    assert declared <= set(ids)
    for claim in claims:
        assert claim["sources"]
        assert all(claim[field] for field in ("paper", "where", "statement", "rule"))
        assert claim["asks"] or "trials" not in claim["sources"] or claim["id"] in WITHOUT_QUESTION
    assert [task["name"] for task in found["tasks"]] == list(PAPERS_TASKS)
    assert {metric["name"] for metric in found["metrics"]} > {"sim_aou", "sim_am", "rpa"}


def test_the_list_shows_what_claims_of_ones_own_ask_about(run):
    code, out, _ = run("list", OWN, "--json")
    assert code == 0
    found = json.loads(out)
    asked = {claim["id"]: claim["asks"] for claim in found["claims"]}
    assert asked["cka-invariant"] == []
    adam = "finetuning with Adam"
    assert (
        asked["adam-like-icl"][0]
        == f"linear CKA of {adam} above linear CKA of a Gaussian update as long as that of {adam}"
    )
    assert {metric["name"]: metric["title"] for metric in found["metrics"]} == {
        "cka": "linear CKA",
        "sim_aou": "SimAOU",
    }
    assert all(metric["definition"] for metric in found["metrics"])
    method = next(method for method in found["methods"] if method["name"] == "adam")
    nulls = [f"a Gaussian update as long as that of {adam}", f"another query's update by {adam}"]
    assert (method["title"], method["variant_of"], method["nulls"]) == (adam, "", nulls)
    topics = {"name": "topics", "title": "Topics", "labels": ["Sports", "Business", "Technology"]}
    assert found["tasks"] == [topics]


def test_the_list_prints_questions_and_things(run):
    short, whole = (" ".join(run("list", OWN, *options)[1].split()) for options in ((), ("--things",)))
    for shown in (short, whole):
        assert "adam-like-icl" in shown
        assert "linear CKA of finetuning with Adam above" in shown
    for words in ("variant of", "nulls", "Topics", "unit", "definition", "Sports; Business; Technology"):
        assert words in whole
        assert words not in short or words == "Topics"


def test_a_trial_knows_the_methods_and_metrics_of_claims(run):
    asked = ("trial", "--profile", "tiny", "--methods", "adam", "--task", OWN / "tasks" / "topics", "--k", 4)
    code, out, err = run(*asked, "--claims", OWN, "--queries", 6, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert {"cka", "sim_aou", "accuracy"} <= set(told["metrics"]["adam"])
    assert {"gaussian_of_adam", "other_query_of_adam"} <= set(told["metrics"])
    assert [metric["name"] for metric in told["spec"]["metrics"]] == ["cka"]
    code, _, err = run(*asked)
    assert code == 2
    assert "--methods names an unknown one" in err
    code, _, err = run(*asked, "--claims", "/nowhere")
    assert (code, "No claims were found in /nowhere" in err) == (2, True)


def test_a_trial_prints_json_with_its_numbers(run, small):
    code, out, _ = run("trial", *small, "--task", "sst2", "--queries", 6, "--json")
    assert code == 0
    told = json.loads(out)
    nulls = {"random_update", "gaussian_of_finetuning", "other_query_of_finetuning", "demonstration_lengths"}
    assert set(told["metrics"]) == {"zero_shot", "in_context", "finetuning"} | nulls
    assert len(told["gold"]) == 6
    assert told["spec"]["dtype"] == "float32"
    assert "found for another model" in told["learning_rates"]
    assert told["provenance"]["notes"] == []


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_trial_in_half_precision_says_so_and_is_another_trial(run, small, dtype):
    _, out, _ = run("trial", *small, "--task", "cb", "--queries", 6, "--dtype", dtype, "--json")
    told = json.loads(out)
    assert told["spec"]["dtype"] == dtype
    assert not told["failures"]


def test_a_trial_on_all_gpus_without_any_is_one_on_the_cpu(run, folder):
    asked = ("trial", "--profile", "tiny", "--model", f"path:{folder}", "--k", 4, "--task", "sst2", "--queries", 6)
    spread, alone = (json.loads(run(*asked, "--device", device, "--json")[1]) for device in ("spread", "cpu"))
    assert spread["metrics"] == alone["metrics"]


SLOWLY = ("--learning-rate", 0.1)  # at the tiny model's own rates a first-order expansion of another one diverges


def test_all_methods_and_controls_of_tasks_are_one_command(run, small):
    code, out, _ = run("trial", *small, "--task", "sst2,cb", "--queries", 4, "--methods", "all", *SLOWLY, "--json")
    assert code == 0
    told = json.loads(out)
    weights = ["trained", "embeddings_norms_head", "norms", "nothing"]
    assert [(trial["spec"]["task"], trial["spec"]["weights"]) for trial in told] == [
        (task, kept) for task in ("sst2", "cb") for kept in weights
    ]
    for trial in told:
        assert not trial["failures"]
    assert {"linearized", "finetuning_order_10", "in_context_random_labels"} <= set(told[0]["metrics"])


def test_parameters_of_a_trial_are_in_its_record(run, small):
    readings = {"loss": "label_only", "clip_norm": "l_inf", "probe": "template_end", "truncation": "both"}
    readings |= {"order": "same", "random_baseline": "state", "agreement": "changed", "calibration": "contextual"}
    readings |= {"query_draw": "same", "separator": "end_of_text"}
    others = {"permutation": 1, "weights": "norms"}
    options = [
        text
        for name, value in (readings | others | {"clip": 2.0}).items()
        for text in (f"--{name.replace('_', '-')}", value)
    ]
    code, out, _ = run("trial", *small, "--task", "cb", "--queries", 4, "--methods", "layer_causal", *options, "--json")
    assert code == 0
    spec = json.loads(out)["spec"]
    assert {name: spec[name] for name in others} == others
    assert spec["protocol"] == readings
    (method,) = spec["methods"]
    assert (method["name"], method["clip"]["norm"], method["clip"]["at"]) == ("layer_causal_clip_2", None, 2.0)


def test_clipping_reaches_methods_within_methods_and_no_others(run, small):
    asked = ("--task", "cb", "--queries", 4, "--clip", 2, "--json")
    code, out, _ = run("trial", *small, *asked, "--methods", "finetuning_cyclic_labels,in_context_order_1")
    assert code == 0
    tuned, untuned = json.loads(out)["spec"]["methods"]
    assert tuned["method"]["clip"]["at"] == 2.0
    assert "clip" not in untuned["method"]
    for refused in ("linearized", "layer_causal_clip_12"):
        code, _, err = run("trial", *small, *asked, "--methods", refused)
        assert code == 2
        assert "--clip does not fit a method: expected methods that can be clipped" in err
        assert f"got {refused}. Name the others: --methods" in err


def test_errors_name_the_options_of_this_command(run, small):
    code, _, err = run("trial", *small, "--task", "cb", "--device", "cuda")
    assert code == 2
    assert "device cpu" in err
    assert "--claims-device" not in err


def test_records_are_written_in_the_layout_of_the_authors_code(run, small, tmp_path):
    asked = ("--task", "sst2", "--queries", 4, "--methods", "finetuning,layer_causal")
    code, _, _ = run("trial", *small, *asked, "--export-records", tmp_path / "records")
    assert code == 0
    lines = {
        path.parent.name: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (tmp_path / "records").rglob("record_info.jsonl")
    }
    assert set(lines) == {"zs", "icl", "finetuning", "layer_causal"}
    for records in lines.values():
        assert len(records) == 4
        assert set(records[0]) == {"self_attn_out_hiddens", "attn_map", "gold_label", "pred_label"}


def test_a_trial_prints_a_table(run, small):
    code, out, _ = run("trial", *small, "--task", "sst2", "--queries", 6, "--learning-rate", 0.01)
    assert code == 0
    assert "zero-shot" in out
    assert "Learning rates: named" in out


CLAIMS = """
    from icl_claims import Finetuning, LayerCausal, Paper, ZeroShot, accuracy, at_least, sim_aou

    note = Paper("mine", "A note")

    @note.claim("learns", where="section 1", rule=at_least(1, of=2), on="trials")
    def test_learns():
        "Finetuning answers better than the model does at first."
        return accuracy(Finetuning()) > accuracy(ZeroShot())

    @note.claim("similar", where="section 2", rule=at_least(1, of=1), on="trials")
    def test_similar():
        "Layer-causal finetuning is more like in-context learning on CB."
        return (sim_aou(LayerCausal()) > sim_aou(Finetuning())).on("cb")
"""


@pytest.fixture(scope="module")
def two_claims(tmp_path_factory):
    """A folder of two claims that trials decide, one of which needs another method, and untrained weights, on CB."""
    made = tmp_path_factory.mktemp("claims")
    (made / "test_two_planned_claims.py").write_text(dedent(CLAIMS), encoding="utf-8")
    return made


FEW = ("--tasks", "sst2,cb", "--queries", 6, "--studies", "untrained")


def test_a_plan_is_what_the_claims_ask_for_and_keeps_nothing(run, small, two_claims, cache):
    code, out, err = run("plan", two_claims, *small, *FEW, "--seeds", "1,2", "--json")
    assert code == 0, err
    told = json.loads(out)
    asked = {(one["task"], one["weights"], one["apart"]): (one["methods"][2:], one["claims"]) for one in told["asked"]}
    both, of_cb = ["finetuning", "layer_causal"], ["learns", "similar"]
    assert asked == {
        ("sst2", "trained", True): ([], ["learns"]),
        ("cb", "trained", True): ([], of_cb),
        ("sst2", "trained", False): (["finetuning"], ["learns"]),
        ("cb", "trained", False): (both, of_cb),
        ("cb", "embeddings_norms_head", False): (both, ["similar"]),
    }
    assert told["total"]["steps"] == 2 * 4 * (1 + 2 + 2)
    assert [(one["look"], one["trials"], one["missing"]) for one in told["rounds"]] == [(2, 10, 10)]
    assert 0 < told["seconds"] == pytest.approx(sum(one["seconds"] for one in told["rounds"]))
    assert told["claims"] == of_cb
    assert told["memory"]["weights"] > 0
    assert not (cache / "trials").exists()


def test_a_plan_goes_look_by_look_and_finds_what_is_cached(run, small, two_claims):
    run("trial", *small, "--task", "sst2", "--queries", 6, "--methods", "finetuning", "--seed", 9)
    _, out, _ = run("plan", two_claims, *small, *FEW, "--json")
    told = json.loads(out)
    assert [(one["look"], one["trials"], one["stored"]) for one in told["rounds"]] == [
        (8, 40, 0),
        (12, 20, 1),
        (16, 20, 0),
        (20, 20, 0),
        (24, 20, 0),
    ]
    for one in told["asked"]:
        seeds = [seed for part in one["rounds"] for seed, _ in part["draws"]]
        assert seeds == [1_000_000 * one["apart"] + number for number in range(24)]
        for name in ("trials", "stored"):
            assert told[name] == sum(part[name] for other in told["asked"] for part in other["rounds"])


@pytest.mark.parametrize("columns", [80, 100])
def test_a_plan_prints_tables_that_fit_with_time_and_memory(run, small, two_claims, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = run("plan", two_claims, *small, *FEW)
    assert code == 0
    words = " ".join(out.split())
    for said in ("What 2 claims ask of trials", "SST2", "8 draws", "24 draws", "until then", "GiB", "120 trials"):
        assert said in words
    assert re.search(
        r"every claim takes about \d+ \w+ in all, the cheapest first; at most \d+ \w+, if nothing is decided before 24",
        words,
    )
    assert max(map(len, out.splitlines())) <= columns
    assert "…" not in out


def test_a_number_of_draws_that_is_asked_for_takes_one_time(run, small, two_claims):
    code, out, _ = run("plan", two_claims, *small, *FEW, "--replicates", 3)
    assert code == 0
    assert re.search(r"About \d+ \w+: 3 draws of each task, as was asked for", out)
    assert "until then" not in out


def test_a_plan_of_what_is_cached_says_that_nothing_is_run(run, small, two_claims, monkeypatch):
    monkeypatch.setattr("icl_claims.experiments.trial_store.TrialStore.missing", lambda *_given: None)
    code, out, _ = run("plan", two_claims, *small, *FEW, "--seeds", "1,2")
    assert code == 0
    assert "Everything is cached: no trial is run." in out
    assert "About 1 s" not in out


def test_a_plan_of_what_no_claim_asks_for_says_so(run, small):
    code, _, err = run("plan", OWN, *small, "--tasks", "cb")
    assert code == 2
    assert f"No claim in {OWN} asks for trials on CB" in err
    code, _, err = run("plan", "/nowhere", *small)
    assert (code, "No claims were found in /nowhere" in err) == (2, True)


@pytest.mark.parametrize(("waited", "said"), [(0.4, True), (0.01, False)])
def test_a_plan_says_when_its_measurement_was_disturbed(run, small, two_claims, monkeypatch, waited, said):
    monkeypatch.setattr("icl_claims.experiments.disturbance.waited", lambda _threads: lambda: waited)
    _, out, _ = run("plan", two_claims, *small, "--tasks", "sst2", "--queries", 6, "--seeds", "1,2")
    assert ("For 40% of the measurement its threads waited for a processor that other programs used" in out) == said


@pytest.mark.parametrize(
    "command", [("plan", "--seeds", "1,2"), ("tune", "--held-out", 8, "--seeds", "1"), ("trial", "--queries", 4)]
)
def test_a_model_is_loaded_once_and_not_before_the_rest_is_right(run, small, two_claims, monkeypatch, command):
    loaded = []
    load = Choices.load_model
    monkeypatch.setattr(Choices, "load_model", lambda *given: loaded.append(1) or load(*given))
    monkeypatch.setattr("icl_claims.experiments.plan.model_digest", lambda *_, **__: pytest.fail("read twice"))
    name, *rest = command
    rest += [two_claims] if name == "plan" else []
    task = "--task" if name == "trial" else "--tasks"
    code, _, err = run(name, *small, task, "sst2", *rest)
    assert (code, loaded) == (0, [1]), err
    code, _, _ = run(name, *small, task, "imdb", *rest)
    assert (code, loaded) == (2, [1])


def test_rates_that_were_tuned_are_those_of_the_next_trial(run, small, cache):
    code, out, _ = run("tune", *small, "--tasks", "sst2", "--seeds", "1,2", "--held-out", 8, "--json")
    assert code == 0
    told = json.loads(out)
    rate = told["tasks"]["sst2"]["learning_rate"]
    assert list(told["tasks"]["sst2"]["accuracies"]) == ["0.001", "0.003", "0.01", "0.03", "0.1", "0.3"]
    assert told["tasks"]["sst2"]["seeds"] == [1, 2]
    assert Path(told["file"]).is_relative_to(cache)
    _, out, _ = run("trial", *small, "--task", "sst2", "--queries", 6, "--json")
    told = json.loads(out)
    assert told["spec"]["methods"][0]["learning_rate"] == rate
    assert "found for this model" in told["learning_rates"]


def test_the_best_way_to_prompt_is_found_and_named(run, small):
    asked = ("tune-prompting", *small, "--tasks", "sst2", "--k", "2,4", "--seeds", "1,2", "--held-out", 4)
    code, out, err = run(*asked, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert (told["ks"], told["seeds"], told["held_out"]) == ([2, 4], [1, 2], 4)
    ways = [(way["k"], way["separator"], way["calibration"]) for way in told["ways"]]
    assert sorted(ways) == [(k, "end_of_text", how) for k in (2, 4) for how in ("batch", "contextual", "none")]
    assert tuple(told["best"].values()) == ways[0]
    assert set(told["ways"][0]["tasks"]["sst2"]) == {
        *("in_context", "zero_shot", "most_frequent", "p_value", "learned")
    }
    code, out, _ = run(*asked)
    assert code == 0
    k, separator, calibration = ways[0]
    assert f"--k {k} --separator {separator} --calibration {calibration}" in " ".join(out.split())
    code, _, err = run(*asked, "--calibration", "some")
    assert (code, "--calibration has no such value" in err) == (2, True)


def test_rates_in_a_file_are_used_when_it_is_named(run, small, tmp_path, cache):
    file = tmp_path / "rates.json"
    code, out, _ = run("tune", *small, "--tasks", "sst2", "--seeds", "1", "--held-out", 8, "--write", file)
    assert code == 0
    assert f"--rates {file}" in out
    assert not (cache / "learning_rates").exists()
    written = json.loads(file.read_text(encoding="utf-8"))
    written["tasks"]["sst2"]["learning_rate"] = 0.0123
    file.write_text(json.dumps(written), encoding="utf-8")
    _, out, _ = run("trial", *small, "--task", "sst2", "--queries", 6, "--rates", file, "--json")
    assert json.loads(out)["spec"]["methods"][0]["learning_rate"] == 0.0123


def test_the_doctor_looks_at_everything_a_run_needs(run):
    code, out, _ = run("doctor")
    assert code == 0
    for what in (
        "Python",
        "libraries",
        "packages",
        "memory",
        "disk",
        "miniature tasks",
        "real tasks",
        "embedded model",
    ):
        assert what in out


def test_the_doctor_names_a_package_that_is_missing(run, monkeypatch):
    monkeypatch.setattr(
        "icl_claims.cli.doctor.metadata.requires", lambda _name: ["accelerate>=1.2", "gguf>=999", "nowhere>=1"]
    )
    _, out, _ = run("doctor")
    assert "1 of 3 needed" in out
    assert "pip install 'gguf>=999' 'nowhere>=1'" in out


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (40, "40 s"), (720, "12 min"), (12600, "3.5 h")])
def test_durations_are_said_in_words(seconds, words):
    from icl_claims.report.words import duration

    assert duration(seconds) == words


def test_every_choice_is_declared_once_and_offered_by_both_doors():
    offered = {option.name for option in options_of(PYTEST)}
    assert {one.name for one in choices()} < offered
    assert offered - {"models", "tasks", "seeds", "first_seed", "replicates", "studies", "tokens_per_batch"} < {
        option.name for option in options_of("trial")
    }
    assert len({option.name for option in OPTIONS}) == len(OPTIONS)
    fields = {field.name for field in (*dataclasses.fields(Choices), *dataclasses.fields(Protocol))}
    assert offered - {"models"} <= fields


def test_a_task_of_ones_own_is_run_where_its_folder_is_named(run, small, tmp_path):
    (tmp_path / "tasks" / "mine").mkdir(parents=True)
    (tmp_path / "tasks" / "mine" / "task.toml").write_text(
        "title = 'Mine'\nfields = ['text']\ntemplate = 'Sentence: {text} Label:'\nparaphrase = 'Input: {text} Label:'\n"
        "verbalizers = ['True', 'False']\n"
    )
    code, out, err = run("trial", *small, "--task", f"cb,{tmp_path}/tasks/mine", "--queries", 4, "--json", *SLOWLY)
    assert code == 0, err
    assert [trial["spec"]["task"] for trial in json.loads(out)] == ["cb", "mine"]
    code, _, err = run("trial", "--profile", "embedded", "--task", f"{tmp_path}/tasks/mine")
    assert (code, "The data of Mine cannot be read" in err) == (2, True)
    claims = tmp_path / "test_planned_claim_of_mine.py"
    claims.write_text(dedent(CLAIMS).replace('"cb"', '"mine"'), encoding="utf-8")
    code, out, err = run("plan", tmp_path, *small, "--queries", 4, "--tasks", f"sst2,{tmp_path}/tasks/mine")
    assert code == 0, err
    assert "Mine" in out


def test_choices_are_read_without_anything_heavy():
    program = "import sys, icl_claims.cli, icl_claims.pytest_plugin; print(*{'torch', 'scipy'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"
