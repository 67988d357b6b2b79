"""What the same rules say under other specifications of the trials: a specification curve for each claim."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from icl_claims.claims.beside import SPECIFICATIONS, SpecificationCurve, Specified
from icl_claims.cli.deciding import decided, keep
from icl_claims.experiments.plan import resolve
from icl_claims.experiments.profiles import Choices, Profile, find_profile
from icl_claims.experiments.specifications import STUDIES_ASKED, Specification, specifications_of
from icl_claims.experiments.tuning import write_rates


def specify_and_write(folder: Path, profile: str) -> None:
    """Decide the claims on trials once for each specification, and write what was said beside the claims.

    A specification that leaves all numbers of a claim as the default's is none of that claim and left out of its curve.
    Each that is done is written; trials are stored, so that an interrupted command goes on where it stood.

    Raises:
        ClaimError: A specification was not decided, or the file cannot be written.
    """
    told: dict[str, dict[str, Any]] = {}
    curves: dict[str, list[Specified]] = {}
    specifications = specifications_of(find_profile(profile))
    for number, specification in enumerate(specifications, 1):
        records = _decided(folder, find_profile(profile), specification)
        before, told = told, told or records
        records = {claim: record for claim, record in records.items() if claim in told}
        changed = {claim: one for claim, one in records.items() if _numbers(one) != _numbers(before.get(claim))}
        for claim, record in changed.items():
            one = Specified(specification.name, record["verdict"], specification.default, record["effect"])
            curves.setdefault(claim, []).append(one)
        found = {claim: SpecificationCurve(told[claim]["rule_digest"], tuple(curves[claim])) for claim in told}
        keep(SPECIFICATIONS, folder, profile, found)
        typer.echo(f"specification {number} of {len(specifications)}, {specification.name}: {_told(changed, records)}")


def _told(changed: Mapping[str, Any], records: Mapping[str, Any]) -> str:
    return f"numbers of {len(changed)} of {len(records)} claims" if changed else "changes no number"


def _decided(folder: Path, profile: Profile, specification: Specification) -> dict[str, dict[str, Any]]:
    """The records of all claims that the studies answer, under a specification."""
    options = {"studies": ",".join(STUDIES_ASKED), **specification.options}
    with tempfile.TemporaryDirectory(prefix="icl_claims_") as scratch:
        if specification.rate != 1.0:
            file, run = Path(scratch) / "rates.json", resolve(Choices(profile))
            rates = {task: {"learning_rate": specification.rate * rate} for task, rate in run.rates.by_task.items()}
            write_rates(file, run.model, profile.name, rates)
            options["rates"] = str(file)
        records = decided(folder, profile.name, options, f"The specification “{specification.name}”")
    return {claim: record for claim, record in records.items() if record["verdict"] != "not run"}


def _numbers(record: Mapping[str, Any] | None) -> Any:
    return None if record is None else [record["effect"], record["tasks"]]
