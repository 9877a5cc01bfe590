"""The pages that people read, and what they give to type."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATHS = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in PATHS}
"""The text of each page by its path from the root."""


def typed(beginning: str) -> list[str]:
    """The lines, without remarks, of README's block of commands that has a line with this beginning."""
    blocks = re.findall(r"^```bash\n(.+?)^```$", PAGES["README.md"], re.M | re.S)
    (block,) = (block for block in blocks if re.search(f"^{re.escape(beginning)}", block, re.M))
    return [re.sub(r"\s+# .*$", "", line) for line in block.splitlines() if line]
