"""Where a trial can follow the papers' words or the authors' code, and every place where these two differ."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from icl_claims.errors import UsageError

# Of each the authors' reading comes first; what the values mean is said by the fields of `Protocol`.
ProbePosition = Literal["label_token", "template_end"]
Truncation = Literal["in_context", "both"]
Order = Literal["authors", "same"]
Loss = Literal["all_tokens", "label_only"]
ClippedNorm = Literal["global_l2", "layer_l2", "l_inf"]
Calibration = Literal["none", "contextual", "batch"]
Separator = Literal["end_of_text", "newline", "blank_line"]
RandomBaseline = Literal["update", "state"]
Agreement = Literal["same_label", "changed"]
QueryDraw = Literal["same", "own"]


@dataclass(frozen=True)
class Difference:
    """A place where the papers and the authors' code differ, and what that changes.

    Backticks mark the values of the field of `Protocol` that follows one or the other, if there is one: `name`.
    """

    title: str
    papers: str
    code: str
    changes: str = ""
    name: str = ""


@dataclass(frozen=True)
class Choice(Difference):
    """A field of `Protocol`, for the doors that offer it."""

    values: tuple[str, ...] = ()
    help: str = ""


def choice(values: Any, **texts: str) -> Any:
    """A field of `Protocol`: the values of a Literal, the first by default, and the texts of its `Choice`."""
    known = get_args(values)
    return field(default=known[0], metadata={"values": known, "papers": "not said", **texts})


@dataclass(frozen=True)
class Protocol:
    """The readings that a trial follows; by default those of the authors' code, which produced the printed numbers.

    >>> Protocol(truncation="both").truncation, Protocol().truncation
    ('both', 'in_context')

    Raises:
        UsageError: a value that the field does not have.
    """

    probe: ProbePosition = choice(
        ProbePosition,
        title="Probe position",
        help="position where attention is looked at: label_token (authors' code) or template_end (paper's words)",
        papers="the last token of the query",
        code="class 0's label word is appended, and its position is read (`label_token`; the words: `template_end`)",
        changes="Every SimAOU and SimAM is read one token later, at a word that is the same for all queries of a task.",
    )
    truncation: Truncation = choice(
        Truncation,
        title="Demonstrations",
        help="who loses demonstrations that do not fit: in_context (authors' code: finetuning sees all k) or both",
        papers="the same for both methods",
        code="in-context learning drops what does not fit 2048 tokens; finetuning sees all 32",
        changes="CB shows 14 to 19 demonstrations and AGNews about 22, against 32 in finetuning.",
    )
    order: Order = choice(
        Order,
        title="Order",
        help="order of finetuning under a permutation: authors (another one) or same",
        code="of three runs, two finetune in another order than the one in context",
        changes="Two of three seeds compare two orders as well as two methods; the printed ones are the third.",
    )
    loss: Loss = choice(
        Loss,
        title="Loss of finetuning",
        help="tokens that are learned: all_tokens (authors' code) or label_only",
        code="cross-entropy over all tokens of a demonstration (`all_tokens`), not of its label only (`label_only`)",
        changes="A step also fits the text of the demonstration: on Subj, 17 to 67 tokens of it beside one of the "
        "label.",
    )
    clip_norm: ClippedNorm = choice(
        ClippedNorm,
        title="Clipping",
        help="norm that a clip bounds: global_l2 (authors' code), layer_l2 or l_inf (paper's words)",
        papers="Table 3: to 12.0 in the l∞ norm",
        code="the global L2 norm over all keys and values",
        changes="12.0 in L2 acts at every step on Subj; in l∞ it would take a single entry of the gradient above 12.",
    )
    calibration: Calibration = choice(
        Calibration,
        title="Calibration",
        help="calibration of the labels: none (authors' code), contextual, which divides label words' probabilities by "
        "those after queries without content (Zhao et al. 2021), or batch, which divides them by their means over the "
        "queries of the trial (Zhou et al. 2024)",
        code="none",
        papers="none",
    )
    separator: Separator = choice(
        Separator,
        title="Separator",
        help="what stands between two demonstrations in context: end_of_text (authors' code: the model's own token), "
        "newline or blank_line",
        code="the token that ends a text",
    )
    random_baseline: RandomBaseline = choice(
        RandomBaseline,
        title="Random baseline",
        help="what is drawn at random: update (authors' code) or state (paper's words)",
        papers="a random state, from which the zero-shot state is subtracted",
        code="a vector drawn uniformly from [0, 1), taken as the update itself, without a seed",
        changes="It scores about .002 whatever the model does. A Gaussian update of the right length, or another "
        "query's, is a harder null.",
    )
    agreement: Agreement = choice(
        Agreement,
        title="RPA",
        help="changes that RPA counts as shared: same_label (authors' code) or changed (paper's words)",
        papers="of the queries that either method changes, those that both change",
        code="a change is a query with its new label: a query that the two change to different labels is two "
        "changes, and none is shared (`same_label`; the words: `changed`)",
        changes="No difference for two labels; lower values on SST5, AGNews and CB.",
    )
    query_draw: QueryDraw = choice(
        QueryDraw,
        title="Queries",
        help="queries of each draw of demonstrations: same (authors' code: all draws ask the same) or own",
        code="every draw of demonstrations is asked the same evaluation set (`same`), not queries of its own (`own`)",
        changes="What all draws share is no further evidence: with `own`, draws are independent.",
    )

    def __post_init__(self) -> None:
        for one in fields(self):
            if (value := getattr(self, one.name)) not in (known := one.metadata["values"]):
                raise UsageError(f"⟨{one.name}⟩ has no such value", expected=" or ".join(known), got=repr(value))


def choices() -> tuple[Choice, ...]:
    """Every field of `Protocol`, as the doors offer it."""
    return tuple(Choice(name=one.name, **one.metadata) for one in fields(Protocol))


_BY_NAME = {one.name: one for one in choices()}
DIFFERENCES: tuple[Difference, ...] = (
    _BY_NAME["probe"],
    Difference(
        "Layer-causal update",
        "Rethinking: layers are updated one after another",
        "the losses of all layers are summed, and one step moves all of them (`concurrent`; the words: `sequential`)",
        "From the second layer on the two differ in the second order of the step. The printed numbers are the "
        "concurrent ones; Revisited, figure 1, says so.",
    ),
    Difference(
        "SimAM",
        "cosine of the scores themselves",
        "first the same (`direct`), later the cosine of their updates (`update`), under the same name",
        "The conclusion turns: layer-causal finetuning is below finetuning on 6 of 6 printed tasks by the direct one, "
        "and above it on 5 of 6 by updates, in the authors' three-seed means.",
    ),
    _BY_NAME["random_baseline"],
    _BY_NAME["clip_norm"],
    _BY_NAME["loss"],
    Difference(
        "What is tuned",
        "not said",
        "keys and values of all layers, weights and biases",
        "Queries, output projections and feed-forward layers never move. The gradient of a key's bias is 0 in exact "
        "arithmetic.",
    ),
    _BY_NAME["truncation"],
    _BY_NAME["order"],
    Difference(
        "Seeds",
        "not said",
        "the tables print one seed a task",
        "“5 of 6” in table 2 is 6 of 6 in the three-seed means. The exception, SST5 with .113 for finetuning, is in no "
        "run of theirs: that seed has .080, and no other more than .106.",
    ),
    _BY_NAME["agreement"],
    _BY_NAME["query_draw"],
    Difference(
        "Gradient norms",
        "of each attention layer",
        "of all parameters of a block, most of them never set back to zero between steps",
        "The figure's horizontal axis shows accumulation. Ours are of keys and values, fresh at each step.",
    ),
    Difference(
        "Layer-causal output",
        "of each attention layer",
        "of the whole block, after its feed-forward part, through the final norm",
        "The feed-forward part of a layer takes part in its loss.",
    ),
    Difference(
        "19.38 %",
        "average difference of accuracies relative to zero-shot (Rethinking, section 3.3)",
        "Table 1 gives 21.43 %",
        "19.38 % follows from the table of Dai et al., not from the one that is referred to.",
    ),
    Difference(
        "Switched labels", "Revisited, section 1, announces it", "no result, table or code", "Only a new run can say."
    ),
)
"""Every place where papers and code differ: the fields of `Protocol`, and what no parameter can change."""
