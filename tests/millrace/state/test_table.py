"""The keys of the table `state`, as its module says them."""

from __future__ import annotations

import re
from pathlib import Path

from millrace.state import table

FOLDER = Path(table.__file__).parent


def test_every_module_that_has_items_is_named_among_the_keys() -> None:
    """And none that has not: by what it calls."""
    named = set(re.findall(r"^    \S+.*`(\w+)`$", str(table.__doc__), re.M))
    using = {path.stem for path in FOLDER.glob("*.py") if re.search(r"import .*\bStateTable\b", path.read_text())}
    assert named == using
