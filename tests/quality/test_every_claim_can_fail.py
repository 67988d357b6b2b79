"""Every claim that mathematics decides has a negative control, and `fixtures/controls.json` lists them all."""

from __future__ import annotations

import json

from tests.quality.controls import ROOT, all_controls, exact_tests


def test_every_exact_claim_has_a_control():
    assert set(exact_tests()) - {control.claim for control in all_controls()} == set()


def test_no_control_is_for_a_claim_that_does_not_exist():
    assert {control.claim for control in all_controls()} - set(exact_tests()) == set()


def test_the_list_that_reports_count_is_complete():
    listed = json.loads((ROOT / "fixtures" / "controls.json").read_text(encoding="utf-8"))
    there = [{"claim": control.claim, "broken": control.broken} for control in all_controls()]
    assert sorted(listed, key=str) == sorted(there, key=str)
