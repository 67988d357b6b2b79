"""Several models in one run: how they are named, what each is asked, and what they say together."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace

import pytest

from icl_claims.engines.choices import engine_choice
from icl_claims.errors import UsageError
from icl_claims.experiments.model_list import models_of_references, read_models
from icl_claims.models.reference import load_model
from icl_claims.models.size import parameters_of
from icl_claims.pytest_plugin.budget import Budget
from icl_claims.pytest_plugin.columns import choices_of, columns_of
from icl_claims.pytest_plugin.engine_trials import EngineOfRun, EngineTrials
from icl_claims.pytest_plugin.events import tell_nobody
from icl_claims.pytest_plugin.workers import ClaimScheduling
from icl_claims.report.across_models import models_of, over_models, trend_of
from icl_claims.report.document import make_document
from icl_claims.report.ledger import command_of, entries_of
from icl_claims.report.page import render_page
from tests.fast.sample_claims import RUN, sample_record

LIST = """
[[model]]
reference = "path:/somewhere/Small"
dtype = "float16"
k = 4
rates = "rates.json"

[[model]]
reference = "hub:org/large"
name = "the-large"
parameters = 7e9
profile = "paper"
"""


@pytest.fixture
def listed(tmp_path, monkeypatch):
    monkeypatch.delenv("ICL_CLAIMS_DATA", raising=False)
    (tmp_path / "rates.json").write_text("{}")
    path = tmp_path / "models.toml"
    path.write_text(LIST)
    return path


def test_a_list_says_what_differs_for_each_model(listed):
    small, large = read_models(listed)
    assert (small.name, small.parameters) == ("Small", None)
    assert small.given == {
        "model": "path:/somewhere/Small",
        "dtype": "float16",
        "k": 4,
        "rates": str(listed.parent / "rates.json"),
    }
    assert (large.name, large.parameters) == ("the-large", 7_000_000_000)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("model = 3", "lists no models"),
        ("", "lists no models"),
        ("[[model]\n", "cannot be read"),
        ('[[model]]\nname = "a"', "no reference"),
        ('[[model]]\nreference = "tiny"\nmodels = "a"', "no option.*got models"),
        ('[[model]]\nreference = "tiny"\nseeds = "1,2"', "no option.*got seeds"),
        ('[[model]]\nreference = "tiny"\nk = "8"', "k of a model.*whole number"),
        ('[[model]]\nreference = "tiny"\nk = true', "k of a model.*whole number"),
        ('[[model]]\nreference = "tiny"\nparameters = "many"', "parameters of tiny.*no number"),
        ('[[model]]\nreference = "tiny"\nname = "a b"', "name.*makes no sense"),
        ('[[model]]\nreference = "tiny"\n[[model]]\nreference = "tiny"', "one name.*a name for each"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(tmp_path, text, match):
    path = tmp_path / "models.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"(?s){match}"):
        read_models(path)


def test_references_are_called_by_their_last_part(tmp_path):
    references = [f"path:{tmp_path}/a b/", "hub:org/Name-1.5B", "gguf:x/y.Q4_K_M.gguf", "embedded"]
    assert [one.name for one in models_of_references(references)] == ["a-b", "Name-1.5B", "y.Q4_K_M", "embedded"]
    with pytest.raises(UsageError, match="one name"):
        models_of_references(["hub:a/one", "hub:b/one"])


def columns(pytester, *options):
    config = pytester.parseconfig(*options)
    return {one.key: choices_of(config, one.key) for one in columns_of(config)}


def test_each_model_is_a_column_with_a_set_up_of_its_own(pytester, listed):
    found = columns(pytester, "--claims-model=tiny", "--claims-model=embedded", f"--claims-models={listed}")
    assert [*found] == ["tiny", "embedded", "Small", "the-large"]
    assert all(choices.profile.name == name for name, choices in found.items())
    assert found["tiny"].source.name != found["Small"].source.name
    assert (found["tiny"].changed, found["embedded"].changed) == ((), ())
    assert found["Small"].changed == ("model", "k", "dtype", "rates")
    assert (found["Small"].draws, found["Small"].profile.needs_cuda) == (found["embedded"].draws, False)
    assert found["the-large"].profile.needs_cuda


def test_a_profile_that_was_named_is_that_of_all_but_those_with_one_of_their_own(pytester, listed):
    found = columns(pytester, "--claims-model=tiny", f"--claims-models={listed}", "--claims-profile=embedded")
    assert "model" in found["tiny"].changed, "tiny under the profile of another model is no set-up as it stands"
    assert found["the-large"].profile.needs_cuda


def test_one_model_is_the_run_s_own(pytester):
    assert [*columns(pytester, "--claims-model=tiny")] == ["", "paper"]


def test_a_mistake_in_the_list_is_told_before_anything_runs(pytester, listed):
    listed.write_text(LIST.replace('"float16"', '"float8"'))
    result = pytester.runpytest_inprocess(f"--claims-models={listed}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--claims-dtype has no such value*float8*"])


def test_tests_of_a_model_go_to_the_groups_of_that_model(pytester):
    config = pytester.parseconfig("--claims-model=hub:a/x", "--claims-model=hub:a/x-large", "--tx=2*popen")
    scheduling = ClaimScheduling(config, 2)
    scopes = [
        scheduling._split_scope(f"t.py::test_{name}") for name in ("a[trials-x]", "a[trials-x-large]", "b[exact]")
    ]
    assert scopes == ["trials-x 0", "trials-x-large 0", "t.py::test_b[exact]"]


def test_parts_of_a_budget_are_equal_and_end_with_the_whole():
    whole = Budget(time.time() + 900, set=True)
    part = whole.part(3)
    assert part.until == pytest.approx(time.time() + 300, abs=5)
    assert part.set
    assert not part.over
    part.end()
    assert whole.over
    assert Budget().part(2).until is None


def test_on_an_engine_too_each_model_has_a_part_of_its_own(pytester):
    whole = Budget(time.time() + 900, set=True)
    engine = EngineOfRun(pytester.parseconfig(), engine_choice("dask"), whole, tell_nobody)
    run = SimpleNamespace(choices=SimpleNamespace(profile=SimpleNamespace(name="a")))
    first, second = (EngineTrials(run, engine, Budget(until, set=True, whole=whole)) for until in (0.0, whole.until))
    assert (first.over, second.over) == (True, False)
    for trials in (first, second):
        assert list(trials("nothing", [])) == []
        assert engine.budget is trials.budget


@pytest.mark.parametrize("reference", ["tiny"])
def test_parameters_are_counted_from_the_files_as_the_loaded_model_has_them(reference):
    network = load_model(reference).network
    assert parameters_of(reference) == sum({id(p): p.numel() for p in network.parameters()}.values())


def of_model(name, parameters, verdict, estimate):
    effect = {"estimate": estimate, "low": estimate - 0.1, "high": estimate + 0.1, "kind": ""}
    return sample_record(
        profile=name,
        verdict=verdict,
        effect=effect,
        provenance={"parameters": parameters, "trials": []},
        test=f"claims/x.py::test_x[trials-{name}]",
    )


RECORDS = [
    of_model("b", 2000, "refuted", -0.2),
    of_model("a", 1000, "supported", 0.3),
    of_model("c", None, "supported", 0.1),
]
OPTIONS = {
    "profile": "embedded",
    "tasks": "sst2",
    "models": {name: {"model": f"hub:x/{name}", "profile": "embedded"} for name in "bac"},
}


def test_the_page_has_a_matrix_and_a_plot_by_model_with_the_smallest_first():
    page = render_page(make_document({**RUN, "options": OPTIONS}, RECORDS), {})
    matrix = page[page.index('<table class="matrix"') :]
    text = " ".join(re.sub(r"<[^>]+>", " ", matrix[: matrix.index("</table>")]).split())
    assert text == (
        "Claim a 1K b 2K c over models lc-aou-5of6 supported refuted supported supported on 2 of 3 models, refuted on 1"
    )
    by_model = page[page.index("Trials by model, the smallest first") :]
    by_model = by_model[: by_model.index("</table>")]
    assert by_model.count('<svg class="forest') == 3
    assert re.findall(r'<th scope="row"><bdi>(\w)</bdi>', by_model) == ["a", "b", "c"]


def test_a_run_of_one_model_has_no_matrix():
    page = render_page(make_document({**RUN, "options": {"profile": "tiny"}}, RECORDS[:1]), {})
    assert 'class="matrix"' not in page
    assert "Trials by model" not in page


def test_the_command_of_a_claim_names_its_model_alone():
    assert command_of({**RECORDS[1], "asks": None}, OPTIONS) == (
        "icl-claims run 'claims/x.py::test_x[trials]' "
        "--claims-profile embedded --claims-tasks sst2 --claims-model hub:x/a"
    )


def test_a_run_that_names_no_models_has_none():
    assert models_of(RECORDS, {"profile": "tiny"}) == []


def test_claims_of_one_column_are_not_counted_over_models():
    assert over_models(entries_of(make_document(RUN, RECORDS[:1])["claims"])) == {}


def test_size_and_effect_are_compared_where_enough_models_have_both():
    assert trend_of([(1, 0.1), (2, 0.2), (3, 0.3)]) == ""
    assert trend_of([(1, 0.1), (1, 0.2), (1, 0.3), (1, 0.4)]) == ""
    assert trend_of([(1, 0.1), (2, 0.1), (3, 0.1), (4, 0.1)]) == ""
    assert trend_of([(1, 0.4), (2, 0.3), (3, 0.2), (4, 0.1)]).startswith("the effect falls with size")
