"""Rounds of draws end where a claim is decided, and what they say does not depend on how they were cut into pieces."""

from __future__ import annotations

import zlib
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl_claims.claims import GENERALLY, Claim, Comparison, Finding, Paper, at_least
from icl_claims.errors import PromptError
from icl_claims.evidence.deciding import verdict_on
from icl_claims.evidence.recipe import Recipe, studies_of
from icl_claims.evidence.rounds import cannot_turn, looks, narrowed, needs_of
from icl_claims.experiments.plan import resolve
from icl_claims.experiments.profiles import PROFILES, Choices
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.studies import LEARNING, STUDIES
from icl_claims.methods import Finetuning, InContext, LayerCausal, ZeroShot
from icl_claims.metrics import accuracy, drift, lens_loss, order_spread, sim_aou
from icl_claims.pytest_plugin import rounds_of_run
from icl_claims.pytest_plugin.events import Look, Said, tell_nobody
from icl_claims.pytest_plugin.held_trials import setting_of
from icl_claims.pytest_plugin.rounds_of_run import RoundsOfRun
from icl_claims.pytest_plugin.verdict_cache import VerdictCache
from icl_claims.tasks import PAPERS_TASKS

MINE = Paper("mine", "A note")
ICL, ZSL, FT, LC = InContext(), ZeroShot(), Finetuning(), LayerCausal()
RIGHT = {"zero_shot": 0.3, "in_context": 0.9, "finetuning": 0.6, "layer_causal": 0.6}
"""How often each method is right, on every task."""
QUERIES = 32


def claim(name, *asks, rule=GENERALLY):
    return Claim(name, MINE, "section 1", "It is so.", rule, lambda: asks)


CLEAR = claim("clear", accuracy(ICL) > accuracy(ZSL))
FALSE = claim("false", accuracy(ICL) < accuracy(FT))
EQUAL = claim("equal", accuracy(LC) > accuracy(FT))
ONE_TASK = claim("one", (accuracy(FT) > accuracy(ZSL)).on("cb"), rule=at_least(1, of=1))


def made_up(spec, right=RIGHT):
    """A trial in which each method is right as often as it is said to be, by the seed."""
    draw = np.random.default_rng([spec.seed, zlib.crc32(spec.task.encode())])
    gold = draw.integers(0, 2, QUERIES)
    answers = {}
    for name in ("zero_shot", "in_context", "finetuning", "layer_causal"):  # in one order, whoever answers
        correct = draw.random(QUERIES) < right[name]
        answers[name] = np.log(np.eye(2)[np.where(correct, gold, 1 - gold)] * 0.8 + 0.1)
    return TrialResult(
        spec=spec,
        query_rows=np.arange(QUERIES) + QUERIES * spec.seed,
        gold=gold,
        log_probabilities={one.name: answers[one.name] for one in spec.answering},
        content_free={one.name: np.zeros((0, 2)) for one in spec.answering},
        by_layer={},
        over_queries={},
        gradient_norms={},
        drift={},
        losses={},
        failures={},
        seconds={},
        provenance={"model": "made up", "notes": []},
    )


class Executed:
    """Runs made-up trials, at most so many, in an order of its own; those that were run before are read."""

    def __init__(self, stored=None, most=None, backwards=False, right=RIGHT, breaks=()):
        self.stored = {} if stored is None else stored
        self.most, self.backwards, self.right, self.breaks = most, backwards, right, breaks
        self.ran = []

    @property
    def over(self):
        return self.most is not None and len(self.ran) >= self.most

    def missing(self, spec):
        known = self.stored.get(setting_of(spec), frozenset())
        methods = tuple(method for method in spec.methods if method.name not in known)
        return replace(spec, methods=methods) if methods or not known else None

    def __call__(self, _what, specs):
        for spec in reversed(specs) if self.backwards else specs:
            if {method.name for method in spec.methods} & {*self.breaks}:
                yield spec, PromptError("it cannot be put")
                continue
            missing = self.missing(spec)
            if missing is not None and self.over:
                continue
            if missing is not None:
                self.ran.append(missing)
                known = self.stored.get(setting := setting_of(spec), frozenset())
                self.stored[setting] = known.union(one.name for one in missing.answering)
            yield spec, made_up(spec, self.right)


@pytest.fixture
def rounds(tmp_path):
    """Makes the rounds of some claims, by their ids."""

    def make(*claims, execute=None, verdicts="verdicts", going_on=False, said=None, **choices):
        run = resolve(Choices(PROFILES["tiny"], **choices))
        studies = (STUDIES["main"], STUDIES[LEARNING])
        asked = {one.id: (one, print) for one in claims}
        tell = tell_nobody if said is None else said.append
        cache = VerdictCache(tmp_path / verdicts)
        return RoundsOfRun(run, studies, asked, execute or Executed(), cache, {"profile": "tiny"}, going_on, tell)

    return make


def drawn(execute, task="sst2"):
    return {spec.seed for spec in execute.ran if spec.task == task and spec.seed < 1_000_000}


def numbers(made, test):
    """What a claim's evidence says, to the last digit."""
    one = made.finished[test]
    return one.look, one.stopped, repr(verdict_on(one.claim, made.evidence(test), print))


@pytest.fixture
def hopeful(monkeypatch):
    """No claim is given up since it would need many draws."""
    monkeypatch.setattr(rounds_of_run, "HOPELESS", np.inf)


def test_a_claim_that_would_need_very_many_draws_is_given_up(rounds):
    one = rounds(EQUAL).finished["equal"]
    assert (one.look, one.stopped) == (20, "never")


@pytest.mark.usefixtures("hopeful")
def test_draws_are_added_for_what_is_undecided_alone(rounds):
    execute, said = Executed(), []
    made = rounds(CLEAR, FALSE, EQUAL, execute=execute, said=said)
    looked = {test: one.look for test, one in made.finished.items()}
    assert looked["clear"] == looked["false"] == 8
    assert looked["equal"] == 24
    later = [spec for spec in execute.ran if 8 <= spec.seed < 1_000_000]
    assert {method.name for spec in later for method in spec.methods} == {"layer_causal", "finetuning"}
    assert drawn(execute) == set(range(24))
    looks = [(one.claim, one.draws, one.word, one.over) for one in said if isinstance(one, Look)]
    assert looks[:3] == [
        ("clear", 8, "supported", True),
        ("false", 8, "refuted", True),
        ("equal", 8, "inconclusive", False),
    ]
    assert not any(isinstance(one, Said) for one in said)


@pytest.mark.usefixtures("hopeful")
def test_at_the_end_of_a_budget_it_is_told_how_many_claims_are_decided(rounds):
    _ = rounds(CLEAR, FALSE, EQUAL, execute=Executed(most=500), going_on=True, said=(said := [])).finished
    text = "Trials of profile tiny: 2 of 3 claims are decided, for 1 no time was left."
    assert [one.text for one in said if isinstance(one, Said)] == [text]


@pytest.mark.usefixtures("hopeful")
def test_within_a_budget_the_cheapest_claims_are_decided_first(rounds):
    asked = claim("dear", accuracy(LC) > accuracy(ZSL)), claim("cheap", accuracy(ICL) > accuracy(ZSL))
    few = Executed(most=2 * 6 * 8)  # as many as tell whether it learns, and those of one claim
    made = rounds(*asked, execute=few, going_on=True)
    assert {test: one.look for test, one in made.finished.items()} == {"dear": 0, "cheap": 8}


def test_what_is_decided_is_run_no_further(rounds):
    execute = Executed()
    made = rounds(CLEAR, ONE_TASK, execute=execute)
    assert {one.stopped for one in made.finished.values()} == {"enough"}
    assert drawn(execute) == set(range(8))
    assert not any(spec.methods for spec in execute.ran if spec.task != "cb")


def test_without_learning_in_context_nothing_is_run_and_no_draw_would_help(rounds):
    execute = Executed(right=dict.fromkeys(RIGHT, 0.5))
    made = rounds(CLEAR, execute=execute)
    assert drawn(execute) == set()
    one = made.finished["clear"]
    assert (one.look, one.stopped) == (8, "never")
    verdict = verdict_on(CLEAR, made.evidence("clear"), print)
    assert verdict.word == "inconclusive"
    assert "not shown to beat chance" in verdict.why


@pytest.mark.parametrize(("most", "backwards"), [(97, False), (97, True), (400, True)])
def test_in_whatever_pieces_rounds_are_run_they_say_the_same(rounds, most, backwards):
    whole = rounds(CLEAR, FALSE, EQUAL, ONE_TASK, verdicts="whole")
    stored = {}
    for number in range(20):
        piece = Executed(stored, most, backwards)
        made = rounds(CLEAR, FALSE, EQUAL, ONE_TASK, execute=piece, verdicts="pieces" if number % 2 else f"{number}")
        _ = made.finished
        if not piece.ran:
            break
    assert {test: numbers(made, test) for test in made.finished} == {
        test: numbers(whole, test) for test in whole.finished
    }


def test_a_claim_says_the_same_alone_and_among_others(rounds):
    together = rounds(CLEAR, FALSE, EQUAL, ONE_TASK)
    for one in (CLEAR, FALSE, EQUAL, ONE_TASK):
        assert numbers(rounds(one, verdicts=one.id), one.id) == numbers(together, one.id)


def test_a_second_run_reads_what_was_said_and_runs_nothing(rounds):
    first = rounds(CLEAR, FALSE)
    digests = [first.digest(test) for test in first.finished]
    second = rounds(CLEAR, FALSE, execute=(again := Executed()))
    assert [second.digest(test) for test in second.finished] == digests
    assert drawn(again) == set()


@pytest.mark.usefixtures("hopeful")
def test_a_budget_goes_on_beyond_the_draws_of_the_profile(rounds):
    execute = Executed(most=1000)
    made = rounds(EQUAL, execute=execute, going_on=True)
    one = made.finished["equal"]
    assert one.look > 24
    assert made.draws_of("equal") == f"{one.look}; no more was to be run"
    assert one.stopped == "no time"
    assert drawn(execute) >= set(range(one.look))


def test_a_budget_that_ended_before_it_was_known_whether_the_model_learns_closes_nothing(rounds):
    made = rounds(CLEAR, execute=Executed(most=60, right=dict.fromkeys(RIGHT, 0.5)))
    assert made.finished["clear"].stopped == "no time"
    whole = rounds(CLEAR, execute=Executed(right=dict.fromkeys(RIGHT, 0.5)))
    assert whole.finished["clear"].stopped == "never"


def test_a_budget_that_ended_at_once_leaves_claims_without_evidence(rounds):
    made = rounds(CLEAR, execute=Executed(most=0))
    assert (made.finished["clear"].look, made.finished["clear"].stopped) == (0, "no time")
    assert verdict_on(CLEAR, made.evidence("clear"), print).word == "not run"


@pytest.mark.parametrize("choices", [{"replicates": 5}, {"seeds": (3, 4, 5, 6, 7)}])
def test_a_number_of_draws_that_is_asked_for_is_run_whatever_they_say(rounds, choices):
    execute = Executed()
    made = rounds(CLEAR, EQUAL, execute=execute, **choices)
    assert {one.look for one in made.finished.values()} == {5}
    assert len(drawn(execute)) == 5


def test_what_breaks_one_claim_breaks_no_other(rounds):
    made = rounds(CLEAR, EQUAL, ONE_TASK, execute=Executed(breaks=["layer_causal"]))
    with pytest.raises(PromptError, match="cannot be put"):
        made.evidence("equal")
    alone = rounds(CLEAR, verdicts="alone")
    assert numbers(made, "clear") == numbers(alone, "clear")
    assert made.finished["one"].failure is None


def test_what_breaks_the_trials_of_learning_breaks_what_hangs_on_them(rounds):
    class Broken(Executed):
        def __call__(self, what, specs):
            yield specs[0], PromptError("it cannot be put")

    with pytest.raises(PromptError, match="cannot be put"):
        rounds(CLEAR, execute=Broken()).evidence("clear")


# What a run executes is what its recipe lists


def listed(made, *looked, apart=(True, False)):
    """What the recipe of some rounds lists for these looks."""
    parts = Recipe(made.run, made.studies, made.claims).parts
    return answered(spec for part in parts if part.look in looked and part.apart in apart for spec in part.specs)


def answered(specs):
    """Which methods answer in each setting of some trials."""
    found = {}
    for spec in specs:
        found[setting_of(spec)] = found.get(setting_of(spec), set()).union(one.name for one in spec.answering)
    return found


def test_the_first_round_runs_what_the_recipe_lists_for_it_and_nothing_else(rounds):
    made = rounds(CLEAR, FALSE, ONE_TASK, execute=(execute := Executed()))
    assert {one.stopped for one in made.finished.values()} == {"enough"}
    assert answered(execute.ran) == listed(made, 8)


@pytest.mark.usefixtures("hopeful")
def test_a_run_that_decides_nothing_runs_all_that_the_recipe_lists(rounds):
    made = rounds(EQUAL, execute=(execute := Executed()))
    assert made.finished["equal"].look == 24
    later = listed(made, 12, 16, 20, 24, apart=[False])  # that the model learns was known at the first look
    assert answered(execute.ran) == listed(made, 8) | later


def test_what_the_model_does_not_learn_takes_no_more_than_the_recipe_lists(rounds):
    made = rounds(CLEAR, execute=(execute := Executed(right=dict.fromkeys(RIGHT, 0.5))))
    assert made.finished["clear"].stopped == "never"
    assert answered(execute.ran) == listed(made, 8, 12, 16, 20, 24, apart=[True])


@pytest.mark.parametrize("choices", [{"replicates": 5}, {"seeds": (3, 4, 5, 6, 7)}])
def test_a_number_that_is_asked_for_is_one_look_of_the_recipe(rounds, choices):
    made = rounds(CLEAR, EQUAL, execute=(execute := Executed()), **choices)
    _ = made.finished
    assert Recipe(made.run, made.studies, made.claims).looks == [5]
    assert answered(execute.ran) == listed(made, 5)


def test_a_recipe_says_who_asks_for_what():
    run = resolve(Choices(PROFILES["tiny"], tasks=("sst2", "cb"), studies=("untrained",)))
    similar = claim("similar", (sim_aou(LC) > sim_aou(FT)).on("cb"), rule=at_least(1, of=1))
    asked = {one.id: (one, print) for one in (CLEAR, ONE_TASK, similar)}
    first = [part for part in Recipe(run, studies_of(run, None), asked).parts if part.look == 8]
    assert {(part.place, part.claims) for part in first} == {
        (("sst2", "trained", True), ("clear",)),
        (("cb", "trained", True), ("clear", "one", "similar")),
        (("sst2", "trained", False), ("clear",)),
        (("cb", "trained", False), ("clear", "one", "similar")),
        (("cb", "embeddings_norms_head", False), ("similar",)),
    }
    assert [part.record()["methods"] for part in first if part.place == ("cb", "trained", False)] == [
        ["zero_shot", "in_context", "finetuning", "layer_causal"]
    ]
    assert {len(part.specs) for part in first} == {8}


@given(st.randoms())
@settings(max_examples=20, deadline=None)
def test_trials_are_the_same_in_whatever_order_needs_come(shuffled):
    run = resolve(Choices(PROFILES["tiny"], tasks=("sst2", "cb"), studies=("labels", "orders")))
    recipe = Recipe(run, studies_of(run, None), {})
    asked = [*all_needs(EQUAL), *all_needs(claim("orders", order_spread(ICL) > order_spread(FT)))]
    wanted = [spec.key() for spec in recipe.specs(sorted(asked, key=str), PAPERS_TASKS, 2)]
    shuffled.shuffle(asked)
    assert [spec.key() for spec in recipe.specs(asked, PAPERS_TASKS, 2)] == wanted


# When to look, what is needed, what could turn


@given(st.integers(2, 500))
def test_the_last_draw_of_a_profile_is_looked_at_and_no_look_is_the_first_draw(draws):
    found = list(islice(looks(draws), 20))
    assert found[0] >= min(draws, 2)
    assert found == sorted(set(found))
    assert found[0] <= draws


def all_needs(asked, tasks=PAPERS_TASKS, deciding=print):
    return needs_of(asked, deciding, STUDIES.values(), tasks)


def test_a_claim_needs_what_it_asks_of_each_task_and_of_noise():
    found = all_needs(claim("similar", (sim_aou(LC) > sim_aou(FT)).on("cb"), rule=at_least(1, of=1)))
    assert {(need.study, need.task) for need in found} == {("main", "cb"), ("untrained", "cb")}
    assert all(need.gated for need in found)
    of_learning = all_needs(claim("drift", drift(LC) > drift(FT)))
    assert not any(need.gated for need in of_learning)


def test_what_a_test_with_a_body_asks_is_found_by_asking_it():
    def body(evidence, decide):
        first = accuracy(FT) > accuracy(ZSL)
        if evidence.answers(first):
            decide(evidence.ask((drift(LC) > drift(FT)).on("cb")))
        raise ZeroDivisionError

    found = all_needs(Claim("body", MINE, "section 1", "It is so."), deciding=body)
    assert {(need.quantity.name, need.task) for need in found if need.task == "cb"} == {
        (quantity.name, "cb") for quantity in (accuracy(FT), accuracy(ZSL), drift(LC), drift(FT))
    }
    assert {need.task for need in found} == set(PAPERS_TASKS)


def test_a_test_that_pytest_alone_can_run_has_the_methods_of_the_main_study():
    found = all_needs(Claim("more", MINE, "section 1", "It is so."), deciding=None)
    methods = {
        method.name for study in narrowed(STUDIES.values(), found, PAPERS_TASKS).values() for method in study.methods
    }
    assert methods == {method.name for method in STUDIES["main"].methods}


def test_of_a_study_what_is_not_asked_for_is_left_out():
    places = narrowed(STUDIES.values(), all_needs(EQUAL, ["cb"]), ["cb"])
    (study,) = places.values()
    assert ([method.name for method in study.methods], study.diagnostics) == (["finetuning", "layer_causal"], False)
    assert narrowed(STUDIES.values(), all_needs(EQUAL, ["cb"]), []) == {}
    assert STUDIES["main"].narrowed([lens_loss(ZSL)]).diagnostics
    orders = STUDIES["orders"].narrowed([order_spread(ICL)])
    assert len(orders.methods) == 10
    assert all("in_context" in method.name for method in orders.methods)


def finding(task, outcome, needed=None):
    return Finding(task, outcome, 0.5, 0.4, 0.1, -0.1, 0.3, needed=needed)


@pytest.mark.parametrize(
    ("outcomes", "needed", "closed", "never"),
    [
        ("uuuuuu", None, (), False),
        ("hhffuu", None, (), True),  # neither five hold nor two more fail
        ("hhhfuu", None, (), False),
        ("hhhuuu", None, ("cb", "agnews"), True),
        ("hhhhuu", None, ("cb",), False),
        ("uuuuuu", 1000, (), True),
        ("uuuuuu", 90, (), False),
    ],
)
def test_a_claim_goes_on_while_its_open_tasks_could_decide_it(outcomes, needed, closed, never):
    said = {"u": "unclear", "h": "holds", "f": "fails"}
    found = [finding(task, said[one], needed) for task, one in zip(PAPERS_TASKS, outcomes, strict=True)]
    verdict = GENERALLY.decide(Comparison("whether", tuple(found)))
    refutable = outcomes.count("f") >= 2
    assert verdict.word == ("refuted" if refutable else "inconclusive")
    assert cannot_turn(GENERALLY, verdict, closed=closed, within=96) == (never and not refutable)


@pytest.mark.usefixtures("hopeful")
def test_where_nothing_is_run_any_more_draws_beyond_the_profiles_are_read_and_none_in_vain(rounds):
    stored = {}
    before = rounds(EQUAL, execute=Executed(stored, most=500), going_on=True)
    last = before.finished["equal"].look
    assert last > 24
    asked = []

    class Reading(Executed):
        def __call__(self, what, specs):
            asked.extend(specs)
            return super().__call__(what, specs)

    reading = rounds(EQUAL, execute=Reading(stored, most=0), verdicts="others", going_on=True)
    assert numbers(reading, "equal") == numbers(before, "equal")
    assert max(spec.seed for spec in asked if spec.seed < 1_000_000) < last
