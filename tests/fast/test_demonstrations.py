"""Demonstrations can be given other labels, another order or other words, and all else about them stays."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.errors import PromptError, UsageError
from icl_claims.protocol import Protocol
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.examples import Draw, Example, TaskData, orders
from icl_claims.tasks.prompts import Demonstrations, Queries, build_prompts
from icl_claims.tasks.sources import vocabulary

BOS, SEPARATOR, LABELS = 0, 2, (90, 91, 92)
K = 6


@st.composite
def drawn(draw, separator=(SEPARATOR,)):
    """Some demonstrations, of which some are shown in one order and some are stepped on in another."""
    count = draw(st.integers(1, 6))
    shown, learned = (draw(st.permutations(range(count))) for _ in range(2))
    labels = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    context = tuple(shown[: draw(st.integers(1, count))])
    templates = tuple((10 + i, 20 + i)[: 1 + i % 2] for i in range(count))
    return Demonstrations(BOS, separator, templates, tuple(labels), LABELS, context, tuple(learned))


@given(drawn())
def test_context_and_sequences_are_written_from_the_same_rows(demonstrations):
    rows = [(*t, LABELS[label]) for t, label in zip(demonstrations.templates, demonstrations.labels, strict=True)]
    shown = [(*rows[i], SEPARATOR) for i in demonstrations.context_order]
    assert demonstrations.context == (BOS, *sum(shown, ()))
    assert demonstrations.sequences == tuple((BOS, *rows[i]) for i in demonstrations.learning_order)


@given(st.sampled_from([(SEPARATOR,), (3, 4)]).flatmap(drawn))
def test_demonstrations_lie_in_their_spans_of_the_context(demonstrations):
    context, spans = demonstrations.context, demonstrations.spans
    rows = [(*t, LABELS[label]) for t, label in zip(demonstrations.templates, demonstrations.labels, strict=True)]
    found = [context[span.start : span.stop] for span in spans]
    assert found == [rows[i] for i in demonstrations.context_order]
    between = set(range(len(context))) - {place for span in spans for place in span}
    assert [context[place] for place in sorted(between)] == [BOS, *demonstrations.separator * demonstrations.shown]


@given(drawn())
def test_demonstrations_of_rows_are_the_rows(demonstrations):
    rows = [sequence[1:] for sequence in demonstrations.sequences]
    again = Demonstrations.from_rows(BOS, SEPARATOR, rows)
    assert again.sequences == demonstrations.sequences
    assert again.context == (BOS, *(token for row in rows for token in (*row, SEPARATOR)))


@given(drawn(), st.permutations(range(3)))
def test_a_permutation_and_its_inverse_give_the_labels_back(demonstrations, switch):
    there = demonstrations.relabelled([switch[label] for label in demonstrations.labels])
    assert there.templates == demonstrations.templates
    assert there.relabelled([switch.index(label) for label in there.labels]) == demonstrations


@given(drawn())
def test_other_labels_change_the_label_tokens_and_nothing_else(demonstrations):
    other = demonstrations.relabelled([(label + 1) % 3 for label in demonstrations.labels])
    without = [[token for token in d.context if token not in LABELS] for d in (demonstrations, other)]
    assert without[0] == without[1]
    assert all(a[:-1] == b[:-1] for a, b in zip(demonstrations.sequences, other.sequences, strict=True))
    assert all(a[-1] != b[-1] for a, b in zip(demonstrations.sequences, other.sequences, strict=True))


@pytest.mark.parametrize("labels", [(0,), (0, 1, 2), (0, 2), (0, -1)])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(UsageError, match="expected 2 of 0 to 1, got"):
        Demonstrations.from_rows(BOS, SEPARATOR, ((5, 90), (6, 91))).relabelled(labels)


@given(drawn(), st.integers(0, 50))
def test_another_order_shows_and_steps_on_the_same_ones(demonstrations, seed):
    other = demonstrations.reordered(seed)
    assert sorted(other.context_order) == sorted(demonstrations.context_order)
    assert sorted(other.learning_order) == sorted(demonstrations.learning_order)
    assert (other.context != demonstrations.context) == (demonstrations.shown > 1)
    common = [[i for i in order if i in other.context_order] for order in (other.context_order, other.learning_order)]
    assert common[0] == common[1]
    assert demonstrations.reordered(seed) == other


# As prompts are built


def data_of(lengths):
    rows = tuple(
        Example({"sentence": " ".join([f"w{row}"] * length)}, row % 2, row) for row, length in enumerate(lengths)
    )
    return TaskData(TASKS["sst2"], rows, rows[:3], "directory", "")


def built(encoder, context_length=500, lengths=(2,) * K, **how):
    draw = Draw(len(lengths), seed=3, permutation=1)
    return build_prompts(data_of(lengths), encoder, draw, Protocol(**how), context_length=context_length)


def test_finetuning_has_an_order_of_its_own_by_default(word_encoder):
    encoder = word_encoder()
    authors, same = (built(encoder, order=order).demonstrations for order in ("authors", "same"))
    assert (authors.context_order, authors.learning_order) == orders(K, 3, 1)
    assert same.learning_order == same.context_order == authors.context_order


def test_finetuning_sees_all_demonstrations_or_those_shown(word_encoder):
    encoder = word_encoder()
    all_of_them, shown = (built(encoder, 30, truncation=who) for who in ("in_context", "both"))
    kept = all_of_them.demonstrations.context_order
    assert 0 < len(kept) < K
    assert len(all_of_them.demonstrations.sequences) == K
    assert shown.demonstrations.learning_order == tuple(i for i in orders(K, 3, 1)[1] if i in kept)
    assert len(shown.demonstration_rows) == len(kept)


def test_demonstrations_keep_the_tokens_and_labels_of_their_rows(word_encoder):
    encoder = word_encoder()
    prompts = built(encoder, order="same")
    for row, sequence in zip(prompts.demonstration_rows, prompts.demonstrations.sequences, strict=True):
        word = ("Negative", "Positive")[row % 2]
        assert sequence == (BOS, *encoder.encode(f"Sentence: w{row} w{row} Label: {word}"))


# In other words


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_task_is_asked_in_two_ways_about_the_same_fields(task):
    fields = {name: f"the {name}" for name in task.fields}
    assert task.paraphrased(fields) != task.prompt(fields)
    assert all(text in task.paraphrased(fields) for text in fields.values())
    assert set(re.findall(r"\{(\w+)\}", task.paraphrase)) == set(task.fields)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_second_template_is_in_words_of_the_tiny_model(task):
    written = task.paraphrased(dict.fromkeys(task.fields, ""))
    assert set(re.findall(r"\w+|[^\w\s]", written)) <= set(vocabulary())


@pytest.mark.parametrize(("probe", "end"), [("label_token", " Negative"), ("template_end", "")])
def test_queries_are_written_in_other_words_too(word_encoder, probe, end):
    encoder = word_encoder()
    prompts = built(encoder, probe=probe, calibration="contextual")
    row = prompts.query_rows[0]
    wanted = f"Review: w{row} w{row} Question: Negative or Positive? Answer:{end}"
    assert prompts.queries.in_other_words().rows[0] == encoder.encode(wanted)
    assert prompts.content_free.paraphrased[0] == encoder.encode(wanted.replace(f"w{row} w{row}", "N/A"))


def test_chosen_queries_keep_their_other_words():
    queries = Queries(((3,), (4,), (5,)), (90, 91), -2, -1, paraphrased=((6,), (7,), (8,)))
    assert queries.some([2, 0]) == replace(queries, rows=((5,), (3,)), paraphrased=((8,), (6,)))
    assert replace(queries, paraphrased=()).some([1]).paraphrased == ()


def test_queries_without_other_words_say_so():
    with pytest.raises(PromptError, match="not written in other words"):
        Queries(((3,),), (90, 91), -2, -1).in_other_words()
