"""What trials cost, and what more of them would decide, in words."""

from collections.abc import Iterable, Sequence

from icl_claims.report import Record
from icl_claims.report.words import duration
from icl_claims.tasks import title_of_task

MORE = 600.0
"""Seconds of which a run says how many more claims they would decide."""


def spent_words(spent: Iterable[Record]) -> list[str]:
    """What the trials of each profile cost, and on which tasks.

    >>> spent_words([{"profile": "tiny", "task": "sst2", "trials": 8, "seconds": 30.0}])
    ['tiny: 8 trials in 30 s of processes (SST2 30 s)']
    """
    by_profile: dict[str, list[Record]] = {}
    for one in spent:
        by_profile.setdefault(one["profile"], []).append(one)
    return [f"{profile}: {_cost(of_it)}" for profile, of_it in by_profile.items()]


def _cost(found: Sequence[Record]) -> str:
    trials, seconds = (sum(one[name] for one in found) for name in ("trials", "seconds"))
    by_task = ", ".join(f"{title_of_task(one['task'])} {duration(one['seconds'])}" for one in found)
    return f"{trials} trials in {duration(seconds)} of processes ({by_task})"


def outlook_words(claim: Record) -> str:
    """What an undecided claim waits for; empty for a decided one.

    >>> outlook_words({"outlook": {"draws": 40, "seconds": 120.0, "why": ""}, "looks": [{"draws": 24}]})
    'About 40 draws of each task would probably decide it: 16 more, which take about 2 min here.'
    """
    found = claim["outlook"]
    if not found:
        return ""
    if found["why"] or found["draws"] is None:
        why = str(found["why"]).rstrip(".")
        return f"{why[:1].upper()}{why[1:]}." if why else ""
    more = found["draws"] - claim["looks"][-1]["draws"]
    said = f"About {found['draws']} draws of each task would probably decide it"
    if more <= 0 or found["seconds"] is None:
        return f"{said}."
    return f"{said}: {more} more, which take about {duration(found['seconds'])} here."


def outlook_of_run(claims: Iterable[Record]) -> list[str]:
    """By profile: how many undecided claims more time would decide, and how many wait for something else."""
    by_profile: dict[str, list[Record]] = {}
    for claim in claims:
        if claim["outlook"]:
            by_profile.setdefault(claim["profile"], []).append(claim["outlook"])
    return [f"{profile}: {_of_profile(of_it)}" for profile, of_it in by_profile.items()]


def _of_profile(found: Sequence[Record]) -> str:
    in_draws = [one for one in found if one["draws"] is not None]
    timed = [one for one in in_draws if one["seconds"] is not None]
    soon = sum(one["seconds"] <= MORE for one in timed)
    said = [f"another {duration(MORE)} would probably decide {soon} of {len(found)} undecided claims"]
    said += [f"{later} would take longer"] if (later := len(timed) - soon) else []
    said += [f"of {unknown} it is not known how long they take"] if (unknown := len(in_draws) - len(timed)) else []
    said += [f"{never} cannot be decided by draws alone"] if (never := len(found) - len(in_draws)) else []
    return ", ".join(said)
