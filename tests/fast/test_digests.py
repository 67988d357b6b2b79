"""A model is known by the digest it has when loaded, without its files being read twice."""

from __future__ import annotations

import hashlib
import os
import shutil

import pytest

from icl_claims.errors import ModelError
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.models.reference import load_model, model_digest
from icl_claims.storage import digests
from icl_claims.storage.digests import file_digest, remembered_digest


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
        monkeypatch.setattr(digests.hashlib, "file_digest", lambda *_: pytest.fail("the file was read"))

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


def test_a_note_that_is_damaged_is_written_again(file, cache):
    remembered_digest(file)
    [note] = (cache / "models" / "digests").iterdir()
    note.write_text("[]")
    assert remembered_digest(file) == digest_of(b"numbers")
    assert digest_of(b"numbers") in note.read_text()


def test_where_nothing_can_be_written_the_file_is_read_every_time(file, cache):
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
    (folder / "config.json").write_text("{}")
    assert model_digest(f"path:{folder}") != model_digest("tiny")


@pytest.mark.parametrize("reference", ["gpt17", "path:/nowhere", "fairseq:/nowhere"])
def test_a_model_that_is_not_there_is_a_named_error(reference):
    with pytest.raises(ModelError):
        model_digest(reference)
