"""Where papers and code differ is said once: the documentation and the report say it from the same data."""

from __future__ import annotations

from dataclasses import fields

import pytest

from docs.pages_of_declarations import forks
from icl_claims.errors import UsageError
from icl_claims.protocol import DIFFERENCES, Protocol, choices
from icl_claims.report.page import page_environment


def test_the_documentation_has_every_difference_with_its_option():
    page = forks()
    for one in DIFFERENCES:
        option = f"`--{one.name.replace('_', '-')}`" if one.name else ""
        assert f"| {one.title} | {one.papers} | {one.code} | {option} |\n" in page
        assert one.changes in page


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
