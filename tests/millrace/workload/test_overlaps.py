"""Which names of workloads cannot be beside each other."""

from __future__ import annotations

import pytest

from millrace.workload.overlaps import overlaps

THERE = ["cold", "heat_2", "water"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cold_2", ["cold"]),
        ("cold_", ["cold"]),
        ("cold", []),
        ("colder", []),
        ("col", []),
        ("heat", ["heat_2"]),
        ("heat_2", []),
        ("heat_20", []),
        ("heat_2_b", ["heat_2"]),
    ],
)
def test_one_begins_with_the_other_and_an_underscore(name: str, found: list[str]) -> None:
    assert overlaps(name, THERE) == found
