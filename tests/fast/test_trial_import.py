"""Two stores are merged in either order; what is damaged, foreign or in conflict is named, and nothing here is lost."""

from __future__ import annotations

import json
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from icl_claims import cli
from icl_claims.claims import at_least
from icl_claims.errors import StoreError, StoreWarning, UsageError
from icl_claims.experiments.plan import resolve
from icl_claims.experiments.profiles import PROFILES, Choices
from icl_claims.experiments.result import packed_result
from icl_claims.experiments.spec import code_digest, key_of
from icl_claims.experiments.studies import LEARNING, STUDIES
from icl_claims.experiments.trial_import import import_trial, offered_by, store_in
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.methods import Finetuning, LayerCausal
from icl_claims.metrics import accuracy
from icl_claims.pytest_plugin.rounds_of_run import RoundsOfRun
from icl_claims.pytest_plugin.verdict_cache import VerdictCache
from icl_claims.storage import checksummed, store
from icl_claims.storage.checksummed import MANIFEST, NUMBERS
from icl_claims.storage.store import Store, damage, default_store
from tests.fast.stored_trials import SPREAD, assert_same_content, assert_same_result, made_up_result
from tests.fast.test_rounds import CLEAR, FT, LC, ONE_TASK, claim, made_up, numbers
from tests.fast.test_store import DAMAGES

EVEN = claim("even", (accuracy(LC) > accuracy(FT)).on("cb"), rule=at_least(1, of=1))
WHERE = {"device": "cpu", "threads": 1, "torch": "2", "finished": "today"}


@pytest.fixture
def both(tmp_path):
    """Ours and that of another machine."""
    return Store(tmp_path / "ours" / "trials"), Store(tmp_path / "theirs" / "trials")


def put(into, seed=0, numbers_of=None, **spec):
    """Store a made-up trial of this code; gives its key."""
    result = made_up_result(seed, **{"code": code_digest(), **spec})
    if numbers_of is not None:
        result = replace(made_up_result(numbers_of), spec=result.spec)
    key = result.spec.key()
    into.put(key, packed_result(result.spec, result))
    return key


def merge(theirs, ours):
    """What came of every entry, by the beginning of its name."""
    return {path.name: import_trial(path, ours.folder) for path in offered_by(theirs.folder, ours.folder)}


def outcomes(told):
    return {name: one.outcome for name, one in told.items()}


def held(folder, name="*"):
    """Every file of a store but its locks, byte by byte."""
    files = (path for path in folder.rglob(name) if path.is_file() and path.suffix != store.LOCK)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_key_of_a_specification_as_plain_data_is_its_key():
    for methods in ((), (Finetuning(0.1), LayerCausal(0.1))):
        spec = made_up_result(methods=methods, metrics=(SPREAD,)).spec
        assert key_of(json.loads(json.dumps(spec.record()))) == spec.key()
    assert key_of(spec.record() | {"k": spec.k + 1}) != spec.key()


# Both orders


def test_a_trial_is_copied_to_the_last_byte_and_found_by_who_asks(both):
    ours, theirs = both
    key = put(theirs)
    before = held(theirs.folder)
    assert merge(theirs, ours)[key].outcome == "imported"
    assert held(ours.folder) == before == held(theirs.folder)
    spec = made_up_result(code=code_digest()).spec
    found = TrialStore(ours.folder).get_or_run(spec, lambda new: pytest.fail("it was run again"))
    assert_same_result(found, made_up_result(code=code_digest()))
    assert outcomes(merge(theirs, ours)) == {key: "here"}


def test_in_either_order_two_stores_become_the_same(both, tmp_path):
    ours, theirs = both
    for seed in (0, 1, 2):
        put(ours, seed)
    for seed in (2, 3):
        put(theirs, seed)
    put(theirs, 1, methods=(Finetuning(0.1),))  # in one setting with another of ours
    first, second = Store(tmp_path / "first"), Store(tmp_path / "second")
    for into, order in ((first, (ours, theirs)), (second, (theirs, ours))):
        for one in order:
            merge(one, into)
    same = (held(one.folder, NUMBERS) for one in (first, second))  # who ran it first is in the manifest
    assert next(same) == next(same)
    assert len(list(first.folder.glob("*.lock"))) == 4
    merge(theirs, ours), merge(ours, theirs)
    assert {*offered_names(ours)} == {*offered_names(theirs)} == {*offered_names(first)}
    assert not [problem for _, problem in damage(ours.folder) if problem]


def offered_names(of):
    return (path.name for path in of.folder.iterdir() if path.suffix != store.LOCK)


def made_up_here(spec):
    made = made_up(spec)
    return replace(made, provenance=made.provenance | WHERE)


def rounds_on(folder, verdicts, run):
    claims = {one.id: (one, print) for one in (CLEAR, EVEN, ONE_TASK)}
    cache, studies = TrialStore(folder), (STUDIES["main"], STUDIES[LEARNING])

    class Executed:
        over = False
        missing = cache.missing

        def __call__(self, _what, specs):
            for spec in specs:
                yield spec, cache.get_or_run(spec, run)

    chosen = resolve(Choices(PROFILES["tiny"], tasks=("cb",)))
    return RoundsOfRun(chosen, studies, claims, Executed(), VerdictCache(verdicts), {"profile": "tiny"})


def test_claims_say_the_same_on_stores_that_are_merged_in_either_order_as_on_one(both, tmp_path):
    ran = []
    alone = rounds_on(tmp_path / "alone", tmp_path / "v", lambda spec: ran.append(spec) or made_up_here(spec))
    said = {test: numbers(alone, test) for test in alone.finished}
    assert len({looked for looked, *_ in said.values()}) > 1
    draw = random.Random(3)
    for spec in ran:  # each machine ran a part, and some trials were run by both
        for machine in draw.choice([both[:1], both[1:], both]):
            TrialStore(machine.folder).get_or_run(spec, made_up_here)
    for machine in both:
        assert not all(TrialStore(machine.folder).holds(spec) for spec in ran)
    ours, theirs = both
    assert {*outcomes(merge(theirs, ours)).values()} == {"imported", "here"}
    assert "imported" in outcomes(merge(ours, theirs)).values()
    for machine in both:
        merged = rounds_on(machine.folder, machine.folder / "v", lambda spec: pytest.fail("it was run again"))
        assert {test: numbers(merged, test) for test in merged.finished} == said


def test_methods_of_one_setting_are_gathered(both):
    ours, theirs = both
    put(ours, methods=())
    put(theirs, methods=(Finetuning(0.1),))
    merge(theirs, ours)
    spec = made_up_result(code=code_digest(), methods=(Finetuning(0.1),)).spec
    assert TrialStore(ours.folder).holds(spec)


# What is not let in


@pytest.mark.parametrize("how", DAMAGES)
def test_what_is_damaged_there_stays_there(both, how):
    ours, theirs = both
    kept, key = put(ours, 1), put(theirs)
    DAMAGES[how](theirs.folder / key)
    before = held(ours.folder)
    told = merge(theirs, ours)[key]
    assert told.outcome in ("damaged", "foreign")
    assert told.why
    assert held(ours.folder) == before
    assert ours.read(kept)


def test_no_byte_of_a_trial_may_be_another_one(both):
    ours, theirs = both
    key, draw = put(theirs), random.Random(7)
    for _ in range(60):
        path = theirs.folder / key / draw.choice([MANIFEST, NUMBERS])
        content = path.read_bytes()
        place = draw.randrange(len(content))
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :])
        assert merge(theirs, ours)[key].outcome in ("damaged", "format")
        path.write_bytes(content)
    assert not held(ours.folder)


def link_the_folder(theirs, key, aside):
    shutil.move(theirs / key, aside / "moved")
    (theirs / key).symlink_to(aside / "moved", target_is_directory=True)


def link_a_file(name):
    def link(theirs, key, aside):
        shutil.move(theirs / key / name, aside / name)
        (theirs / key / name).symlink_to(aside / name)

    return link


def pipe(theirs, key, _aside):
    (theirs / key / NUMBERS).unlink()
    os.mkfifo(theirs / key / NUMBERS)


def under_another_key(theirs, key, _aside):
    manifest, arrays = checksummed.read_checksummed(theirs / key, key)
    shutil.rmtree(theirs / key)
    checksummed.write_checksummed(theirs / ("0" * 64), "0" * 64, manifest.facts, arrays)


def no_trial(theirs, key, _aside):
    shutil.rmtree(theirs / key)
    checksummed.write_checksummed(theirs / key, key, {"spec": {"code": code_digest()}, "index": []}, {})


FOREIGN = {
    "a link to a folder": link_the_folder,
    "a link to numbers": link_a_file(NUMBERS),
    "a link to a manifest": link_a_file(MANIFEST),
    "a pipe": pipe,
    "a trial under another key": under_another_key,
    "a folder that holds no trial": no_trial,
    "a file of a name of its own": lambda theirs, key, _: ((theirs / key).rename(theirs / "note"), None),
    "a name that no terminal shows": lambda theirs, key, _: (theirs / key).rename(theirs / "a\n\udcff[red]"),
}


@pytest.mark.parametrize("how", FOREIGN)
def test_what_no_run_wrote_is_not_let_in(both, tmp_path, how):
    ours, theirs = both
    FOREIGN[how](theirs.folder, put(theirs), tmp_path)
    assert {*outcomes(merge(theirs, ours)).values()} == {"foreign"}
    assert not ours.folder.exists()


def test_what_no_run_here_would_read_is_named_and_not_let_in(both, monkeypatch):
    ours, theirs = both
    of_other_code = put(theirs, code="yesterday")
    half = made_up_result(5).spec.key()
    theirs.checkpoint(half).keep("start", {}, {})
    aside = put(theirs, 6)
    (theirs.folder / aside / NUMBERS).write_bytes(b"")
    with pytest.warns(StoreWarning):
        theirs.get(aside)
    monkeypatch.setattr(checksummed, "FORMAT", checksummed.FORMAT + 1)
    of_another_format = put(theirs, 7)
    monkeypatch.undo()
    assert outcomes(merge(theirs, ours)) == {
        of_other_code: "code",
        f"{half}.partial": "unfinished",
        f"{aside}.damaged": "damaged",
        of_another_format: "format",
    }
    assert not ours.folder.exists()


# What is here already


def test_the_same_numbers_from_another_place_are_no_conflict(both):
    ours, theirs = both
    key = put(ours)
    result = made_up_result(code=code_digest())
    elsewhere = replace(result, seconds={"metrics": 9.0}, provenance={"model": "elsewhere", "notes": []})
    theirs.put(key, packed_result(result.spec, elsewhere))
    before = held(ours.folder)
    assert outcomes(merge(theirs, ours)) == {key: "here"}
    assert held(ours.folder) == before


def test_of_a_trial_with_other_numbers_ours_is_kept_and_it_is_said_why(both):
    ours, theirs = both
    key = put(ours)
    result = made_up_result(code=code_digest())
    said = result.log_probabilities | {"finetuning": result.log_probabilities["finetuning"] + 3e-7}
    theirs.put(key, packed_result(result.spec, replace(result, log_probabilities=said)))
    before = held(ours.folder)
    told = merge(theirs, ours)[key]
    assert (told.outcome, held(ours.folder)) == ("conflict", before)
    assert told.why.startswith("both hold it, with numbers that differ by up to 3e-07; the one here is kept, for")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"losses": {"finetuning": [0.2]}}, "other losses or failures"),
        ({"failures": {}}, "other losses or failures"),
        ({"drift": {}}, "of other methods or queries"),
        ({"drift": {"finetuning": np.array([np.nan, 0, 0])}}, "differ by up to inf"),
    ],
)
def test_every_kind_of_number_can_be_in_conflict(both, change, why):
    ours, theirs = both
    key = put(ours)
    result = made_up_result(code=code_digest())
    theirs.put(key, packed_result(result.spec, replace(result, **change)))
    assert why in merge(theirs, ours)[key].why


def test_a_damaged_trial_here_gives_way_to_a_whole_one_and_is_set_aside(both):
    ours, theirs = both
    key = put(ours)
    assert put(theirs) == key
    (ours.folder / key / NUMBERS).write_bytes(b"rotten")
    told = merge(theirs, ours)[key]
    assert (told.outcome, "set aside" in told.why) == ("imported", True)
    assert (ours.folder / f"{key}.damaged" / NUMBERS).read_bytes() == b"rotten"
    assert_same_content(ours.read(key), theirs.read(key))


def test_what_a_run_here_is_at_is_left_to_it(both):
    ours, theirs = both
    key = put(theirs)
    with ours.locked(key, wait=True):
        assert outcomes(merge(theirs, ours)) == {key: "busy"}
    assert not ours.read(key)
    ours.checkpoint(key).keep("start", {}, {})
    assert outcomes(merge(theirs, ours)) == {key: "imported"}
    assert not list(ours.folder.glob("*.partial"))


# Interrupted, and where nothing can be written


class Killed(BaseException):
    pass


def at_call(number, error, original):
    """The original function, which raises at a call of this number, or writes a part of it."""
    calls = []

    def broken(path, *given):
        calls.append(path)
        if len(calls) == number:
            if given and isinstance(given[0], bytes):
                original(path, given[0][: len(given[0]) // 2])
            raise error
        return original(path, *given)

    return broken


@pytest.mark.parametrize("error", [Killed(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("method", ["write_bytes", "rename"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_import_that_breaks_at_any_write_leaves_a_sound_store_and_goes_on(both, monkeypatch, method, number, error):
    ours, theirs = both
    mine = put(ours, 9)
    keys = {put(theirs, seed) for seed in range(4)}
    before = ours.read(mine)
    monkeypatch.setattr(shutil, "rmtree", lambda *_a, **_k: None)  # a process that is killed tidies nothing up
    monkeypatch.setattr(Path, method, at_call(number, error, getattr(Path, method)))
    with pytest.raises((Killed, StoreError)):
        merge(theirs, ours)
    monkeypatch.undo()
    assert not [problem for _, problem in damage(ours.folder) if problem]
    assert_same_content(ours.read(mine), before)
    done = {path.name for path in ours.folder.iterdir() if not path.suffix} - {mine}
    assert len(done) == (number - 1 if method == "rename" else (number - 1) // 2)
    told = outcomes(merge(theirs, ours))
    assert {key for key in keys if told[key] == "here"} == done
    assert {key: theirs.read(key)[0] for key in keys} == {key: ours.read(key)[0] for key in keys}
    assert not [path for path in ours.folder.iterdir() if path.suffix not in ("", store.LOCK)]


def test_where_nothing_can_be_written_it_is_said(both):
    ours, theirs = both
    put(theirs)
    ours.folder.parent.mkdir(parents=True, exist_ok=True)
    ours.folder.write_text("no folder")
    with pytest.raises(StoreError, match=r"Nothing can be imported into .*Make room"):
        merge(theirs, ours)


# Which folder


def test_a_cache_folder_and_its_folder_of_trials_are_one_store(both, tmp_path):
    _, theirs = both
    put(theirs)
    assert store_in(theirs.folder) == store_in(theirs.folder.parent) == theirs.folder
    (tmp_path / "link").symlink_to(theirs.folder.parent)
    assert store_in(tmp_path / "link").samefile(theirs.folder)


@pytest.mark.parametrize(("make", "got"), [(None, "nothing"), ("file", "a file"), ("folder", "a folder without any")])
def test_what_is_no_store_is_refused(tmp_path, make, got):
    place = tmp_path / "place"
    if make == "file":
        place.write_text("")
    elif make:
        (place / "figures").mkdir(parents=True)
    with pytest.raises(UsageError, match=f"No stored trials lie in .*got {got}.*ICL_CLAIMS_CACHE"):
        store_in(place)


@pytest.mark.parametrize("linked", [False, True])
def test_a_store_is_not_imported_into_itself(both, tmp_path, linked):
    ours, _ = both
    put(ours)
    other = tmp_path / "other"
    other.symlink_to(ours.folder, target_is_directory=True)
    with pytest.raises(UsageError, match="the store that it would be imported into"):
        offered_by(other if linked else ours.folder, ours.folder)


# The command


@pytest.fixture
def command(both, monkeypatch):
    ours, _ = both
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(ours.folder.parent))
    monkeypatch.setenv("COLUMNS", "200")
    assert default_store() == ours.folder

    def run(folder):
        done = CliRunner().invoke(cli.app, ["cache", "import", str(folder)])
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_the_command_counts_what_came_and_names_what_was_left(both, command):
    ours, theirs = both
    put(ours), put(theirs)
    for seed in range(1, 4):
        put(theirs, seed)
    for seed in range(10, 15):
        (theirs.folder / put(theirs, seed) / NUMBERS).write_bytes(b"")
    put(ours, 20), put(theirs, 20, numbers_of=21)
    put(theirs, 30, code="yesterday")
    (theirs.folder / "a\nb[red]").write_text("")
    page = command(theirs.folder.parent)
    lines = page.splitlines()
    assert lines[-1].startswith("3 trials (")
    assert lines[-1].endswith(f"imported into {ours.folder}, 1 were here.")
    assert "5 left there, damaged:" in lines
    assert "  and 2 more" in lines
    assert page.count("is damaged: expected the checksum of its manifest") == 3
    assert "1 left there, in conflict:" in lines
    assert "the one here is kept" in page
    assert "1 left there, of other code, which no run of this code would read:" in lines
    assert "  'a\\nb[red]': no folder of plain files under the key of a trial" in lines
    assert command(theirs.folder).splitlines()[-1].startswith("0 trials (0 bytes) imported")
