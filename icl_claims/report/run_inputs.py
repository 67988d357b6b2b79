"""What a run rests on beside its code: what was chosen, the models and data of its trials, versions and machine."""

from collections.abc import Iterable
from dataclasses import dataclass

from icl_claims.report.document import Document


@dataclass(frozen=True)
class InputChange:
    """Something that two runs rest on and in which they differ; empty where a run has none of it."""

    what: str
    old: str
    new: str


def changed_inputs(old: Document, new: Document) -> tuple[InputChange, ...]:
    """In what two runs differ before anything was decided: what was chosen first, then code, versions and machine."""
    before, after = inputs_of(old), inputs_of(new)
    both = [(name, before.get(name, ""), after.get(name, "")) for name in dict.fromkeys((*before, *after))]
    return tuple(InputChange(*one) for one in both if one[1] != one[2])


def inputs_of(document: Document) -> dict[str, str]:
    """What a run rests on, by name: trials that were not run say nothing of it."""
    run = document["run"]
    ran = [claim for claim in document["claims"] if claim["source"] == "trials" and claim["provenance"].get("model")]
    found = {
        "set-up of trials": _each(claim["profile"] for claim in ran),
        "model": _each(claim["provenance"]["model"] for claim in ran),
        "data": _each(claim["provenance"].get("data", "") for claim in ran),
        "learning rates": _each(claim["provenance"].get("learning_rates", "") for claim in ran),
    }
    found |= {f"option {name}": str(value) for name, value in sorted(run["options"].items())}
    found |= {name: str(run[name]) for name in ("commit", "icl_claims", "python", "machine")}
    return found | {f"library {name}": version for name, version in sorted(run["libraries"].items())}


def _each(found: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(map(str, found)))
