"""A claim says what it asks; the plugin asks it of every source, and of the reader's own methods, metrics and tasks."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

from icl_claims.claims import GENERALLY, Claim, at_least, rethinking
from icl_claims.errors import ClaimError
from icl_claims.evidence.author_runs import AuthorRunsEvidence
from icl_claims.evidence.printed import PrintedEvidence
from icl_claims.methods import Finetuning, LayerCausal
from icl_claims.metrics import sim_am, sim_aou
from icl_claims.report.verdicts import ON_PRINTED

FT, LC = Finetuning(), LayerCausal()
HIGHER = "SimAOU of layer-causal finetuning above SimAOU of finetuning"
IMPORTS = """
    from icl_claims.claims import IN_EVERY_CASE, Paper, Verdict, at_least, nulls_of, rethinking
    from icl_claims.methods import Finetuning, LayerCausal
    from icl_claims.metrics import sim_am, sim_aou

    FT, LC = Finetuning(), LayerCausal()
"""
ONE = """
    @rethinking.claim("one", where="table 2", on="printed author_runs")
    def test_one():
        '''Layer-causal finetuning moves outputs
        more as in-context learning does.'''
        return {asked}
"""


@pytest.fixture
def run_asking(pytester):
    """Run claims, given as source; gives the result and the claims of claims.json by source."""

    def run(*tests, options=()):
        pytester.makepyfile(dedent(IMPORTS) + "".join(map(dedent, tests)))
        result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)
        written = pytester.path / "reports" / "claims.json"
        claims = json.loads(written.read_text(encoding="utf-8"))["claims"] if written.exists() else []
        return result, {claim["source"]: claim for claim in claims}

    return run


def names_beside(claim):
    return [beside["name"] for beside in claim["beside"]]


# Declaring


def test_what_a_claim_asks_is_read_without_evidence():
    @rethinking.claim("some", where="table 2", rule=at_least(5), on="printed trials")
    def test_some():
        """On 5 of 6 tasks
        it is so."""
        return sim_aou(LC) > sim_aou(FT), sim_am(LC) > sim_am(FT)

    claim = test_some.claim
    assert claim.questions == (sim_aou(LC) > sim_aou(FT), sim_am(LC) > sim_am(FT))
    assert (claim.id, claim.paper, claim.statement) == ("some", rethinking, "On 5 of 6 tasks it is so.")
    assert claim.rule.decide(PrintedEvidence("rethinking").ask(claim.questions[0])).word == "supported"


def test_a_claim_that_is_no_comparison_asks_nothing():
    @rethinking.claim("some", where="table 2", on="exact")
    def test_some(evidence, decide):
        """Something holds."""

    assert (test_some.claim.questions, test_some.claim.rule) == ((), GENERALLY)
    assert Claim("some", rethinking, "section 1", "Something holds.").questions == ()


@pytest.mark.parametrize("statement", [None, "", " \n "])
def test_a_claim_without_a_docstring_is_refused(statement):
    def test_some():
        return sim_aou(LC) > sim_aou(FT)

    test_some.__doc__ = statement
    with pytest.raises(ClaimError, match=r"The claim some has no statement.*State the claim in the docstring"):
        rethinking.claim("some", where="table 2", on="printed")(test_some)


@pytest.mark.parametrize("sources", ["", "prints", "printed, trials"])
def test_sources_that_there_are_not_are_refused(sources):
    def test_some():
        """Something holds."""

    with pytest.raises(ClaimError, match=r"The claim some has no such sources: expected exact, printed, author_runs"):
        rethinking.claim("some", where="table 2", on=sources)(test_some)


@pytest.mark.parametrize("asked", [None, (), sim_aou(LC), (sim_aou(LC) > 0.5, None), True])
def test_a_claim_that_asks_no_question_is_refused_by_name(asked):
    @rethinking.claim("some", where="table 2", on="printed")
    def test_some():
        """Something holds."""
        return asked

    with pytest.raises(ClaimError, match="The claim some asks no question: expected a question, or a tuple"):
        _ = test_some.claim.questions


def test_a_second_test_of_a_claim_has_a_body_of_its_own():
    @rethinking.claim("some", where="table 2", on="printed")
    def test_some():
        """Something holds."""
        return sim_aou(LC) > sim_aou(FT)

    with pytest.raises(ClaimError, match=r"A further test of the claim some asks nothing.*\(evidence, decide\)"):
        test_some.claim.decided_on("exact")(lambda: sim_aou(LC) > sim_aou(FT))
    further = test_some.claim.decided_on("exact")(lambda evidence, decide: None)
    assert further.claim is test_some.claim


# Asking


def test_a_claim_without_fixtures_is_asked_of_every_source(run_asking):
    result, claims = run_asking(ONE.format(asked="sim_aou(LC) > sim_aou(FT), *nulls_of(sim_aou(LC))"))
    assert [claim["verdict"] for claim in claims.values()] == ["consistent", "inconclusive"]
    result.stdout.fnmatch_lines(["*1 passed, 1 inconclusive*"])
    for source, found in (("printed", PrintedEvidence("rethinking")), ("author_runs", AuthorRunsEvidence())):
        claim, wanted = claims[source], found.ask((sim_aou(LC) > sim_aou(FT)).allowing(GENERALLY.errors))
        assert claim["rule"] == str(GENERALLY)
        word = GENERALLY.decide(wanted).word
        assert claim["verdict"] == (ON_PRINTED[word] if source == "printed" else word)
        assert claim["statement"] == "Layer-causal finetuning moves outputs more as in-context learning does."
        assert [one["difference"] for one in claim["tasks"]] == [one.difference for one in wanted.tasks]
        assert names_beside(claim) == ["SimAOU of layer-causal finetuning above SimAOU of a random update"]
        assert claim["asks"]["questions"][0] == HIGHER
        assert len(claim["asks"]["questions"]) == 5


def test_the_parts_of_a_joint_question_are_shown_beside(run_asking):
    joint = "(sim_aou(LC) > sim_aou(FT)) & (sim_am(LC) > sim_am(FT)), sim_am(FT) > sim_am(LC)"
    _, claims = run_asking(ONE.format(asked=joint))
    assert claims["printed"]["verdict"] == "inconsistent"
    parts = [HIGHER, "SimAM of layer-causal finetuning above SimAM of finetuning"]
    assert names_beside(claims["printed"]) == [*parts, "SimAM of finetuning above SimAM of layer-causal finetuning"]


def test_what_no_task_answers_is_an_error_or_left_out(run_asking):
    nowhere = "sim_aou(FT).of_weights('nothing') > 0.5"
    result, claims = run_asking(ONE.format(asked=nowhere))
    assert claims["author_runs"]["verdict"] == "error"
    result.stdout.fnmatch_lines(["*The source author_runs holds no sim_aou of finetuning (untrained*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    _, claims = run_asking(ONE.format(asked=f"sim_aou(LC) > sim_aou(FT), {nowhere}"))
    assert (claims["author_runs"]["verdict"], names_beside(claims["author_runs"])) == ("inconclusive", [])
    _, claims = run_asking(ONE.format(asked=f"(sim_aou(LC) > sim_aou(FT)) & ({nowhere}).where_known"))
    assert (claims["author_runs"]["verdict"], names_beside(claims["author_runs"])) == ("inconclusive", [HIGHER])


def test_a_claim_with_fixtures_keeps_its_body(run_asking):
    body = """
        @rethinking.claim("one", where="table 2", on="printed")
        def test_one(*, evidence, decide, tmp_path):
            "Something holds."
            decide(evidence.ask(sim_aou(LC) < sim_aou(FT)), beside=evidence.answers(sim_am(LC) < sim_am(FT)))

        @test_one.claim.decided_on("exact")
        def test_further(evidence, decide):
            decide(Verdict("supported", "Because."))

        @test_one.claim.needs("a condition")
        def test_needed(evidence, decide):
            decide(Verdict("inconclusive", "Perhaps."))
    """
    result, claims = run_asking(body)
    result.assert_outcomes(failed=1, passed=1, skipped=0)
    assert claims["printed"]["verdict"] == "inconsistent"
    assert names_beside(claims["printed"]) == ["SimAM of layer-causal finetuning below SimAM of finetuning"]
    assert claims["exact"]["condition"] == "a condition"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("0.1 < sim_aou(LC) < 0.5", "A question has no truth value of its own*evidence.ask(question)*"),
        ("None", "The claim one asks no question*"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_its_test(run_asking, asked, told):
    result, claims = run_asking(ONE.format(asked=asked))
    assert (result.ret, claims) == (pytest.ExitCode.USAGE_ERROR, {})
    result.stderr.fnmatch_lines([f"*test_one*: {told}"])


def test_an_id_that_two_claims_have_is_refused_with_both_tests(run_asking):
    twice = ONE + ONE.replace("test_one", "test_other")
    result, claims = run_asking(twice.format(asked="sim_aou(LC) > 0.5"))
    assert (result.ret, claims) == (pytest.ExitCode.USAGE_ERROR, {})
    result.stderr.fnmatch_lines(["*Two claims have the id one: *::test_one* and *::test_other*"])


def test_a_paper_of_ones_own_is_in_the_report_by_its_title(run_asking, pytester):
    note = """
        note = Paper("note", "A note <of> mine")

        @note.claim("mine", where="section 1", rule=IN_EVERY_CASE, on="exact")
        def test_mine(evidence, decide):
            "One is one."
            decide(evidence.every(lambda: evidence.equal([1.0], [1.0], "1 = 1")))
    """
    result, claims = run_asking(note)
    result.assert_outcomes(passed=1)
    assert (claims["exact"]["paper"], claims["exact"]["paper_title"]) == ("note", "A note <of> mine")
    result.stdout.fnmatch_lines(["Note, section 1", "  mine * exact supported"])
    assert "A note &lt;of&gt; mine" in (pytester.path / "reports" / "claims.html").read_text(encoding="utf-8")
