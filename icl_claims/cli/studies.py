"""The command `icl-claims studies`: which trials claims can ask for."""

import json

import typer
from rich.console import Console
from rich.table import Column, Table

from icl_claims.cli.arguments import AsJson


def list_studies(as_json: AsJson = False) -> None:
    """List the studies: which trials claims can ask for, and in which profiles they run by default.

    `icl-claims run --claims-studies clips,orders` runs named ones, `--claims-studies all` every one.
    """
    from icl_claims.experiments.profiles import PROFILES
    from icl_claims.experiments.studies import STUDIES

    found = [
        {
            "study": study.name,
            "what": study.what,
            "profiles": [name for name, profile in PROFILES.items() if study.name in profile.studies],
            "methods": [method.name for method in study.methods],
        }
        for study in STUDIES.values()
    ]
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    methods = Column("methods besides zero-shot and in-context learning", overflow="fold")
    table = Table("study", "what", "profiles", methods)
    for one in found:
        table.add_row(*(value if isinstance(value, str) else ", ".join(value) for value in one.values()))
    Console().print(table)
