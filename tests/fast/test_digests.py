"""A model is known by its digest without its files being read twice; code is known whatever words explain it."""

from __future__ import annotations

import hashlib
import os
import shutil
import textwrap

import pytest

from icl_claims.errors import ModelError
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.models.reference import load_model, model_digest
from icl_claims.storage import files
from icl_claims.storage.files import file_digest, remembered, remembered_digest, remembered_of_files
from icl_claims.storage.source_code import source_digest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"numbers")
    return path


def digest_of(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def never_read(monkeypatch):
    def forbid():
        monkeypatch.setattr(files.hashlib, "file_digest", lambda *_: pytest.fail("the file was read"))

    return forbid


def test_a_file_is_read_once(file, never_read):
    assert remembered_digest(file) == digest_of(b"numbers")
    never_read()
    assert remembered_digest(file) == digest_of(b"numbers")


def test_what_was_loaded_is_remembered(file, never_read):
    file_digest(file)
    never_read()
    assert remembered_digest(file) == digest_of(b"numbers")


@pytest.mark.parametrize("content", [b"other numbers", b"NUMBERS"])
def test_a_file_that_changed_is_read_again(file, content):
    remembered_digest(file)
    before = file.stat().st_mtime_ns
    file.write_bytes(content)
    os.utime(file, ns=(before, before + 1))
    assert remembered_digest(file) == digest_of(content)


@pytest.mark.parametrize("by", [os.replace, shutil.copyfile])
def test_other_bytes_of_the_same_size_and_time_are_read_again(file, tmp_path, by):
    remembered_digest(file)
    before = file.stat()
    (tmp_path / "other").write_bytes(b"NUMBERS")
    by(tmp_path / "other", file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert remembered_digest(file) == digest_of(b"NUMBERS")


def test_what_follows_from_a_text_is_made_once(cache):
    made = []
    first, again = (remembered("the vocabulary", lambda: made.append(1) or "a fingerprint") for _ in range(2))
    assert (first, again, made) == ("a fingerprint", "a fingerprint", [1])
    [note] = (cache / "models" / "digests").iterdir()
    note.write_text(note.read_text().replace("vocabulary", "merges"))
    assert remembered("the vocabulary", lambda: "another") == "another"


def test_what_follows_from_files_is_made_again_when_one_changes(file, cache, monkeypatch):
    monkeypatch.setattr(files, "SETTLED", 0)
    made = iter(("one", "two"))
    texts = [remembered_of_files([file], "its length", lambda: next(made)) for _ in range(2)]
    file.write_bytes(b"other numbers")
    assert [*texts, remembered_of_files([file], "its length", lambda: next(made))] == ["one", "one", "two"]
    assert len([*(cache / "models" / "digests").iterdir()]) == 1


def test_of_files_that_are_new_nothing_is_noted(file, cache):
    made = iter(("one", "two"))
    assert [remembered_of_files([file], "its length", lambda: next(made)) for _ in range(2)] == ["one", "two"]
    assert not cache.exists()


def test_a_note_that_is_damaged_is_written_again(file, cache):
    remembered_digest(file)
    [note] = (cache / "models" / "digests").iterdir()
    note.write_text("[]")
    assert remembered_digest(file) == digest_of(b"numbers")
    assert digest_of(b"numbers") in note.read_text()


def test_without_a_cache_the_file_is_read_every_time(file, cache):
    cache.write_text("")
    assert [remembered_digest(file) for _ in range(2)] == [digest_of(b"numbers")] * 2


@pytest.mark.parametrize("kind", ["tiny", "path", "fairseq"])
def test_a_model_is_known_by_the_digest_it_has_when_loaded(kind, never_read):
    reference = {
        "tiny": "tiny",
        "path": f"path:{fixtures_folder() / 'tiny'}",
        "fairseq": f"fairseq:{fixtures_folder() / 'fairseq'}",
    }[kind]
    assert model_digest(reference) == load_model(reference).digest
    never_read()
    model_digest(reference)


def test_another_models_digest_is_another(tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(fixtures_folder() / "tiny", folder)
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    assert model_digest(f"path:{folder}") != model_digest("tiny")


@pytest.mark.parametrize("reference", ["gpt17", "path:/nowhere", "fairseq:/nowhere"])
def test_a_model_that_is_not_there_is_a_named_error(reference):
    with pytest.raises(ModelError):
        model_digest(reference)


# Code without its words

CODE = textwrap.dedent(
    '''
    """What the module does."""
    RATE = 0.1
    """Of every step."""

    @cache
    def step(weights, size=1):
        """Take a step."""
        # downhill
        return weights - RATE * size, "unit"

    class Walk:
        """A walk."""
    '''
)


def digest_of_code(tmp_path, text, name="walk.py", words=()):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return source_digest([path], tmp_path, words=words)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("What the module does.", "What this module does."),
        ("Of every step.", "The rate of every step."),
        ('"""Take a step."""', '"""Take a step.\n\n    Downhill.\n    """'),
        ('"""A walk."""', '"""A long walk."""'),
        ("# downhill", "# along the gradient"),
        ("    # downhill\n", ""),
        ("weights - RATE * size", "(weights - RATE * size)"),
        ('"unit"', "'unit'"),
    ],
)
def test_other_words_about_the_code_leave_its_digest(tmp_path, before, after):
    assert before in CODE
    assert digest_of_code(tmp_path, CODE.replace(before, after)) == digest_of_code(tmp_path, CODE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0.1", "0.2"),
        ("size=1", "size=1.0"),
        ("size=1", "size=True"),
        ("size=1", "size=None"),
        ("size=1", "size"),
        ("weights - RATE", "weights + RATE"),
        ("@cache\n", ""),
        ("@cache", "@lru_cache"),
        ('"unit"', '"units"'),
        ('"unit"', 'b"unit"'),
        ("Walk:", "Walk(list):"),
        ("def step", "async def step"),
    ],
)
def test_other_code_has_another_digest(tmp_path, before, after):
    assert before in CODE
    assert digest_of_code(tmp_path, CODE.replace(before, after)) != digest_of_code(tmp_path, CODE)


@pytest.mark.parametrize("said", ['metric(title="{}", size=1)', "title: str = '{}'", "def title(self): return '{}'"])
def test_names_of_words_are_left_out_only_where_that_is_asked(tmp_path, said):
    one, other = said.format("SimAOU"), said.format("SimAM")
    assert digest_of_code(tmp_path, one) != digest_of_code(tmp_path, other)
    assert digest_of_code(tmp_path, one, words=["title"]) == digest_of_code(tmp_path, other, words=["title"])


def test_a_file_that_is_not_python_counts_by_its_bytes(tmp_path):
    assert digest_of_code(tmp_path, "a", "page.jinja") != digest_of_code(tmp_path, "a ", "page.jinja")


def test_a_files_name_counts_and_its_folder_does_not(tmp_path):
    assert digest_of_code(tmp_path, CODE, "one.py") != digest_of_code(tmp_path, CODE, "other.py")
    shutil.copytree(tmp_path, tmp_path / "copy")
    copied, original = (sorted(folder.glob("*.py")) for folder in (tmp_path / "copy", tmp_path))
    assert source_digest(copied, tmp_path / "copy") == source_digest(reversed(original), tmp_path)
