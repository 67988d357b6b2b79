"""The few errors a user can meet, each ending with what to do next."""

import re
from collections.abc import Callable
from typing import Any

_FIELD = re.compile(r"⟨(\w+)⟩")


class IclClaimsError(Exception):
    """Base of every error of the project: what is wrong, what was expected, what came, what to do next.

    The problem is a clause without a full stop, and what to do next is a sentence. In any of these texts ⟨k⟩ stands for
    the field k of what a reader chooses, under whatever name a door offers it.
    """

    def __init__(self, problem: str, *, expected: str = "", got: str = "", todo: str = "") -> None:
        sentences = [problem + (f": expected {expected}" if expected else "") + (f", got {got}" if got else "") + "."]
        if todo:
            sentences.append(todo)
        self._text = " ".join(sentences)
        super().__init__(self.as_told(lambda field: field))

    def as_told(self, option: Callable[[str], str]) -> str:
        """The text for the reader at a door; `option` gives what that calls a field, such as `--k` for k."""
        return _FIELD.sub(lambda found: option(found[1]), self._text)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process gets the same text, which is not made of its parts a second time."""
        return type(self).__new__, (type(self), *self.args), vars(self)


class UsageError(IclClaimsError):
    """An option or an argument that does not make sense."""


class DataError(IclClaimsError):
    """A data set, a row or a label that is missing or malformed."""


class ModelError(IclClaimsError):
    """A model that is unknown, damaged, unsupported, or answers with something that is not a number."""


class PromptError(IclClaimsError):
    """A prompt that cannot be built for this model: a verbalizer of several tokens, a context that is too short."""


class DivergenceError(IclClaimsError):
    """A method whose learning ran off to infinity; other methods of the trial are not affected."""


class ClaimError(IclClaimsError):
    """A claim that is declared or decided in a way that makes no sense."""


class StoreError(IclClaimsError):
    """A file of the cache that cannot be read or written."""


class EngineError(IclClaimsError):
    """An engine that is not installed, cannot be reached, or has no worker that is fit for the trials."""


class ReportError(IclClaimsError):
    """A report, or a saved run, that cannot be read, written or drawn."""


class StoreWarning(UserWarning):
    """A trial that cannot be cached, or whose cached result is damaged; the run goes on without it."""
