"""The output in README's quick start is what the demo tells; times are a machine's own and are not compared."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Lived

ROOT = Path(__file__).resolve().parents[2]


def headlines(readme: str) -> list[str]:
    """What happened, by README's block of output."""
    block = readme.split("```text\n")[1].split("```")[0]
    return re.findall(r"[●·▲◆]  (.+?)(?:  |$)", block, re.M)


@pytest.fixture(scope="module")
def told(lived: Lived) -> str:
    """The words of the report."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", (lived.build / "report.html").read_text())).split())


def test_the_output_in_the_readme_is_what_the_demo_tells(told: str) -> None:
    said = headlines((ROOT / "README.md").read_text())
    assert len(said) > 5
    assert [line for line in said if line not in told] == []


def test_a_headline_that_never_was_is_noticed(told: str) -> None:
    (line,) = headlines("```text\n1997-05-15  ●  Version 7 released        train\n```")
    assert line not in told
