"""What a trial measured fits the terminal, whatever its width, and nothing is left out."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from icl_claims.cli.trial import _titles, means, print_trial
from icl_claims.methods import Finetuning
from tests.fast.stored_trials import made_up_result


@pytest.fixture
def result():
    found = made_up_result()
    shown = {"notes": [], "data": "miniature", "demonstrations_in_context": 3, "model": "made up"}
    return replace(found, provenance=found.provenance | shown)


@pytest.fixture
def printed(result):
    def printed(width):
        page = StringIO()
        print_trial(Console(file=page, width=width), result, "of the profile")
        return page.getvalue()

    return printed


@pytest.mark.parametrize("width", [60, 80, 120, 250])
def test_every_number_is_shown_within_the_width(result, printed, width):
    text = printed(width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    titles = {method.name: method.title for method in result.measured}
    for method, row in means(result).items():
        assert set(titles[method].split()) <= set(text.split())
        for value in row.values():
            assert f"{value:.3g}" in text


def test_methods_and_metrics_are_called_as_in_print(printed):
    text = printed(1000)  # no title is broken into lines
    assert all(
        title in text for title in ("zero-shot", "SimAOU", "drift of the weights", "loss of the logit lens (nats)")
    )
    assert not {"zero_shot", "sim_aou", "lens_loss"} & set(text.split())


def test_things_that_share_a_title_are_told_apart_by_name(result):
    twins = (
        Finetuning(),
        SimpleNamespace(name="mine", title="finetuning"),
        SimpleNamespace(name="other", title="other"),
    )
    assert _titles(twins) == {
        "finetuning": "finetuning (finetuning)",
        "mine": "finetuning (mine)",
        "other": "other",
    }


def test_a_wide_terminal_has_fewer_tables(printed):
    tables = [printed(width).count("method") for width in (60, 300)]
    assert tables[0] > tables[1] == 1


def test_times_are_summed_over_methods(result, printed):
    seconds = {"learn finetuning": 1.0, "learn layer_causal": 2.5, "answer zero_shot": 0.25, "metrics": 0.1}
    result.seconds.clear()
    result.seconds.update(seconds)
    assert "learn 3.5 s, answer 0.2 s, metrics 0.1 s" in printed(300)
