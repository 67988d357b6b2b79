"""What the same rules say under other specifications of the trials: a specification curve for each claim."""

import tempfile
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

    A specification under which every number is the default's changes nothing and is left out. Each that is done is
    written; trials are stored, so that an interrupted command goes on where it stood.

    Raises:
        ClaimError: A specification was not decided, or the file cannot be written.
    """
    told: dict[str, dict[str, Any]] = {}
    curves: dict[str, list[Specified]] = {}
    specifications = specifications_of(find_profile(profile))
    for number, specification in enumerate(specifications, 1):
        records = _decided(folder, find_profile(profile), specification)
        same = not specification.default and _numbers(records) == _numbers(told)
        for claim, record in ({} if same else records).items():
            if specification.default:
                told[claim] = record
            one = Specified(specification.name, record["verdict"], specification.default, record["effect"])
            curves.setdefault(claim, []).append(one)
        found = {claim: SpecificationCurve(told[claim]["rule_digest"], tuple(curves[claim])) for claim in told}
        keep(SPECIFICATIONS, folder, profile, found)
        changed = "changes no number, left out" if same else f"{len(records)} claims"
        typer.echo(f"specification {number} of {len(specifications)}, {specification.name}: {changed}")


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


def _numbers(records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {claim: [record["effect"], record["tasks"]] for claim, record in records.items()}
