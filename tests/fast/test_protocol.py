"""Where papers and code differ is said once: the README and the report say it from the same data."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from icl_claims.errors import UsageError
from icl_claims.protocol import DIFFERENCES, Protocol, choices
from icl_claims.report.page import page_environment

README = Path(__file__).parents[2] / "README.md"


def differences_table() -> str:
    """`DIFFERENCES` in Markdown, with the option of `icl-claims trial` that chooses."""
    rows = [("what", "the papers say", "the authors' code does, as we by default", "option"), ("---",) * 4]
    for one in DIFFERENCES:
        rows.append((one.title, one.papers, one.code, f"`--{one.name.replace('_', '-')}`" if one.name else ""))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def test_the_readme_has_the_table_of_differences():
    assert differences_table() in README.read_text(encoding="utf-8")


def test_the_page_has_every_difference():
    page = page_environment().get_template("_differences.jinja").render(differences=DIFFERENCES)
    assert page.count('<th scope="row">') == len(DIFFERENCES) == 16
    assert "<code>template_end</code>" in page
    assert not {"`", "'"} & set(page.partition("<tbody>")[2])


def test_the_default_is_the_first_value_and_has_its_reading():
    assert tuple(one.name for one in choices()) == tuple(field.name for field in fields(Protocol))
    for one in choices():
        assert one.values[0] == getattr(Protocol(), one.name)
        assert all((one.title, one.code, one.papers, one.help))
        assert all(value in one.help for value in one.values)


def test_every_reading_with_a_difference_is_in_the_table_once():
    named = [one.name for one in DIFFERENCES if one.name]
    assert sorted(named) == sorted(one.name for one in choices() if one.changes)


def test_an_unknown_value_is_refused_by_the_name_of_the_option():
    with pytest.raises(UsageError, match="probe has no such value: expected label_token or template_end, got") as e:
        Protocol(probe="x")
    assert e.value.as_told(lambda field: f"--{field}").startswith("--probe has no such value")
