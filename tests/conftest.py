"""The order of the tests: those that only mock AWS first, those that run a local cloud in this process last.

A local cloud fills the gaps of moto by replacing its members, and they stay replaced for the rest of the process.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

CLOUD = "infra.local"
FIXTURES = {"cloud", "lived"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: bool(FIXTURES & set(getattr(item, "fixturenames", ()))) or _runs_a_cloud(item.path))


@cache
def _runs_a_cloud(file: Path) -> bool:
    """Whether the file, or a conftest of its folders, imports the local cloud."""
    root = Path(__file__).parent
    files = [file, *(folder / "conftest.py" for folder in file.parents if folder.is_relative_to(root) and folder != root)]
    return any(each.is_file() and CLOUD in each.read_text() for each in files)
