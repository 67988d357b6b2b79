"""The six tasks of the papers: fields, template, verbalizers, and the authors' choices for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from icl_claims.errors import UsageError


@dataclass(frozen=True)
class Task:
    """A classification task as the authors prompted it.

    Args:
        name: short name, as the data folder is called.
        title: the name the papers print.
        fields: the text fields of an example.
        template: the prompt of an example without its answer; names its fields in braces.
        paraphrase: the same question in other words, ours, for the same verbalizers. They are words of the six
            templates and their verbalizers, so that a tokenizer that knows those knows them.
        verbalizers: the word that stands for each label, label 0 first.
        learning_rate: of the authors' finetuning of the 1.3B model.
        runs: the authors' (seed, permutation) pairs; Table 2 prints the first.
    """

    name: str
    title: str
    fields: tuple[str, ...]
    template: str
    paraphrase: str
    verbalizers: tuple[str, ...]
    learning_rate: float
    runs: tuple[tuple[int, int], ...]

    @property
    def labels(self) -> int:
        """Number of labels."""
        return len(self.verbalizers)

    def prompt(self, example: Mapping[str, str]) -> str:
        """The template filled with an example's fields."""
        return self.template.format_map(example)

    def paraphrased(self, example: Mapping[str, str]) -> str:
        """The second template filled with an example's fields."""
        return self.paraphrase.format_map(example)

    def content_free(self, filler: str) -> str:
        """The template with the same filler in every field (Zhao et al. 2021)."""
        return self.prompt(dict.fromkeys(self.fields, filler))


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="sst2",
            title="SST2",
            fields=("sentence",),
            template="Sentence: {sentence} Label:",
            paraphrase="Review: {sentence} Question: Negative or Positive? Answer:",
            verbalizers=("Negative", "Positive"),
            learning_rate=0.0005,
            runs=((2, 0), (3, 1), (4, 2)),
        ),
        Task(
            name="sst5",
            title="SST5",
            fields=("text",),
            template="Sentence: {text} Label:",
            paraphrase="Review: {text} Question: terrible, bad, neutral, good, or great? Answer:",
            verbalizers=("terrible", "bad", "neutral", "good", "great"),
            learning_rate=0.00016,
            runs=((5, 0), (6, 1), (7, 2)),
        ),
        Task(
            name="mr",
            title="MR",
            fields=("text",),
            template="Review: {text} Sentiment:",
            paraphrase="Input: {text} Question: Negative or Positive? Label:",
            verbalizers=("Negative", "Positive"),
            learning_rate=0.003,
            runs=((5, 0), (6, 1), (7, 2)),
        ),
        Task(
            name="subj",
            title="Subj",
            fields=("text",),
            template="Input: {text} Type:",
            paraphrase="Sentence: {text} Question: objective or subjective? Answer:",
            verbalizers=("objective", "subjective"),
            learning_rate=0.003,
            runs=((4, 0), (5, 1), (6, 2)),
        ),
        Task(
            name="agnews",
            title="AGNews",
            fields=("text",),
            template=(
                "Classify the news articles into the categories of World, Sports, Business, and Technology. "
                "Article: {text} Answer:"
            ),
            paraphrase="Article: {text} Question: World, Sports, Business, or Technology? Label:",
            verbalizers=("World", "Sports", "Business", "Technology"),
            learning_rate=0.2,
            runs=((3, 0), (4, 1), (5, 2)),
        ),
        Task(
            name="cb",
            title="CB",
            fields=("premise", "hypothesis"),
            template="{premise} Question: {hypothesis}. True, False, or Neither? Answer:",
            paraphrase="Article: {premise} Sentence: {hypothesis}. True, False, or Neither? Label:",
            verbalizers=("True", "False", "Neither"),
            learning_rate=0.08,
            runs=((3, 0), (4, 1), (5, 2)),
        ),
    )
}


def find_task(name: str) -> Task:
    """The task of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in TASKS:
        raise UsageError("Unknown task", expected=f"one of {', '.join(TASKS)}", got=repr(name))
    return TASKS[name]
