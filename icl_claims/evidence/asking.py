"""How evidence about tasks is asked: a source gives numbers, and the answer to every kind of question follows here."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NoReturn

import numpy as np

from icl_claims.claims import EVERY_TASK, Comparison, denied, jointly
from icl_claims.errors import ClaimError
from icl_claims.evidence.noise import Noise
from icl_claims.evidence.numbers import Numbers
from icl_claims.questions import Compared, Denied, Joint, Near, NotAbove, Quantity, Question, TwoSided
from icl_claims.statistics.error_rates import Errors
from icl_claims.statistics.replicates import Replicates
from icl_claims.tasks import PAPERS_TASKS


class NotHeldError(ClaimError):
    """A source holds nothing of the kind on any task; beside the question that decides, it is then left out."""


class TaskEvidence(ABC):
    """A source that knows quantities by task. What it must do is give numbers; all questions are answered here."""

    source: str
    plants_noise: ClassVar[bool] = False

    def measures(self, question: Question) -> bool:
        """Whether it holds what a question is about."""
        return True

    @abstractmethod
    def numbers(self, question: TwoSided, tasks: Sequence[str], errors: Errors) -> Sequence[Numbers]:
        """What is known of both sides of a question, task by task and then over all of them.

        The question's own tasks and errors are not looked at.

        Raises:
            NotHeldError: The source holds nothing of the kind on any task.
        """

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from."""

    def ask(self, question: Question) -> Comparison:
        """What every task says to a question.

        Raises:
            NotHeldError: The source holds nothing of the kind on any task.
            ClaimError: No trial measures it.
        """
        match question:
            case TwoSided():
                return self._compared(question, self._numbers(question))
            case Joint():
                required = [self.ask(part) for part in question.parts if not part.optional]
                known = self.answers(*(part for part in question.parts if part.optional))
                if not required and not known:
                    raise NotHeldError(f"The source {self.source} knows no part of a question", got=str(question))
                return jointly([*required, *known])
            case Denied():
                return denied(self.ask(question.question))
        raise ClaimError("Unknown kind of question", got=type(question).__name__)

    def beyond(self, question: Question, noise: Noise) -> Comparison | None:
        """Whether what a question speaks of goes beyond noise; None where the noise takes no place in it.

        Of a difference it is whether it is larger, in the sense of the question, than that of noise; of a similarity
        that is as large as another, whether it is above that of noise; and of one that is not, whether it is off by
        more than noise is, on whichever side.
        """
        match question:
            case Joint(parts=parts):
                found = [one for part in parts if (one := self.beyond(part, noise)) is not None]
                return jointly(found) if found else None
            case Denied(question=TwoSided() as inner):
                return self._beyond(inner, noise, both=True, either_side=True)
            case TwoSided():
                return self._beyond(question, noise)
        return None

    def _beyond(
        self, question: TwoSided, noise: Noise, *, both: bool = False, either_side: bool = False
    ) -> Comparison | None:
        null = noise.in_place_of(question, both=both)
        if not isinstance(null, TwoSided):
            return None
        upwards = question.upwards if isinstance(question, Compared) else not isinstance(question, NotAbove)
        upwards |= either_side  # sizes are compared
        if isinstance(question, Near) and not either_side:
            question, null = (_above(one.left, 0.0, like=one) for one in (question, null))
        pairs = zip(self._numbers(question), self._numbers(null), strict=True)
        beyond = [mine.beyond(its) for mine, its in pairs]
        contrast = _above(question.left, question.right, like=question, upwards=upwards)
        if either_side:
            beyond = [replace(one, replicates=one.replicates and _turned_up(one.replicates)) for one in beyond]
            errors = question.errors or Errors()
            contrast = replace(
                contrast, errors=replace(errors, holds=errors.fails / 2, together_holds=errors.fails / 2)
            )
        return replace(self._compared(contrast, beyond), question=f"{question}: more so than {noise.title}")

    def _numbers(self, question: TwoSided) -> Sequence[Numbers]:
        return self.numbers(question, question.tasks or PAPERS_TASKS, question.errors or Errors())

    def _compared(self, question: TwoSided, numbers: Sequence[Numbers]) -> Comparison:
        errors = question.errors or Errors()
        findings = (one.finding(question, errors.together if one.task == EVERY_TASK else errors) for one in numbers)
        upwards = question.upwards if isinstance(question, Compared) else None
        return Comparison(str(question), tuple(findings), upwards, *question.sides)

    def answers(self, *questions: Question) -> tuple[Comparison, ...]:
        """What the source says to those questions for which it holds something on some task; others are left out."""
        found = []
        for question in questions:
            with suppress(NotHeldError):
                found.append(self.ask(question))
        return tuple(one for one in found if any(finding.outcome != "absent" for finding in one.tasks))

    def _refuse(self, quantity: Quantity, known: Sequence[str]) -> NoReturn:
        of_metric = [name for name in known if name.startswith(f"{quantity.metric.name} of ")]
        wanted = f"one of {', '.join(of_metric or known)}"
        raise NotHeldError(f"The source {self.source} holds no {quantity.name}", expected=wanted, got=quantity.name)


@dataclass(frozen=True)
class AbsentEvidence(TaskEvidence):
    """A source that could not be asked: why, and what would bring it; and what else is known of it."""

    source: str
    why: str
    details: dict[str, Any] = field(default_factory=dict)

    def numbers(self, question: TwoSided, tasks: Sequence[str], errors: Errors) -> Sequence[Numbers]:
        """None, for the same reason on every task."""
        return [Numbers(task, absent=self.why) for task in tasks]

    def provenance(self) -> dict[str, Any]:
        """Why there is none."""
        return {"absent": self.why, **self.details}


def over_tasks(counted: int, asked: int) -> str:
    """Over which tasks a mean is taken, and that it does not decide where some are missing."""
    return f"over {counted} tasks" if counted == asked else f"over {counted} of {asked} tasks: the others could turn it"


def _above(left: Quantity, right: Any, *, like: Question, upwards: bool = True) -> Compared:
    """Whether one side is above the other, asked as another question is."""
    known = {name: getattr(like, name) for name in ("tasks", "errors", "any_model")}
    return Compared(left=left, right=right, upwards=upwards, **known)


def _turned_up(replicates: Replicates) -> Replicates:
    """The same with each side above 0, so that sizes are compared."""
    signs = [-1.0 if len(side) and side.mean() < 0 else 1.0 for side in (replicates.left, replicates.right)]
    queries = tuple(of_task * np.array(signs)[:, None] for of_task in replicates.queries)
    return replace(replicates, left=signs[0] * replicates.left, right=signs[1] * replicates.right, queries=queries)
