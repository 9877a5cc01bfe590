"""Names that were replaced by the field's words stay away from the console."""

from __future__ import annotations

import ast
from pathlib import Path

from console.words import days, span

CONSOLE = Path(__file__).resolve().parents[2] / "console"
RETIRED = {
    "desk": "cloud",
    "find_desk": "find_cloud",
    "Desk": "LocalCloud",
    "Place": "Environment",
    "find_place": "find_environment",
    "Kept": "Instance, LocatedDecision",
    "Told": "RunDetail",
    "Deed": "Action",
    "Lived": "DemoRun",
    "Reign": "ChampionPeriod",
    "Happening": "TimelineEntry",
}
"""By what they are called now."""


def retired(source: str) -> set[str]:
    """Retired names that the source uses."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.name for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.alias)}
    names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return names & set(RETIRED)


def test_no_retired_name_is_used() -> None:
    found = {str(path.relative_to(CONSOLE)): retired(path.read_text()) for path in CONSOLE.rglob("*.py")}
    assert len(found) > 50
    assert {path: names for path, names in found.items() if names} == {}


def test_a_retired_name_is_seen() -> None:
    assert retired("class Desk: ...") == {"Desk"}
    assert retired("def run(desk): return desk.now()") == {"desk"}
    assert retired("from x import find_place as find") == {"find_place"}
    assert retired("cloud.desk") == {"desk"}


def test_a_span_of_moments_ends_on_the_day_before_it_ends() -> None:
    assert days("1997-04-01T00:00:00+00:00", "1997-05-01T00:00:00+00:00") == "1997-04-01 to 1997-04-30"
    assert days("1997-04-01T06:00:00+00:00", "1997-05-01T06:00:00+00:00") == "1997-04-01 to 1997-05-01"
    assert days("1997-04-01T00:00:00+00:00", "1997-04-02T00:00:00+00:00") == "1997-04-01"
    assert span("1997-04-01T00:00:00+00:00", "1997-04-02T00:00:00+00:00") == "1 April 1997"
    assert span("1997-04-01T00:00:00+00:00", "1997-05-01T00:00:00+00:00") == "1 April 1997 to 30 April 1997"
