"""Photograph a report in headless Chromium, for the README: python docs/screenshot.py [reports/claims.html [docs]].

Needs Chromium and its driver (on Debian: apt-get install chromium chromium-driver) and the extra [browser].
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

BROWSERS, DRIVER = ("chromium", "chromium-browser", "google-chrome"), "chromedriver"
WIDTH = 1120
CLAIM = "lc-aou-5of6"  # the one that is photographed open, where the run has it


def installed() -> tuple[str, str] | None:
    """Where Chromium and its driver are; None where one is missing."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which(DRIVER)
    return (browser, driver) if browser and driver else None


@contextmanager
def chromium(browser: str, driver: str) -> Iterator[Chrome]:
    """A headless Chromium that keeps what its console and its network said."""
    options = ChromeOptions()
    options.binary_location = browser
    for option in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", "disable-dev-shm-usage"):
        options.add_argument(f"--{option}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = Chrome(options=options, service=Service(driver))
    try:
        yield started
    finally:
        started.quit()


def look(browser: Chrome, *, width: int = WIDTH, height: int = 900, scheme: str = "light", media: str = "") -> None:
    """Give the page a size, a colour scheme and a medium."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def main(page: str = "reports/claims.html", folder: str = "docs") -> None:
    found = installed()
    if found is None:
        sys.exit("Chromium or chromedriver is missing: on Debian, `apt-get install chromium chromium-driver`.")
    address = Path(page).resolve().as_uri()
    with chromium(*found) as browser:
        look(browser, height=1500)
        browser.get(address)
        browser.save_screenshot(f"{folder}/ledger.png")
        claim = browser.execute_script(
            f"const wanted = document.getElementById('{CLAIM}');"
            "return (wanted || document.querySelector('details:has(svg.forest)') || {id: ''}).id"
        )
        look(browser, height=1500)
        browser.get(f"{address}#{claim}")
        browser.save_screenshot(f"{folder}/claim.png")
        heat_map = browser.execute_script(
            "const figures = [...document.querySelectorAll('figure')];"
            "return figures.find((one) => one.innerText.includes('Gradient norms')) || null"
        )
        if heat_map is not None:
            heat_map.screenshot(f"{folder}/gradient_norms.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
