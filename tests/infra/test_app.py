"""Which workloads the app takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.app import chosen
from millrace.errors import ConfigurationError

FOLDERS = [Path("workloads/electricity"), Path("workloads/mine"), Path("workloads/yours")]


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ("", ["electricity", "mine", "yours"]),
        ("mine", ["mine"]),
        ("yours, electricity,yours", ["yours", "electricity"]),
    ],
)
def test_all_or_those_that_the_context_lists(names: str, taken: list[str]) -> None:
    assert [folder.name for folder in chosen(FOLDERS, names)] == taken


@pytest.mark.parametrize("names", ["mine,theirs", "theirs"])
def test_an_unknown_name_is_refused(names: str) -> None:
    said = r"context: workloads: expected .* of electricity, mine, yours.*'theirs'"
    with pytest.raises(ConfigurationError, match=said):
        chosen(FOLDERS, names)


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="workloads"):
        chosen(FOLDERS, "mine,")
