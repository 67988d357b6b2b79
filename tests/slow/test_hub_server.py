"""The real tasks are fetched by name and commit from a server that speaks the Hub's protocol, and from nowhere else."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from textwrap import dedent
from threading import Thread

import pytest

from icl_claims.tasks import TASKS, read_task
from icl_claims.tasks.hub_dataset import HubDataset, HubSplit, rows_digest

pytest.importorskip("datasets")
COMMIT, REPOSITORY = "1234567890" * 4, "someone/tasks"
ROWS = [({"sentence": f"text {number}"}, number % 2) for number in range(5)]
LINES = "".join(json.dumps({**texts, "label": label}) + "\n" for texts, label in ROWS).encode()
CARD = b"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: rows.jsonl\n---\n"
FILES = {"README.md": CARD, "rows.jsonl": LINES}


class Hub(BaseHTTPRequestHandler):
    """One repository of data sets at one commit."""

    asked: list[str]

    def do_GET(self):  # the name that http.server asks for
        self.answer()

    def do_HEAD(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        path = self.path.partition("?")[0]
        type(self).asked.append(path)
        api, files = f"/api/datasets/{REPOSITORY}", f"/datasets/{REPOSITORY}/resolve/{COMMIT}/"
        listed = [{"type": "file", "path": name, "size": len(held), "oid": "0" * 40} for name, held in FILES.items()]
        if path == f"{api}/revision/{COMMIT}":
            siblings = [{"rfilename": name} for name in FILES]
            self.say({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
        elif path.startswith(f"{api}/tree/{COMMIT}") or path == f"{api}/paths-info/{COMMIT}":
            wanted = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            self.say([one for one in listed if not wanted or one["path"] in wanted])
        elif path.startswith(files) and path.removeprefix(files) in FILES:
            self.send(FILES[path.removeprefix(files)])
        else:
            self.send(b"{}", 404)

    def say(self, found):
        self.send(json.dumps(found).encode(), kind="application/json")

    def send(self, body, code=200, kind="text/plain"):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Hub.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as found:
        Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_address[1]}"
        found.shutdown()


def fetch(server, tmp_path, *, rows=5, commit=COMMIT):
    """What a process that knows that server alone says of a command that fetches SST2 from there."""
    split = HubSplit("train", rows, rows_digest(ROWS))
    program = f"""
        from dataclasses import replace
        from icl_claims import cli
        from icl_claims.tasks import catalogue
        from icl_claims.tasks.hub_dataset import HubDataset, HubSplit

        split = HubSplit(**{asdict(split)!r})
        hub = HubDataset({REPOSITORY!r}, {commit!r}, split, split)
        catalogue.TASKS["sst2"] = replace(catalogue.TASKS["sst2"], hub=hub)
        cli.main()
    """
    environment = os.environ | {"HF_ENDPOINT": server, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", dedent(program), "data", "fetch", str(tmp_path / "data"), "--tasks", "sst2"]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


def test_a_task_is_fetched_at_its_commit_and_read_again(server, tmp_path):
    done = fetch(server, tmp_path)
    assert done.returncode == 0, done.stderr
    data = read_task(TASKS["sst2"], tmp_path / "data")
    assert [(one.fields, one.label) for one in data.train] == ROWS
    assert all(COMMIT in path for path in Hub.asked if "resolve" in path or "tree" in path)


def test_other_rows_and_another_commit_are_refused_in_words(server, tmp_path):
    other = fetch(server, tmp_path, rows=6)
    assert (other.returncode, "5 rows instead of 6" in other.stderr) == (2, True)
    gone = fetch(server, tmp_path / "other", commit="f" * 40)
    assert gone.returncode == 2
    assert "could not be had from the Hugging Face Hub" in gone.stderr
    assert "Traceback" not in gone.stderr
    assert not (tmp_path / "other" / "data").exists()


def test_a_data_set_is_named_with_its_commit():
    split = HubSplit("train", 1)
    assert HubDataset(REPOSITORY, COMMIT, split, split).title == "someone/tasks at 12345678"
