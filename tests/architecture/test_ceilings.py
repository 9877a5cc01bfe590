"""No house grows above its ceiling, and no room of it either: files, handlers, names.

What is above a general limit today is named here with its size, which may only become smaller."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from tests.size import CEILINGS, PAGES, ROOT, code_lines, house_of, houses, kept, pages

MOST_LINES = 400
"""Of a file of the product, whole."""
LONG = {
    "console/new/columns.py": 413,
    "millrace/contract/load.py": 440,
    "millrace/files/csv.py": 404,
    "millrace/workload/declaration.py": 524,
}
MOST_LINES_OF_A_HANDLER = 120


def test_no_house_is_above_its_ceiling() -> None:
    counted = houses()
    assert {house: size for house, size in counted.items() if size > CEILINGS[house]} == {}


def test_the_pages_are_not_above_theirs() -> None:
    assert {name: size for name, size in pages().items() if size > PAGES[name]} == {}


def test_code_is_counted_without_air_and_words() -> None:
    text = (
        '"""A module.\n\nOf two lines."""\n\nimport os\n\n\ndef name(a):\n    """Its name."""\n'
        "    # why\n    return (\n        os.name\n    )\n"
    )
    assert code_lines(text) == 5
    assert house_of(Path("localcloud/kernel/x.py")) == "localcloud"
    assert house_of(Path("infra/stacks/x.py")) == "platform"
    assert house_of(Path("benchmarks/x.py")) == "benchmarks"


@pytest.mark.parametrize(
    ("pattern", "most", "known"),
    [("*.py", MOST_LINES, LONG), ("functions/*/handler.py", MOST_LINES_OF_A_HANDLER, {})],
    ids=["file", "handler"],
)
def test_no_file_is_too_long(pattern: str, most: int, known: dict[str, int]) -> None:
    found = {
        path.as_posix(): len((ROOT / path).read_text().splitlines())
        for path in kept(pattern)
        if house_of(path) in ("platform", "console", "localcloud")
    }
    above = {name: size for name, size in found.items() if size > known.get(name, most)}
    assert above == {}
    assert {name: size for name, size in known.items() if found.get(name, 0) <= most} == {}, (
        "no longer above: take it out"
    )


def test_no_class_name_means_two_things() -> None:
    """In the platform without its stacks. A name with an underscore is its module's own."""
    places = defaultdict(set)
    for path in kept("millrace/*.py", "functions/*.py", "jobs/*.py"):
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(path.as_posix())
    twice = {name: sorted(where) for name, where in places.items() if len(where) > 1}
    assert twice == {}
