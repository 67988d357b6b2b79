"""What a reader can choose: each option once, for the command line and for pytest, and what its text comes to."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icl_claims import errors, protocol

if TYPE_CHECKING:
    from icl_claims.experiments.profiles import Choices

PYTEST = "pytest"
SECOND, AT_SCALE = "embedded", "paper"
"""Profiles of trials beside those of the chosen one: of a language model, and at the papers' own scale."""
EVERYWHERE = (PYTEST, "plan", "trial", "tune", "tune-prompting", "why")
OF_TRIALS = (PYTEST, "plan", "trial", "why")
OF_RATES = (*OF_TRIALS, "tune")


@dataclass(frozen=True)
class Option:
    """Something that can be chosen.

    Args:
        name: field of `Choices` or `Protocol`, or parameter of a command.
        metavar: what stands for its value in help.
        doors: commands that offer it, and `pytest`.
        least: smallest number that makes sense.
        values: everything that it may be; empty if that is no short list.
        many: whether pytest takes it several times.
    """

    name: str
    help: str
    metavar: str | None = None
    doors: tuple[str, ...] = EVERYWHERE
    type: type = str
    default: Any = None
    least: int | None = None
    values: tuple[str, ...] = ()
    many: bool = False


OPTIONS = (
    Option(
        "profile",
        "set-up to start from: tiny (a model of our own that surely learns in context, minutes), embedded (a small "
        "language model, hours on a CPU) or paper (fairseq scale, CUDA); default: embedded where a model or data are "
        "named, else tiny, which embedded follows in pytest",
        "NAME",
    ),
    Option(
        "model",
        "model: embedded (SmolLM2-135M), tiny, path:DIR (a transformers folder), hub:NAME, gguf:FILE or fairseq:DIR; "
        "default: the profile's",
        "REF",
        many=True,
    ),
    Option(
        "models",
        "several models, of each of which all claims on trials are asked: a TOML file with tables [[model]] of "
        "reference, name, parameters, and options of a run that are others for it, such as dtype, k or rates",
        "FILE",
        (PYTEST,),
        Path,
    ),
    Option(
        "data",
        "folder of the real tasks (DIR/sst2/train.jsonl ...), or hub, for those on the Hugging Face Hub; default: "
        "$ICL_CLAIMS_DATA, else the profile's tasks",
        "DIR",
        type=Path,
    ),
    Option(
        "tasks",
        "only these tasks, with commas: sst2, sst5, mr, subj, agnews, cb, or folders of your own such as ./mytask",
        "A,B",
        (PYTEST, "plan", "tune", "tune-prompting"),
    ),
    Option("k", "demonstrations drawn for each trial; default: the profile's", "N", OF_RATES, int, least=1),
    Option("seeds", "seeds of the draws of demonstrations, with commas, a trial each", "A,B", (PYTEST, "plan")),
    Option(
        "first_seed",
        "seed of the first draw of demonstrations, which the others follow; default: the profile's",
        "N",
        (PYTEST, "plan"),
        int,
        least=0,
    ),
    Option(
        "replicates",
        "draws of demonstrations of every task, so many and no others; default: until a claim is decided, at most the "
        "profile's",
        "N",
        (PYTEST, "plan"),
        int,
        least=2,
    ),
    Option("queries", "queries asked of each task, at most; default: the profile's", "N", OF_TRIALS, int, least=1),
    Option(
        "studies",
        "further trials that are run where a claim asks for them, with commas (icl-claims studies lists them), or all; "
        "default: those of the profile",
        "A,B",
        (PYTEST, "plan"),
    ),
    Option("device", "device: auto (default), cpu, cuda, cuda:N, or spread (over all GPUs)", "NAME", EVERYWHERE[:-1]),
    Option(
        "dtype",
        "precision of the model: float32 (default), or bfloat16 or float16, which halve its memory",
        "NAME",
        values=("float32", "bfloat16", "float16"),
    ),
    Option(
        "tokens_per_batch",
        "tokens of queries that are answered at once; default: as many as fit the free memory",
        "N",
        (PYTEST,),
        int,
        least=1,
    ),
    Option(
        "rates",
        "learning rates that `icl-claims tune --write FILE` found for this model",
        "FILE",
        (PYTEST, "plan", "trial"),
        Path,
    ),
    *(
        Option(one.name, one.help, "NAME", OF_RATES if one.name == "calibration" else OF_TRIALS, values=one.values)
        for one in protocol.choices()
    ),
    Option("seed", "seed of the draw of demonstrations; default: the profile's first", "N", ("trial",), int, least=0),
    Option("permutation", "order of the demonstrations; 0 leaves it", "N", ("trial",), int, 0, 0),
    Option(
        "methods",
        "what is compared with in-context learning: names with commas, as `icl-claims studies` has them, or all",
        "A,B",
        ("trial",),
        default="finetuning",
    ),
    Option("claims", "folder of claims whose own methods and metrics are known too", "DIR", ("trial",), Path),
    Option("learning_rate", "rate of finetuning; default: the task's in the rates", "X", ("trial",), float),
    Option("clip", "bound at which gradients are clipped; default: none", "X", ("trial",), float),
    Option(
        "weights",
        "weights of the model: trained, or an untrained one that keeps embeddings_norms_head, norms or nothing",
        "NAME",
        ("trial",),
        default="trained",
        values=("trained", "embeddings_norms_head", "norms", "nothing"),
    ),
    Option("diagnostics", "also the logit lens, and the attention to the demonstrations", None, ("trial",), bool, True),
    Option(
        "export_records",
        "folder that gets all activations, in the layout of the authors' code",
        "DIR",
        ("trial",),
        Path,
    ),
)


def options_of(door: str) -> tuple[Option, ...]:
    """The options of a command, or of `pytest`."""
    return tuple(option for option in OPTIONS if door in option.doors)


def chosen(given: Mapping[str, Any]) -> "Choices":
    """What the values of options choose, by name; what is None or missing is left to the profile.

    Raises:
        UsageError: a value makes no sense.
    """
    from icl_claims.experiments.profiles import Choices, find_profile
    from icl_claims.tasks import named_directory

    named = {option.name: given[option.name] for option in OPTIONS if given.get(option.name) is not None}
    for option in (one for one in OPTIONS if one.name in named):
        name, value = option.name, named[option.name]
        if option.values and value not in option.values:
            raise errors.UsageError(f"⟨{name}⟩ has no such value", expected=" or ".join(option.values), got=repr(value))
        if option.least is not None and value < option.least:
            raise errors.UsageError(f"⟨{name}⟩ is too small", expected=f"at least {option.least}", got=str(value))
    profile = find_profile(named.get("profile") or default_profile(named))
    values = {field.name: named[field.name] for field in fields(Choices) if field.name in named}
    for name, read in (("rates", _written_rates), ("tasks", names_of), ("seeds", seeds_of), ("studies", _studies_of)):
        if name in values:
            values[name] = read(name, values[name])
    readings = {one.name: named[one.name] for one in fields(protocol.Protocol) if one.name in named}
    data = named_directory(named.get("data"), profile.source)
    return Choices(**{**values, "profile": profile, "data": data, "protocol": readings})


def default_profile(given: Mapping[str, Any]) -> str:
    """The profile where none is named: that of minutes, unless a model or data are named, by option or variable."""
    from icl_claims.tasks.sources import ENVIRONMENT

    named = given.get("model") or given.get("data") or os.environ.get(ENVIRONMENT)
    return "embedded" if named else "tiny"


def names_of(name: str, text: str) -> tuple[str, ...]:
    """The names in a text, with commas between.

    Raises:
        UsageError: there is none.
    """
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise errors.UsageError(f"⟨{name}⟩ names nothing", expected="names separated by commas", got=repr(text))
    return names


def seeds_of(name: str, text: str) -> tuple[int, ...]:
    """The seeds in a text, with commas between.

    Raises:
        UsageError: one is no whole number of at least 0.
    """
    try:
        seeds = tuple(int(seed) for seed in text.split(","))
        if min(seeds) < 0:
            raise ValueError
    except ValueError as error:
        wanted = "whole numbers separated by commas"
        raise errors.UsageError(f"⟨{name}⟩ cannot be read", expected=wanted, got=repr(text)) from error
    return seeds


def _studies_of(name: str, text: str) -> tuple[str, ...]:
    from icl_claims.experiments.studies import STUDIES

    return tuple(STUDIES) if text == "all" else names_of(name, text)


def _written_rates(name: str, file: str | Path) -> Path:
    if not Path(file).is_file():
        wanted = "a file that `icl-claims tune --write FILE` wrote"
        raise errors.UsageError(f"The file of ⟨{name}⟩ is not there", expected=wanted, got=str(file))
    return Path(file)
