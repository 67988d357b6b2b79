"""The options that several commands share, and what they choose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from icl_claims.experiments.plan import Choices

ProfileName = Annotated[str, typer.Option(help="The set-up to start from: embedded, tiny or paper.")]
ModelReference = Annotated[
    str | None, typer.Option(help="embedded, tiny, path:DIR, hub:NAME or fairseq:DIR; default: the profile's.")
]
DataFolder = Annotated[Path | None, typer.Option(help="Folder of the real tasks; default: $ICL_CLAIMS_DATA.")]
TaskNames = Annotated[str | None, typer.Option(help="Only these tasks, with commas: sst2, sst5, mr, subj, agnews, cb.")]
DemonstrationCount = Annotated[int | None, typer.Option("--k", help="Demonstrations; default: the profile's.", min=1)]
DeviceName = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, or spread (over all GPUs).")]
DtypeName = Annotated[str, typer.Option(help="float32, bfloat16 or float16.")]
StudyNames = Annotated[str | None, typer.Option(help="Further trials, with commas, or all; default: the profile's.")]
RatesFile = Annotated[
    Path | None, typer.Option(help="Learning rates that `icl-claims tune --write FILE` found for this model.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def choices_of(
    *,
    profile: str,
    model: str | None,
    data: Path | None,
    tasks: str | None,
    k: int | None,
    device: str,
    dtype: str,
    seeds: str | None = None,
    queries: int | None = None,
    rates: Path | None = None,
    studies: str | None = None,
) -> Choices:
    """What the options of a command choose.

    Raises:
        UsageError: an option makes no sense.
        DataError: the data directory is not a folder.
    """
    from icl_claims.experiments.plan import Choices
    from icl_claims.experiments.profiles import find_profile
    from icl_claims.pytest_plugin.options import names_of, seeds_of, studies_of
    from icl_claims.tasks.sources import named_directory

    start = find_profile(profile)
    return Choices(
        start,
        model=model,
        data=named_directory(data, start.source),
        tasks=names_of("--tasks", tasks),
        k=k,
        seeds=seeds_of("--seeds", seeds),
        queries=queries,
        device=device,
        dtype=dtype,
        rates=rates,
        studies=studies_of("--studies", studies),
    )
