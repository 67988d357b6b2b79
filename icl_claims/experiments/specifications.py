"""Specifications: the ways to run a profile's trials that a reader might as well have chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from icl_claims.experiments.profiles import Profile
from icl_claims.experiments.studies import LEARNING
from icl_claims.protocol import choices

STUDIES_ASKED = ("main", "untrained", LEARNING)
"""What the papers' headlines are about, with the noise that it is held against."""
READINGS = ("probe", "truncation", "loss", "calibration", "random_baseline", "agreement")
"""Where the papers' words and the authors' code differ, or another choice is usual. `order` says nothing where all
demonstrations are learned in the order in which they are shown, and `separator` is a choice only of models that can
write the ends of lines."""


@dataclass(frozen=True)
class Specification:
    """One way to run the trials of a profile.

    Args:
        name: In words.
        options: Values of options that differ from the profile's, by name.
        rate: What the learning rates of the profile are multiplied by.
    """

    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    rate: float = 1.0

    @property
    def default(self) -> bool:
        """Whether it is the profile as it stands."""
        return not self.options and self.rate == 1.0


def specifications_of(profile: Profile) -> tuple[Specification, ...]:
    """The specifications of a profile: as it stands, then with one thing changed in each.

    >>> from icl_claims.experiments.profiles import find_profile
    >>> [one.name for one in specifications_of(find_profile("tiny"))][:4]
    ['as the profile stands', 'half the learning rate', 'twice the learning rate', '8 demonstrations']
    """
    half = profile.k // 2
    others = [
        Specification(f"{one.title}: {value}", {one.name: value})
        for one in choices()
        for value in one.values
        if one.name in READINGS and value != getattr(profile.protocol, one.name)
    ]
    return (
        Specification("as the profile stands"),
        Specification("half the learning rate", rate=0.5),
        Specification("twice the learning rate", rate=2.0),
        Specification(f"{half} demonstrations", {"k": str(half)}),
        *others,
    )
