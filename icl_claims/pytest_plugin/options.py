"""The options of a run of claims, and what they choose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from icl_claims.errors import IclClaimsError, UsageError

if TYPE_CHECKING:
    from icl_claims.experiments.plan import Choices

MARKERS = (
    "claim(claim, sources, condition): the claim that a test decides; written by Claim.decided_on",
    "exact: decided by mathematics, in seconds",
    "printed: decided on the papers' printed tables",
    "author_runs: decided on the authors' own runs",
    "trials: decided on our own runs of a model",
    "gpu: trials at the papers' own scale; not run without a CUDA device",
    "trained: trains something on the way, which takes a minute",
)


def add_options(parser: pytest.Parser) -> None:
    """Add the options `--claims-...`."""
    group = parser.getgroup("claims", "claims about in-context learning")
    group.addoption(
        "--claims-profile",
        default="embedded",
        metavar="NAME",
        help="set-up of the trials: embedded (default; a small model, minutes on a CPU), tiny (a model of our own that "
        "surely learns in context, seconds) or paper (fairseq scale, CUDA)",
    )
    group.addoption(
        "--claims-model",
        metavar="REF",
        help="embedded (SmolLM2-135M from PyPI), tiny, path:DIR (a transformers folder), hub:NAME or fairseq:DIR",
    )
    group.addoption(
        "--claims-data",
        metavar="DIR",
        help="folder of the real tasks (DIR/sst2/train.jsonl ...); default: $ICL_CLAIMS_DATA, else miniature tasks",
    )
    group.addoption("--claims-tasks", metavar="A,B", help="only these tasks: sst2, sst5, mr, subj, agnews, cb")
    group.addoption("--claims-k", type=int, metavar="N", help="demonstrations drawn for each trial")
    group.addoption("--claims-seeds", metavar="A,B", help="seeds of the draws of demonstrations, a trial each")
    group.addoption(
        "--claims-studies",
        metavar="A,B",
        help="which further trials are run where a claim asks for them (icl-claims studies lists them), or all; "
        "default: those of the profile",
    )
    group.addoption("--claims-queries", type=int, metavar="N", help="queries asked of each task")
    group.addoption(
        "--claims-device", metavar="NAME", help="auto (default), cpu, cuda, cuda:N, or spread (over all GPUs)"
    )
    group.addoption(
        "--claims-dtype",
        choices=("float32", "bfloat16", "float16"),
        help="of the model; float32 by default, the others halve its memory",
    )
    group.addoption(
        "--claims-tokens-per-batch",
        type=int,
        metavar="N",
        help="tokens of queries that are answered at once; default: as many as fit the free memory",
    )
    group.addoption(
        "--claims-rates", metavar="FILE", help="learning rates that `icl-claims tune --write FILE` found for this model"
    )
    group.addoption(
        "--claims-report", metavar="DIR", help="folder of claims.html and claims.json; default: reports in the root"
    )
    group.addoption("--claims-name", metavar="NAME", help="of the saved run, runs/NNNN_NAME.json; default: the profile")
    group.addoption(
        "--claims-again",
        action="store_true",
        help="decide every claim again, also those that the same code decided before on the same evidence",
    )
    group.addoption("--claims-figures", metavar="DIR", help="also save every figure of the report as SVG and PDF here")
    group.addoption(
        "--claims-compare",
        metavar="RUN",
        help="say what changed since a saved run (its number, name or file, or last), and fail where a verdict did",
    )


def check_options(config: pytest.Config) -> None:
    """Refuse an option that makes no sense.

    Raises:
        pytest.UsageError: with what was expected and what came.
    """
    _check_comparison(config)
    given = ("profile", "model", "data", "tasks", "k", "seeds", "queries", "rates", "studies", "tokens_per_batch")
    changed = [name for name in given if config.getoption(f"claims_{name}") not in (None, "embedded")]
    if not changed:
        return
    try:
        choices = choices_of(config)
        choices.chosen_tasks()
        choices.chosen_studies()
    except IclClaimsError as error:
        raise pytest.UsageError(str(error)) from error


def _check_comparison(config: pytest.Config) -> None:
    named = config.getoption("claims_compare")
    if named is None:
        return
    from icl_claims.report.document import read_document
    from icl_claims.report.saved_runs import find_run

    folder = Path(config.getoption("claims_report") or config.rootpath / "reports")
    try:
        read_document(find_run(named, folder / "runs"))
    except IclClaimsError as error:
        raise pytest.UsageError(f"--claims-compare: {error}") from error


def choices_of(config: pytest.Config, profile: str = "") -> Choices:
    """What the options choose.

    Args:
        config: of the run.
        profile: taken instead of the one that was chosen.

    Raises:
        UsageError: an option is malformed.
    """
    from icl_claims.experiments.plan import Choices
    from icl_claims.experiments.profiles import find_profile
    from icl_claims.tasks.sources import named_directory

    chosen = find_profile(profile or config.getoption("claims_profile"))
    for name in ("k", "queries", "tokens_per_batch"):
        value = config.getoption(f"claims_{name}")
        if value is not None and value < 1:
            option = f"--claims-{name.replace('_', '-')}"
            raise UsageError(option, expected="a number of at least 1", got=str(value))
    rates = config.getoption("claims_rates")
    if rates is not None and not Path(rates).is_file():
        raise UsageError("--claims-rates", expected="a file that `icl-claims tune --write FILE` wrote", got=str(rates))
    folder = named_directory(config.getoption("claims_data"), chosen.source)
    if folder is not None and not folder.is_dir():
        raise UsageError("--claims-data", expected="a folder with one folder a task", got=str(folder))
    return Choices(
        profile=chosen,
        model=config.getoption("claims_model"),
        data=folder,
        tasks=names_of("--claims-tasks", config.getoption("claims_tasks")),
        k=config.getoption("claims_k"),
        seeds=seeds_of("--claims-seeds", config.getoption("claims_seeds")),
        queries=config.getoption("claims_queries"),
        tokens_per_batch=config.getoption("claims_tokens_per_batch"),
        studies=studies_of("--claims-studies", config.getoption("claims_studies")),
        device=config.getoption("claims_device"),
        dtype=config.getoption("claims_dtype"),
        rates=None if rates is None else Path(rates),
    )


def names_of(option: str, text: str | None) -> tuple[str, ...] | None:
    """Names separated by commas.

    Raises:
        UsageError: there is none, with the option that was given.
    """
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError(option, expected="names separated by commas", got=repr(text))
    return names


def studies_of(option: str, text: str | None) -> tuple[str, ...] | None:
    """Studies separated by commas, or all of them.

    Raises:
        UsageError: there is none.
    """
    from icl_claims.experiments.studies import STUDIES

    return tuple(STUDIES) if text == "all" else names_of(option, text)


def seeds_of(option: str, text: str | None) -> tuple[int, ...] | None:
    """Seeds separated by commas.

    Raises:
        UsageError: one is no whole number of at least 0, with the option that was given.
    """
    if text is None:
        return None
    try:
        seeds = tuple(int(seed) for seed in text.split(","))
        if min(seeds) < 0:
            raise ValueError
    except ValueError as error:
        raise UsageError(option, expected="whole numbers separated by commas", got=repr(text)) from error
    return seeds
