"""The page in a real browser: filters, order, links, keyboard, dark mode, 360 px, print, and an accessibility check."""

from __future__ import annotations

import base64
import json

import pytest

from icl_claims.report.compare import compare_runs, comparison_page
from icl_claims.report.document import make_document
from icl_claims.report.ledger import section_of
from icl_claims.report.write import write_report
from tests.fast.sample_claims import RUN, sample_document, sample_record

MISSING = "not installed: pip install -e '.[browser]'"
pytest.importorskip("selenium", reason=MISSING)
axe = pytest.importorskip("axe_core_python.base", reason=MISSING)

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.select import Select  # noqa: E402

from docs.screenshot import chromium, installed, look  # noqa: E402  it needs selenium

HOSTILE = "<script>document.title = 'taken'</script> \"'\u202e\u0634\u0631\u0642 " + "long" * 300
CLAIMS = "[...document.querySelectorAll('.ledger details')]"
VISIBLE = f"return {CLAIMS}.filter((one) => one.offsetParent).map((one) => one.id)"
A4 = 720  # px between the margins
WIDTHS = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"


@pytest.fixture(scope="module")
def document():
    document = sample_document(21)
    hostile = sample_record("hostile", paper="revisited", where="section 9", statement=HOSTILE, why=HOSTILE)
    hostile |= {"provenance": {"model": HOSTILE, "trials": [{"task": HOSTILE, "seed": 1, "model": HOSTILE}]}}
    rest = {name: document[name] for name in ("pictures", "coverage")}
    return make_document(RUN, [*document["claims"], hostile], **rest)


@pytest.fixture(scope="module")
def address(document, tmp_path_factory):
    return write_report(tmp_path_factory.mktemp("report"), document)[0].as_uri()


@pytest.fixture(scope="module")
def small_address(tmp_path_factory):
    """The same page with few claims: the accessibility checker compares every element with every other."""
    return write_report(tmp_path_factory.mktemp("small"), sample_document(3))[0].as_uri()


@pytest.fixture(scope="module")
def started():
    found = installed()
    if found is None:
        pytest.skip("no Chromium with chromedriver: apt-get install chromium chromium-driver")
    with chromium(*found) as browser:
        yield browser


@pytest.fixture
def open_page(started, address):
    """Open the page, in light colours and a wide window unless told otherwise."""

    def opened(query="", **looks):
        look(started, **looks)
        started.get("about:blank")
        started.get(address + query)
        return started

    return opened


def choose(browser, **fields):
    for name, value in fields.items():
        Select(browser.find_element(By.NAME, name)).select_by_value(value)


def ids_of(claims):
    return {claim["id"] for claim in claims}


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"paper": "revisited"}, lambda claim: claim["paper"] == "revisited"),
        ({"section": "Section 3.4"}, lambda claim: section_of(claim["where"]) == "Section 3.4"),
        ({"source": "exact"}, lambda claim: claim["source"] == "exact"),
        ({"verdict": "not-run"}, lambda claim: claim["verdict"] == "not run"),
        ({"verdict": "vacuous"}, lambda claim: claim["verdict"] == "vacuous"),
        (
            {"source": "printed", "verdict": "inconsistent"},
            lambda claim: (claim["source"], claim["verdict"]) == ("printed", "inconsistent"),
        ),
    ],
)
def test_a_filter_shows_the_claims_that_fit(open_page, document, fields, fits):
    browser = open_page()
    choose(browser, **fields)
    wanted = ids_of(claim for claim in document["claims"] if fits(claim) and not claim["condition"])
    assert set(browser.execute_script(VISIBLE)) == wanted
    every = len(ids_of(document["claims"]))
    assert browser.find_element(By.CSS_SELECTOR, "output").text == f"{len(wanted)} of {every} claims"


def test_text_is_searched_in_statements_places_and_names(open_page, document):
    browser = open_page()
    browser.find_element(By.NAME, "text").send_keys("OUTER products")
    assert set(browser.execute_script(VISIBLE)) == ids_of(c for c in document["claims"] if c["source"] == "exact")


def test_the_chosen_filters_and_order_are_kept_in_the_address(open_page, document):
    browser = open_page()
    choose(browser, source="printed", sort="name")
    browser.find_element(By.NAME, "text").send_keys("lc-")
    before = browser.execute_script(VISIBLE)
    browser.get(browser.current_url)
    assert browser.execute_script(VISIBLE) == before == sorted(before)
    assert Select(browser.find_element(By.NAME, "sort")).first_selected_option.get_attribute("value") == "name"
    browser.find_element(By.NAME, "clear").click()
    assert len(browser.execute_script(VISIBLE)) == len(ids_of(document["claims"]))
    assert "?" not in browser.current_url


def test_claims_can_be_sorted_and_put_back_in_the_papers_order(open_page, document):
    browser = open_page()
    before = browser.execute_script(VISIBLE)
    choose(browser, sort="verdict")
    first = browser.execute_script(VISIBLE)[0]
    assert "refuted" in {claim["verdict"] for claim in document["claims"] if claim["id"] == first}
    choose(browser, sort="effect")
    assert set(browser.execute_script(VISIBLE)) == set(before)
    choose(browser, sort="")
    assert browser.execute_script(VISIBLE) == before


@pytest.mark.parametrize("query", ["#lc-aou-5of6", "?paper=deutch#lc-aou-5of6"])
def test_a_link_to_a_claim_opens_it_whatever_the_filter(open_page, query):
    browser = open_page(query)
    claim = browser.find_element(By.ID, "lc-aou-5of6")
    assert claim.get_attribute("open") is not None
    top = browser.execute_script("return arguments[0].getBoundingClientRect().top", claim)
    assert 0 <= top < 900


def test_a_claim_opens_by_keyboard_and_names_the_address(open_page):
    browser = open_page()
    summary = browser.find_element(By.CSS_SELECTOR, "#ft-aou-above-random > summary")
    summary.send_keys(Keys.ENTER)
    assert "at any stopping" in browser.find_element(By.CSS_SELECTOR, "#ft-aou-above-random .opened").text
    assert browser.current_url.endswith("#ft-aou-above-random")
    summary.send_keys(Keys.ENTER)
    assert "#" not in browser.current_url


def test_dark_and_light_follow_the_reader(open_page):
    def brightness(scheme):
        browser = open_page(scheme=scheme)
        colours = "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
        return [sum(map(int, colour[4:-1].split(","))) for colour in browser.execute_script(colours)]

    (light_paper, light_ink), (dark_paper, dark_ink) = brightness("light"), brightness("dark")
    assert light_paper > 700 > 100 > light_ink
    assert dark_paper < 100 < 600 < dark_ink


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_is_wider_than_a_narrow_window(open_page, width):
    browser = open_page(width=width)
    browser.find_element(By.NAME, "open").click()
    needed, given = browser.execute_script(WIDTHS)
    assert needed <= given == width


def test_on_paper_there_are_no_controls_and_the_ink_is_dark(open_page):
    browser = open_page("#lc-aou-5of6", scheme="dark", media="print")
    assert not browser.find_element(By.ID, "page-filter").is_displayed()
    assert not browser.find_element(By.CSS_SELECTOR, "nav").is_displayed()
    assert browser.execute_script("return getComputedStyle(document.body).color") == "rgb(27, 28, 26)"
    assert base64.b64decode(browser.print_page()).startswith(b"%PDF")


def test_nothing_is_cut_off_on_paper(open_page):
    browser = open_page(width=A4)
    browser.find_element(By.NAME, "open").click()
    look(browser, width=A4, media="print")
    needed, given = browser.execute_script(WIDTHS)
    assert needed <= given == A4


def test_hostile_text_is_shown_and_not_run(open_page):
    browser = open_page("#hostile")
    assert browser.title == "Which claims hold: icl_claims"
    statement = browser.find_element(By.CSS_SELECTOR, "#hostile .statement bdi")
    assert statement.get_attribute("textContent") == HOSTILE


def test_the_page_leaves_console_and_network_alone(open_page):
    browser = open_page("#lc-aou-5of6")
    browser.get_log("browser")
    browser.get_log("performance")
    browser = open_page("?sort=name#lc-aou-5of6")
    choose(browser, verdict="supported")
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    assert asked
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "about"}


def test_without_scripts_every_claim_can_still_be_read(open_page, started):
    started.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser = open_page()
        assert not browser.find_element(By.ID, "page-filter").is_displayed()
        browser.find_element(By.CSS_SELECTOR, "#lc-aou-5of6 > summary").click()
        assert "Rule, fixed before the run" in browser.find_element(By.CSS_SELECTOR, "#lc-aou-5of6 .opened").text
    finally:
        started.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def violations(browser):
    browser.execute_script(axe.AXE_SCRIPT)
    browser.set_script_timeout(100)
    found = browser.execute_async_script("axe.run().then(arguments[0])")["violations"]
    return [(one["id"], one["nodes"][0]["target"], one["nodes"][0]["failureSummary"]) for one in found]


@pytest.mark.parametrize("looks", [{}, {"scheme": "dark"}, {"width": 360}], ids=["light", "dark", "narrow"])
def test_an_accessibility_checker_finds_nothing(started, small_address, looks):
    look(started, **looks)
    started.get(small_address)
    started.find_element(By.NAME, "open").click()
    assert violations(started) == []


def test_the_page_of_a_comparison_is_accessible_too(started, tmp_path):
    path = tmp_path / "comparison.html"
    path.write_text(comparison_page(compare_runs(sample_document(3, seed=1), sample_document(4))), encoding="utf-8")
    look(started)
    started.get(path.as_uri())
    assert violations(started) == []
    started.execute_script("document.body.append(document.createElement('img'))")
    assert {name for name, *_ in violations(started)} >= {"image-alt"}, "the checker finds what was broken on purpose"
