"""How often words may be wrong."""

from dataclasses import dataclass, replace

ALLOWED = 0.05
"""How often "supported" may be wrong, and how often "refuted" may be."""


@dataclass(frozen=True)
class Errors:
    """How often each word may be wrong on a task, and for the mean over tasks; set by the rule that counts the words.

    Args:
        holds: probability of "holds" on a task where it does not.
        fails: probability of "fails" on a task where it does not.
        together_holds: the same for the mean over tasks.
        together_fails: the same for the mean over tasks.
    """

    holds: float = ALLOWED / 2
    fails: float = ALLOWED / 2
    together_holds: float = ALLOWED / 2
    together_fails: float = ALLOWED / 2

    def of_part(self, parts: int) -> "Errors":
        """Those of each of several questions that must all hold, and of which one that fails is enough."""
        return replace(self, fails=self.fails / parts, together_fails=self.together_fails / parts)

    @property
    def denied(self) -> "Errors":
        """Those of the question whose opposite is asked."""
        return type(self)(self.fails, self.holds, self.together_fails, self.together_holds)

    @property
    def together(self) -> "Errors":
        """Those of the mean over tasks, as if it were a task."""
        return type(self)(self.together_holds, self.together_fails, self.together_holds, self.together_fails)
