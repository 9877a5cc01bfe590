"""What people read: README and the pages of docs/, and their sections on whatever page these stand."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
"""By their path; the text of each."""
DOCS = "\n\n".join(PAGES.values())
EVERYTHING = f"{README}\n\n{DOCS}"


def section(title: str, text: str = EVERYTHING) -> str:
    """The text under the heading `title`, its own headings included, up to the next one of its level or above."""
    (found,) = re.finditer(rf"^(#+) {re.escape(title)}$", text, re.M)
    level = len(found.group(1))
    end = re.compile(rf"^#{{1,{level}}} ", re.M).search(text, found.end())
    return text[found.end() : end.start() if end else None]
