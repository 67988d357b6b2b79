"""A file is there complete or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from icl_claims.storage.files import write_atomically


def test_a_file_is_written_with_its_folder_and_nothing_beside_it(tmp_path):
    path = tmp_path / "folder" / "file.json"
    for text in ("first", "é\udcff"):
        write_atomically(path, text)
    assert path.read_text(encoding="utf-8") == "é\\udcff"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["write_bytes", "replace"])
def test_what_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    path.write_text("before")

    def full(*_given, **_how):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, step, full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
