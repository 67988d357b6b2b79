"""The README is short, every link leads somewhere, and every command that a page shows is one that there is."""

from __future__ import annotations

import re
import shlex
import tomllib
from contextlib import suppress

import click
import pytest

from docs.docstrings import as_markdown
from docs.pages_of_declarations import click_commands, commands, methods, metrics, words
from icl_claims.experiments.profiles import PROFILES
from icl_claims.metrics import METRICS
from icl_claims.pytest_plugin.options import MARKERS, pytest_addoption
from icl_claims.report.verdicts import VERDICTS
from tests.fast.documented import BLOCKS, COMMANDS, PAGES, ROOT, blocks_of

MOST_WORDS = 700
LINK = re.compile(r"\]\(((?!https?:|mailto:)[^)\s]+)\)")
OF_PYTEST = {"-m", "-k", "-n", "--pyargs"}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= MOST_WORDS


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "claims" / "README.md"], ids=lambda p: p.name
)
def test_every_link_leads_to_a_file_of_the_repository(page):
    text = page.read_text(encoding="utf-8")
    assert [link for link in LINK.findall(text) if not (page.parent / link.partition("#")[0]).exists()] == []


def test_every_block_is_of_a_kind_that_a_test_runs():
    assert {block.kind for block in BLOCKS} == {"python", "text", "console", "sh", "toml"}


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.kind == "toml"])
def test_a_file_of_options_can_be_read(block):
    assert tomllib.loads(block.text)


def test_the_example_beside_the_claims_is_a_claim():
    (block,) = blocks_of(ROOT / "claims" / "README.md")
    assert any(block.text.strip() in path.read_text(encoding="utf-8") for path in (ROOT / "claims").rglob("test_*.py"))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    for name in ("DIR", "data", "own_note"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("line", dict.fromkeys(COMMANDS))
def test_a_command_is_one_that_there_is(line, folders):
    command, *arguments = shlex.split(line)
    match command:
        case "make":
            assert f"\n{arguments[0]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
        case "pytest":
            parser = pytest.Parser(_ispytest=True)
            pytest_addoption(parser)
            known = OF_PYTEST | {name for option in parser.getgroup("claims").options for name in option.names()}
            assert {one for one in arguments if one.startswith("-")} <= known
            if "-m" in arguments:
                marks = {marker.partition(":")[0].partition("(")[0] for marker in MARKERS}
                assert set(arguments[arguments.index("-m") + 1].split()) - {"or", "and", "not"} <= marks
        case "icl-claims":
            parse(arguments)
        case _:
            assert line in {
                "source .venv/bin/activate",
                *(f"pip install 'icl-claims[{extra}]'" for extra in ("hub", "dask", "slurm")),
                "python -m benchmarks --device cuda",
                "dask scheduler",
                "dask worker tcp://host:8786 --nthreads 1 --nworkers 4",
                "export ICL_CLAIMS_CACHE=/shared/icl_claims",
            }


def parse(arguments):
    """What `icl-claims` makes of its arguments, without running anything."""
    found = [(name, command) for name, command in click_commands() if arguments[: len(name.split())] == name.split()]
    ((name, command),) = found
    with suppress(click.exceptions.Exit):
        command.make_context(name, arguments[len(name.split()) :])


def test_a_command_that_there_is_not_is_found(folders):
    with pytest.raises(Exception, match="No such option"):
        parse(["plan", "--taks", "sst2"])


def test_pages_of_declarations_name_all_that_is_declared():
    assert [
        metric.title for metric in METRICS if f"## {metric.title[:1].upper()}{metric.title[1:]}\n" not in metrics()
    ] == []
    assert [word for word in VERDICTS if f"**{word}**" not in words()] == []
    assert "## Layer-causal finetuning" in methods()
    assert {f"## icl-claims {name}" for name, _ in click_commands()} <= set(commands().splitlines())


def test_the_table_of_profiles_has_their_numbers():
    page = (ROOT / "docs" / "bring.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| (.*?) \| [^|]* \|$", page, re.MULTILINE))
    assert rows == {one.name: f"{one.draws} | {one.queries or 'all, up to 2000'}" for one in PROFILES.values()}


def test_arrays_in_docstrings_are_no_links():
    assert as_markdown("[layer][head]") == "[layer]\\[head]"
