"""The pages that people read, and what they give to type."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATHS = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in PATHS}
"""The text of each page by its path from the root."""


INDEX = ROOT / "llms.txt"


def index() -> str:
    """What llms.txt holds: every page with its title and its first sentence. https://llmstxt.org"""
    lines = [f"- [{title}]({page}): {said}" for page, text in PAGES.items() for title, said in [_first(text)]]
    return "\n".join(["# Millrace", "", f"> {_first(PAGES['README.md'])[1]}", "", "## Pages", "", *lines, ""])


def _first(page: str) -> tuple[str, str]:
    title, _, text = page.partition("\n")
    paragraphs = (one for one in text.split("\n\n") if re.match(r"\s*[\w`*\[]", one))
    words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(next(paragraphs, "").split()))
    return title.removeprefix("# "), re.split(r"(?<=\.)\s", words)[0]


def typed(beginning: str, page: str = "README.md") -> list[str]:
    """The lines, without remarks, of the page's block of commands that has a line with this beginning."""
    blocks = re.findall(r"^```bash\n(.+?)^```$", PAGES[page], re.M | re.S)
    (block,) = (block for block in blocks if re.search(f"^{re.escape(beginning)}", block, re.M))
    return [re.sub(r"\s+# .*$", "", line) for line in block.splitlines() if line]
