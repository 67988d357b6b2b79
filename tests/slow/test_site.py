"""The documentation builds strictly, asks no network for anything, and can be read by everybody."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.fast.documented import ROOT

pytest.importorskip("mkdocs", reason="not installed: pip install -e '.[docs]'")
pytest.importorskip("mkdocstrings")

FETCHED = re.compile(r'<(?:script|img|link|iframe)\b[^>]*(?:src|href)="(https?:)?//[^"]*"')


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_nothing_is_fetched(site):
    assert [page.name for page in site.rglob("*.html") if FETCHED.search(page.read_text(encoding="utf-8"))] == []
    sheets = (sheet.read_text(encoding="utf-8") for sheet in site.rglob("*.css"))
    assert not any(re.search(r"url\(['\"]?(https?:)?//|@import", sheet) for sheet in sheets)


def test_every_formula_became_mathml(site):
    pages = {page.name: page.read_text(encoding="utf-8") for page in site.glob("*.html")}
    assert pages["verdicts.html"].count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block"') == 6
    assert [name for name, page in pages.items() if "arithmatex" in page] == []


def test_examples_of_docstrings_are_code(site):
    assert "&gt;&gt;&gt;" in (page := (site / "api" / "statistics.html").read_text(encoding="utf-8"))
    assert "<p>&gt;&gt;&gt;" not in page


@pytest.fixture(scope="module")
def browser():
    pytest.importorskip("selenium", reason="not installed: pip install -e '.[browser]'")
    from docs.screenshot import chromium, installed

    found = installed()
    if found is None:
        pytest.skip("no Chromium with chromedriver: apt-get install chromium chromium-driver")
    with chromium(*found) as started:
        yield started


PAGES = (
    "index",
    "verdicts",
    "simaou_by_layer",
    "notebook",
    "reference/commands",
    "reference/metrics",
    "api/statistics",
)


@pytest.mark.parametrize("looks", [{}, {"scheme": "dark"}, {"width": 360}], ids=["light", "dark", "narrow"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_as_wide_as_the_window(site, browser, name, looks):
    from axe_core_python import base as axe

    from docs.screenshot import look

    look(browser, **looks)
    browser.get("about:blank")
    browser.get_log("performance")
    browser.get((site / f"{name}.html").as_uri())
    page, window = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert page <= window
    dark = browser.execute_script("return document.body.dataset.mdColorScheme") == "slate"
    assert dark == (looks.get("scheme") == "dark")
    browser.execute_script(axe.AXE_SCRIPT)
    browser.set_script_timeout(100)
    found = browser.execute_async_script("axe.run().then(arguments[0])")["violations"]
    assert [(one["id"], one["nodes"][0]["target"], one["nodes"][0]["failureSummary"]) for one in found] == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "about", "blob"}
