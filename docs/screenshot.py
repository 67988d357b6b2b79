"""Photograph a report in headless Chromium: python docs/screenshot.py [reports/claims.html [docs/report.png]]."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def main(page: str = "reports/claims.html", picture: str = "docs/report.png", size: str = "1100,1500") -> None:
    browser = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if browser is None:
        sys.exit("No Chromium was found: install it (on Debian, `apt-get install chromium`).")
    with tempfile.TemporaryDirectory() as profile:
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-background-networking",
        ]
        options += ["--no-first-run", "--disable-sync", "--disable-component-update", f"--user-data-dir={profile}"]
        address, _, fragment = page.partition("#")
        where = Path(address).resolve().as_uri() + (f"#{fragment}" if fragment else "")
        subprocess.run(
            [browser, *options, f"--window-size={size}", f"--screenshot={Path(picture).resolve()}", where],
            check=True,
            capture_output=True,
            timeout=120,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
