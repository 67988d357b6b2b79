"""Tasks, draws and prompts are exactly the authors'; unfit data are refused by file and line."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.errors import DataError, PromptError, UsageError
from icl_claims.protocol import Protocol
from icl_claims.tasks.catalogue import PAPERS_TASKS, TASKS, Task, known_task, read_own_task
from icl_claims.tasks.encoding import label_tokens
from icl_claims.tasks.examples import (
    Draw,
    Example,
    TaskData,
    draw_demonstrations,
    draw_queries,
    orders,
    read_task,
    shuffle,
)
from icl_claims.tasks.prompts import build_prompts
from icl_claims.tasks.sources import synthetic_task

# The catalogue


@pytest.mark.parametrize(
    ("task", "fields", "label", "written"),
    [
        ("sst2", {"sentence": "a warm film ."}, 1, "Sentence: a warm film . Label: Positive"),
        ("sst5", {"text": "a warm film ."}, 4, "Sentence: a warm film . Label: great"),
        ("mr", {"text": "a warm film ."}, 0, "Review: a warm film . Sentiment: Negative"),
        ("subj", {"text": "she leaves town ."}, 0, "Input: she leaves town . Type: objective"),
        (
            "agnews",
            {"text": "Shares rose."},
            2,
            "Classify the news articles into the categories of World, Sports, Business, and Technology. "
            "Article: Shares rose. Answer: Business",
        ),
        (
            "cb",
            {"premise": "It rained.", "hypothesis": "it was dry"},
            1,
            "It rained. Question: it was dry. True, False, or Neither? Answer: False",
        ),
    ],
)
def test_an_example_is_written_as_the_authors_wrote_it(task, fields, label, written):
    assert f"{TASKS[task].prompt(fields)} {TASKS[task].verbalizers[label]}" == written


def test_verbalizers_learning_rates_and_runs_are_the_authors():
    assert {name: (task.verbalizers, task.learning_rate, task.runs) for name, task in TASKS.items()} == {
        "sst2": (("Negative", "Positive"), 0.0005, ((2, 0), (3, 1), (4, 2))),
        "sst5": (("terrible", "bad", "neutral", "good", "great"), 0.00016, ((5, 0), (6, 1), (7, 2))),
        "mr": (("Negative", "Positive"), 0.003, ((5, 0), (6, 1), (7, 2))),
        "subj": (("objective", "subjective"), 0.003, ((4, 0), (5, 1), (6, 2))),
        "agnews": (("World", "Sports", "Business", "Technology"), 0.2, ((3, 0), (4, 1), (5, 2))),
        "cb": (("True", "False", "Neither"), 0.08, ((3, 0), (4, 1), (5, 2))),
    }


def test_a_content_free_prompt_has_the_filler_in_every_field():
    without_content = dict.fromkeys(TASKS["cb"].fields, "N/A")
    assert TASKS["cb"].prompt(without_content) == "N/A Question: N/A. True, False, or Neither? Answer:"


def test_braces_in_a_text_are_only_text():
    assert TASKS["sst2"].prompt({"sentence": "{label} {0}"}) == "Sentence: {label} {0} Label:"


def test_an_unknown_task_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match=r"expected one of sst2, sst5, mr, subj, agnews, cb, got 'trec'"):
        known_task("trec")


def test_the_papers_tasks_are_the_six_in_their_order():
    assert PAPERS_TASKS == ("sst2", "sst5", "mr", "subj", "agnews", "cb")
    assert tuple(TASKS)[:6] == PAPERS_TASKS


DESCRIPTION = {
    "title": "TREC",
    "fields": ["text"],
    "template": "Question: {text} Type:",
    "paraphrase": "{text} Answer:",
    "verbalizers": ["True", "False"],
}


def own_task(folder, **changes):
    """A folder `trec` with a description; None leaves an entry out."""
    entries = {name: value for name, value in {**DESCRIPTION, **changes}.items() if value is not None}
    tables = {name: value for name, value in entries.items() if isinstance(value, dict)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in entries.items() if name not in tables]
    lines += [f"[{name}]\n" + "\n".join(f"{key} = {one}" for key, one in of.items()) for name, of in tables.items()]
    (folder / "trec").mkdir(exist_ok=True)
    (folder / "trec" / "task.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder / "trec"


def test_a_task_of_ones_own_is_a_folder_with_its_rows(tmp_path):
    task = read_own_task(own_task(tmp_path, runs=[[7, 0]], learning_rates={"tiny": 0.5}))
    for split in ("train", "validation"):
        write(tmp_path, [{"text": "who ?", "label": 1}], split, "trec")
    assert (task.name, task.labels, task.runs, task.learning_rate) == ("trec", 2, ((7, 0),), None)
    assert task.learning_rates == {"tiny": 0.5}
    here, elsewhere = read_task(task, None), read_task(task, tmp_path / "nowhere")
    assert (here.source, here.train[0].fields) == ("directory", {"text": "who ?"})
    assert here == elsewhere
    assert known_task("trec", [task]) is task
    again = read_own_task(own_task(tmp_path, template="Say {text} Type:"))
    assert read_task(again, None).digest != here.digest, "other prompts are other trials"


@pytest.mark.parametrize("read", [read_task, synthetic_task])
@pytest.mark.parametrize("words", [{"template": "{text}:"}, {"paraphrase": "{text}"}, {"verbalizers": ("on", "off")}])
def test_other_prompts_of_a_task_made_in_code_are_other_data(read, words, monkeypatch):
    known = TASKS["sst2"]
    assert read(replace(known, title="SST 2")).digest == read(known).digest
    assert read(replace(known, **words)).digest != read(known).digest
    own = dataclass(frozen=True)(type("Shouted", (Task,), {"__module__": __name__}))
    assert read(own(**vars(known))).digest != read(known).digest


def test_a_folder_named_as_a_known_task_is_refused(tmp_path):
    own_task(tmp_path).rename(tmp_path / "cb")
    with pytest.raises(DataError, match=r"taken: expected another name than sst2.*got 'cb'\. Rename the folder"):
        read_own_task(tmp_path / "cb")


@pytest.mark.parametrize(
    ("entry", "value", "expected"),
    [
        ("title", None, "a text, got none"),
        ("title", " ", "a text, got ' '"),
        ("fields", [], "names such as"),
        ("fields", ["label"], "not label"),
        ("template", "Question: {words} Type:", "a text with {text}, each once, got 'Question: {words} Type:'"),
        ("template", "no field", "a text with {text}"),
        ("template", "{text!r}", "a text with {text}"),
        ("paraphrase", "cut {text", "a text with {text}"),
        ("verbalizers", ["yes"], "two or more different words"),
        ("verbalizers", ["yes", "yes"], "two or more different words"),
        ("learning_rate", 0, "a number above 0, got 0"),
        ("runs", [[1, 5]], "a permutation from 0 to 4"),
        ("runs", [[1]], "pairs of a seed"),
        ("learning_rates", {"tiny": -1}, "a table of numbers above 0"),
        ("labels", 3, "no such entry, got 3"),
    ],
)
def test_a_wrong_description_is_refused_with_file_and_entry(tmp_path, entry, value, expected):
    folder = own_task(tmp_path, **{entry: value})
    with pytest.raises(DataError, match=rf"task\.toml: the entry '{entry}' cannot be used: .*{re.escape(expected)}"):
        read_own_task(folder)


@pytest.mark.parametrize("text", [None, "title = ", b"\xff"])
def test_a_description_that_is_no_toml_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "task.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=r"cannot be read from .*task\.toml: expected a TOML file with title, fields"):
        read_own_task(tmp_path)


# Draws


def test_the_first_draws_of_subj_are_the_rows_in_the_authors_log():
    assert shuffle(range(8000), 4)[:2] == (644, 6940)
    assert draw_demonstrations(range(8000), 2, 4) == (644, 6940)
    assert draw_queries(range(2000), None)[:2] == (1883, 109)


@given(st.integers(1, 200), st.integers(0, 50))
def test_a_shuffle_is_numpys_permutation_and_loses_nothing(n, seed):
    rows = [f"row {i}" for i in range(n)]
    assert shuffle(rows, seed) == tuple(rows[i] for i in np.random.default_rng(seed).permutation(n))
    assert sorted(shuffle(rows, seed)) == sorted(rows)


@given(st.integers(2, 100), st.integers(0, 9), st.data())
def test_fewer_demonstrations_are_the_first_of_more(n, seed, data):
    few, many = sorted(data.draw(st.tuples(st.integers(1, n), st.integers(1, n))))
    assert draw_demonstrations(range(n), few, seed) == draw_demonstrations(range(n), many, seed)[:few]


@pytest.mark.parametrize(("asked", "given_back"), [(None, 2000), (5000, 2000), (7, 7), (1, 1)])
def test_at_most_two_thousand_queries_are_asked(asked, given_back):
    assert len(draw_queries(range(2500), asked)) == given_back


def test_fewer_queries_than_asked_are_all_there_are():
    assert sorted(draw_queries(range(56), 2000)) == list(range(56))


@pytest.mark.parametrize("k", [0, -1, 11])
def test_more_demonstrations_than_training_examples_are_refused(k):
    with pytest.raises(UsageError, match=f"expected k between 1 and 10, got k={k}"):
        draw_demonstrations(range(10), k, 0)


@pytest.mark.parametrize("limit", [0, -3])
def test_asking_no_query_is_refused(limit):
    with pytest.raises(UsageError, match=f"at least 1, got {limit}"):
        draw_queries(range(10), limit)


def test_permutation_zero_leaves_the_order_for_both_methods():
    assert orders(32, 3, 0) == (tuple(range(32)), tuple(range(32)))


@pytest.mark.parametrize("permutation", [1, 2])
def test_other_permutations_differ_between_the_methods(permutation):
    in_context, finetuning = orders(32, 3, permutation)
    assert in_context != finetuning
    assert sorted(in_context) == sorted(finetuning) == list(range(32))


@given(st.integers(1, 40), st.integers(0, 20), st.integers(1, 4))
def test_a_permutation_is_a_draw_and_finetuning_draws_five_later(k, seed, permutation):
    stream = np.random.RandomState(seed)
    draws = [tuple(stream.permutation(k)) for _ in range(10)]
    assert orders(k, seed, permutation) == (draws[permutation], draws[5 + permutation])


@pytest.mark.parametrize("permutation", [-1, 5])
def test_an_unknown_permutation_is_refused(permutation):
    with pytest.raises(UsageError, match="expected 0 to 4"):
        orders(4, 0, permutation)


# Prompts

BOS, SEPARATOR = 0, 2
TINY = Task("tiny", "Tiny", ("text",), "say {text} now", "now {text} or", ("no", "yes"), 0.1, ((0, 0),))


def tiny_data(train, validation):
    """Examples of so many words each, labels in turn."""

    def examples(lengths, mark):
        return tuple(
            Example({"text": " ".join(f"{mark}{row}_{i}" for i in range(length))}, row % 2, row)
            for row, length in enumerate(lengths)
        )

    return TaskData(TINY, examples(train, "t"), examples(validation, "v"), "directory", "")


def prompts_of(data, encoder, **changes):
    length, readings = changes.pop("context_length", 500), {"probe", "calibration", "separator"} & set(changes)
    protocol = Protocol(**{name: changes.pop(name) for name in readings})
    return build_prompts(data, encoder, Draw(**{"k": len(data.train), **changes}), protocol, context_length=length)


def test_a_context_is_bos_then_demonstrations_and_separators(word_encoder):
    encoder, data = word_encoder(), tiny_data([1, 2], [1])
    prompts = prompts_of(data, encoder)
    first, second = (data.train[row] for row in prompts.demonstration_rows)
    text = "say {} now {}".format
    written = [
        encoder.encode(text(example.fields["text"], ("no", "yes")[example.label])) for example in (first, second)
    ]
    assert prompts.demonstrations.context == (BOS, *written[0], SEPARATOR, *written[1], SEPARATOR)
    assert prompts.demonstrations.sequences == ((BOS, *written[0]), (BOS, *written[1]))
    assert (prompts.bos, prompts.demonstrations.shown) == (BOS, 2)


class Lines:
    """An encoder for which the end of a line is a word of its own, and two of them are two words or one."""

    def __init__(self, words, *, joined):
        self.words, self.joined, self.bos, self.separator, self.unknown = words, joined, BOS, SEPARATOR, frozenset()

    def encode(self, text):
        for lines in ("\n\n", "\n")[not self.joined :]:
            text = text.replace(lines, f" <{len(lines)}> ")
        return self.words.encode(text)


@pytest.mark.parametrize(
    ("separator", "joined", "between"),
    [("newline", True, "<1>"), ("blank_line", True, "<2>"), ("blank_line", False, "<1> <1>")],
)
def test_a_text_separates_demonstrations_in_as_many_tokens_as_it_has(word_encoder, separator, joined, between):
    encoder, data = Lines(word_encoder(), joined=joined), tiny_data([1, 2], [1])
    shown = prompts_of(data, encoder, separator=separator).demonstrations
    usual = prompts_of(data, encoder).demonstrations
    rows = [sequence[1:] for sequence in usual.sequences]
    assert shown.separator == encoder.encode(between)
    assert shown.context == (BOS, *(token for row in rows for token in (*row, *encoder.encode(between))))
    assert (shown.sequences, shown.shown) == (usual.sequences, usual.shown)


def test_longer_separators_leave_room_for_fewer_demonstrations(word_encoder):
    data = tiny_data([1] * 6, [1])
    fits = {  # bos, 6 of 4 tokens each, and a query of 5 tokens and bos
        joined: prompts_of(
            data, Lines(word_encoder(), joined=joined), separator="blank_line", context_length=36
        ).demonstrations.shown
        for joined in (True, False)
    }
    assert fits == {True: 5, False: 4}


def test_a_text_that_an_encoder_drops_cannot_separate(word_encoder):
    with pytest.raises(PromptError, match=r"cannot write the separator newline: expected tokens .*, got none"):
        prompts_of(tiny_data([1], [1]), word_encoder(), separator="newline")


def test_at_the_label_token_the_answer_is_read_before_label_zero(word_encoder):
    encoder, data = word_encoder(), tiny_data([1, 1], [2])
    queries = prompts_of(data, encoder, probe="label_token").queries
    assert queries.rows == (encoder.encode("say v0_0 v0_1 now no"),)
    assert (queries.answer_at, queries.probe_at) == (-2, -1)
    assert queries.label_ids == encoder.encode("no yes")


def test_at_the_template_end_nothing_is_appended(word_encoder):
    encoder, data = word_encoder(), tiny_data([1, 1], [2])
    queries = prompts_of(data, encoder, probe="template_end").queries
    assert queries.rows == (encoder.encode("say v0_0 v0_1 now"),)
    assert (queries.answer_at, queries.probe_at) == (-1, -1)


@pytest.mark.parametrize("probe", ["label_token", "template_end"])
def test_content_free_queries_are_asked_as_queries_are(word_encoder, probe):
    encoder = word_encoder()
    prompts = prompts_of(tiny_data([1], [1]), encoder, probe=probe, calibration="contextual")
    end = " no" if probe == "label_token" else ""
    asked = ("say N/A now", "say [MASK] now", "say now")
    assert prompts.content_free.rows == tuple(encoder.encode(text + end) for text in asked)
    assert prompts.content_free.answer_at == prompts.queries.answer_at


def test_rows_and_gold_labels_name_the_queries_asked(word_encoder):
    data = tiny_data([1], [1] * 9)
    prompts = prompts_of(data, word_encoder(), queries=4)
    assert prompts.query_rows == shuffle(range(9), 1)[:4]
    assert prompts.gold == tuple(row % 2 for row in prompts.query_rows)
    assert len(prompts.queries) == 4
    assert prompts.queries.some([2, 0]).rows == (prompts.queries.rows[2], prompts.queries.rows[0])


def authors_context(sequences, longest, limit):
    """The authors' loop over demonstrations that each open with bos and end with the separator."""
    context, shown = [BOS], 0
    for sequence in sequences:
        demonstration = [*sequence, SEPARATOR]
        if not len(context) + len(demonstration) - 1 + longest < limit:
            break
        context += demonstration[1:]
        shown += 1
    return tuple(context), shown


@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=8),
    st.lists(st.integers(1, 8), min_size=1, max_size=4),
    st.integers(10, 80),
    st.integers(0, 2),
)
def test_the_context_is_cut_as_the_authors_cut_it(word_encoder, train, validation, limit, permutation):
    encoder, data = word_encoder(), tiny_data(train, validation)
    whole = prompts_of(data, encoder, permutation=0).demonstrations.sequences
    longest = len([BOS, *encoder.encode("say now no")]) + max(validation)
    in_context, finetuning = orders(len(train), 0, permutation)
    context, shown = authors_context([whole[i] for i in in_context], longest, limit)
    if shown == 0:
        with pytest.raises(PromptError, match="Not one demonstration of Tiny fits the context"):
            prompts_of(data, encoder, context_length=limit, permutation=permutation)
        return
    got = prompts_of(data, encoder, context_length=limit, permutation=permutation).demonstrations
    assert (got.context, got.shown) == (context, shown)
    assert got.sequences == tuple(whole[i] for i in finetuning)


def test_the_first_demonstration_without_room_ends_the_context(word_encoder):
    order = shuffle(range(3), 0)
    lengths = [0, 0, 0]
    lengths[order[0]], lengths[order[1]], lengths[order[2]] = 1, 30, 1
    got = prompts_of(tiny_data(lengths, [1]), word_encoder(), context_length=25).demonstrations
    assert got.shown == 1
    assert len(got.sequences) == 3


def test_a_query_that_is_not_asked_still_needs_room(word_encoder):
    data, order = tiny_data([1, 1], [1, 1, 1]), shuffle(range(3), 1)
    long = tiny_data([1, 1], [40 if row == order[-1] else 1 for row in range(3)])
    shown = [prompts_of(d, word_encoder(), queries=1, context_length=55).demonstrations.shown for d in (data, long)]
    assert shown == [2, 1]


def test_a_verbalizer_of_several_tokens_is_refused_by_name(word_encoder):
    with pytest.raises(
        PromptError,
        match=r"verbalizer 'yes' of Tiny is not one token .* expected 1 token of its own, got 3: yes yes yes",
    ):
        label_tokens(TINY, word_encoder(pieces={"yes": 3}))


def test_two_verbalizers_of_one_token_are_refused(word_encoder):
    with pytest.raises(PromptError, match="Two verbalizers of Tiny are the same token"):
        label_tokens(TINY, word_encoder(same={"yes": "no"}))


def test_more_demonstrations_than_there_are_are_refused(word_encoder):
    with pytest.raises(UsageError, match="between 1 and 2, got k=3"):
        prompts_of(tiny_data([1, 1], [1]), word_encoder(), k=3)


# Reading

ROWS = [{"premise": "It rained.", "hypothesis": "it was dry", "label": 1}] * 2


def write(folder, rows, split="train", task="cb"):
    path = folder / task / f"{split}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "validation"):
        write(tmp_path, ROWS, split)
    return tmp_path


def refuse(folder, match, todo=""):
    with pytest.raises(DataError, match=match) as found:
        read_task(TASKS["cb"], folder)
    assert todo in str(found.value)


def test_examples_are_read_with_their_row(folder):
    write(folder, [ROWS[0], "", {**ROWS[0], "label": 2, "more": None}])
    data = read_task(TASKS["cb"], folder)
    fields = {"premise": "It rained.", "hypothesis": "it was dry"}
    assert data.train == (Example(fields, 1, 0), Example(fields, 2, 2))
    assert data.source == "directory"


def test_a_line_separator_within_a_text_does_not_end_the_line(folder):
    write(folder, [json.dumps({**ROWS[0], "premise": "one\u2028two\x85three"}, ensure_ascii=False)])
    assert read_task(TASKS["cb"], folder).train[0].fields["premise"] == "one\u2028two\x85three"


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_digest_sees_every_byte_of_both_files(folder, split):
    before = read_task(TASKS["cb"], folder).digest
    assert before == read_task(TASKS["cb"], folder).digest
    write(folder, [ROWS[0], {**ROWS[1], "label": 0}], split)
    assert read_task(TASKS["cb"], folder).digest != before


@pytest.mark.parametrize("task", TASKS)
def test_without_a_directory_the_miniature_tasks_are_read(task):
    data = read_task(TASKS[task], None)
    assert (data.source, len(data.train), len(data.validation)) == ("miniature", 96, 128)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_missing_file_is_named(folder, split):
    path = folder / "cb" / f"{split}.jsonl"
    path.unlink()
    refuse(folder, re.escape(f"The data of CB cannot be read: expected a file {path}"), todo="data DIR")


def test_a_folder_where_a_file_should_be_is_named(folder):
    (folder / "cb" / "train.jsonl").unlink()
    (folder / "cb" / "train.jsonl").mkdir()
    refuse(folder, "The data of CB cannot be read")


@pytest.mark.parametrize("text", ["", "\n", "  \n\n"])
def test_a_file_without_an_example_is_refused(folder, text):
    write(folder, [text])
    refuse(folder, r"train\.jsonl holds no example")


@pytest.mark.parametrize(
    ("row", "match"),
    [
        (
            {"premise": "It rained.", "label": 1},
            "field 'hypothesis': expected a text, got only the fields label, premise",
        ),
        ({}, "field 'premise': expected a text, got only the fields of an empty object"),
        ({**ROWS[0], "premise": 3}, "field 'premise': expected a text, got 3"),
        ({**ROWS[0], "premise": None}, "field 'premise': expected a text, got None"),
        ({**ROWS[0], "hypothesis": ""}, "field 'hypothesis': expected a text, got ''"),
        ({**ROWS[0], "hypothesis": " \t"}, "field 'hypothesis'"),
        ({**ROWS[0], "label": 3}, r"label: expected an integer from 0 to 2 \(True, False, Neither\), got 3"),
        ({**ROWS[0], "label": -1}, "label: expected .* got -1"),
        ({**ROWS[0], "label": True}, "label: expected .* got True"),
        ({**ROWS[0], "label": "1"}, "label: expected .* got '1'"),
        ({**ROWS[0], "label": 1.0}, r"label: expected .* got 1\.0"),
        ({**ROWS[0], "label": None}, "label: expected .* got None"),
        ({"premise": "a", "hypothesis": "b"}, "label: expected .* got None"),
        ([1, 2], "not an object: expected a JSON object, got list"),
        ("{'premise': 1}", "not JSON, got .* at column 2"),
        ('{"premise": "cut', "not JSON"),
    ],
)
def test_a_wrong_row_is_refused_with_file_and_line(folder, row, match):
    path = write(folder, [ROWS[0], row, ROWS[0]])
    refuse(folder, rf"{re.escape(str(path))}, line 2: {match}")


def test_a_file_that_is_not_utf_8_is_refused(folder):
    path = folder / "cb" / "train.jsonl"
    path.write_bytes('{"premise": "café"}'.encode("latin-1"))
    refuse(folder, rf"{re.escape(str(path))} is not UTF-8", todo="Write the file again as UTF-8.")
