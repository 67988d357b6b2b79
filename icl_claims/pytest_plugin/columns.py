"""The set-ups whose trials a run has: each gives a claim a test of its own, and a report a column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from icl_claims.errors import UsageError
from icl_claims.experiments.options import AT_SCALE, SECOND, chosen, default_profile
from icl_claims.pytest_plugin.options import given_options, named_options

if TYPE_CHECKING:
    from icl_claims.experiments.profiles import Choices

_COLUMNS = pytest.StashKey[tuple["Column", ...]]()
_SET_UP = {"profile", "model", "data", "rates"}
_OWN_PROFILES = ("tiny", "embedded")
"""References that are names of profiles, too: of the model that each is about."""


@dataclass(frozen=True)
class Column:
    """Trials of one set-up.

    Args:
        name: What records and reports call it.
        key: What stands for it in the ids of tests; empty for the only one that the reader named, or left alone.
        given: Options in which it differs from what the reader named for all.
        parameters: Those of its model, where the reader said how many.
    """

    name: str
    key: str = ""
    given: Mapping[str, Any] = field(default_factory=dict, hash=False)
    parameters: int | None = None

    @property
    def at_scale(self) -> bool:
        """Whether its profile is that of the papers' own scale, which is not run without a CUDA device."""
        return self.given.get("profile") == AT_SCALE


NO_COLUMN = Column("")
"""In the place of one where it is not trials that are asked."""


def columns_of(config: pytest.Config) -> tuple[Column, ...]:
    """All set-ups of a run: one for each of several models; else what was named, and what runs beside it.

    Raises:
        UsageError: The list of models makes no sense.
    """
    if _COLUMNS not in config.stash:
        config.stash[_COLUMNS] = _of_models(config) or _of_profiles(config)
    return config.stash[_COLUMNS]


def column_of(config: pytest.Config, key: str = "") -> Column:
    """The set-up that a key names: the first by default."""
    found = columns_of(config)
    return next((column for column in found if column.key == key), found[0])


def choices_of(config: pytest.Config, key: str = "") -> Choices:
    """What the options choose for a set-up, the first by default; its profile bears the name of the set-up.

    Raises:
        UsageError: An option is malformed.
    """
    column = column_of(config, key)
    found = chosen({**given_options(config), "profile": profile_of(config), **column.given})
    return replace(found, profile=replace(found.profile, name=column.name))


def chosen_options(config: pytest.Config) -> dict[str, Any]:
    """The options that were named, and the profile, as plain data for a report; of several models, each one's own."""
    models = {"models": {column.name: dict(column.given) for column in columns_of(config)}} if of_models(config) else {}
    return {"profile": profile_of(config), **named_options(config), **models}


def profile_of(config: pytest.Config) -> str:
    """The profile of a run, the first where there are two."""
    named = named_options(config) | ({"model": "several"} if of_models(config) else {})
    return str(named.get("profile") or default_profile(named))


def shares_budget(config: pytest.Config) -> bool:
    """Whether a run has trials of two profiles, which share a budget, since the reader named no set-up."""
    return not of_models(config) and any(column.key == SECOND for column in columns_of(config))


def of_models(config: pytest.Config) -> bool:
    """Whether the reader named several models, or a list of them."""
    return len(config.getoption("claims_model") or ()) > 1 or config.getoption("claims_models") is not None


def _of_models(config: pytest.Config) -> tuple[Column, ...]:
    from icl_claims.experiments.model_list import models_of_references, read_models

    if not of_models(config):
        return ()
    references, listed = config.getoption("claims_model") or (), config.getoption("claims_models")
    models = [*models_of_references(references), *(read_models(Path(listed)) if listed is not None else ())]
    if twice := {model.name for model in models if [one.name for one in models].count(model.name) > 1}:
        raise UsageError("Two of the models have one name", expected="a name for each", got=min(twice))
    own = () if config.getoption("claims_profile") is not None else _OWN_PROFILES
    return tuple(
        Column(
            model.name,
            model.name,
            {"profile": reference if (reference := model.given["model"]) in own else profile_of(config), **model.given},
            model.parameters,
        )
        for model in models
    )


def _of_profiles(config: pytest.Config) -> tuple[Column, ...]:
    """The chosen profile; where the reader named no set-up, that of a language model; and that of the papers' scale."""
    first = profile_of(config)
    second = (SECOND,) if first != SECOND and not named_options(config).keys() & _SET_UP else ()
    others = (name for name in (*second, AT_SCALE) if name != first)
    return (Column(first, given={"profile": first}), *(Column(name, name, {"profile": name}) for name in others))
