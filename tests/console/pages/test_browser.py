"""The page in a real browser whose every name leads nowhere: it opens whole, asks for nothing, complains of nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from console.pages.page import page
from console.queries.report import WorkloadReport

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
COUNTED = """<script>
onload = () => { document.title = performance.getEntriesByType('resource').length + ' asked for' }
</script></body>"""
"""Tells how much a page asked for, also where it came to nothing."""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="no Chromium on this machine: its tests need one"
)
"""In CI they fail without one: a page that no browser has opened is not tested."""


def opened(html: str, folder: Path) -> tuple[str, list[str]]:
    """The page as the browser has it, and what its console says."""
    path = folder / "report.html"
    path.write_text(html.replace("</body>", COUNTED))
    ran = subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder / 'profile'}",
            "--enable-logging=stderr",
            "--window-size=1280,1200",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ran.stdout, [line for line in ran.stderr.splitlines() if "CONSOLE" in line]


def test_the_page_opens_without_a_network(report: WorkloadReport, tmp_path: Path) -> None:
    dom, complaints = opened(page(report), tmp_path)
    assert complaints == []
    assert "<title>0 asked for</title>" in dom
    assert dom.count("<section") == 7
    assert dom.count("<svg") == page(report).count("<svg")


def test_a_page_that_asks_and_complains_is_seen(report: WorkloadReport, tmp_path: Path) -> None:
    bad = page(report).replace("</main>", '<img src="http://example.org/x.png"></main><script>notThere()</script>')
    dom, complaints = opened(bad, tmp_path)
    assert any("notThere is not defined" in line for line in complaints)
    assert "<title>1 asked for</title>" in dom
