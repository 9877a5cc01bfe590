"""The reasons of quarantine are named, never written again as strings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from millrace.contract.reasons import Reason

ROOT = Path(__file__).resolve().parents[2]
OWNER = ROOT / "millrace" / "contract" / "reasons.py"
CODES = {reason.value for reason in Reason}
MAKERS = ("DropError", "RuleViolation", "ColumnViolation", "QuarantinedRow", "_violation")


def free_reasons(source: str) -> Iterator[int]:
    """The lines where a string stands for a reason: in what takes one, or compared with one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = [key.value for key in node.keywords if key.arg == "reason"]
            values = [*node.args[:1], *given] if name in MAKERS else given
            yield from (node.lineno for value in values if _is_code(value))
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(isinstance(side, ast.Attribute | ast.Name) and _last(side) == "reason" for side in sides):
                yield from (node.lineno for side in sides for part in ast.walk(side) if _is_code(part))
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(at, ast.Name | ast.Attribute) and _last(at) == "reason" for at in targets):
                yield from (node.lineno for part in ast.walk(node.value) if _is_code(part))


def _is_code(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value in CODES


def _last(node: ast.Attribute | ast.Name) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id


def test_every_reason_is_used_by_its_name() -> None:
    files = [file for room in ("millrace", "functions", "jobs", "console") for file in (ROOT / room).rglob("*.py")]
    sources = {file.relative_to(ROOT).as_posix(): file.read_text() for file in files if file != OWNER}
    found = [f"{name}:{line}" for name, source in sources.items() for line in free_reasons(source)]
    assert not found
    text = "\n".join(sources.values())
    assert [reason.name for reason in Reason if f"Reason.{reason.name}" not in text] == []


def test_a_free_string_is_seen() -> None:
    for source in (
        'raise DropError("too_large", expected="a", got="b")',
        'RuleViolation(reason="range", column=None, expected="a", got="b")',
        'assert error.reason != "columns"',
        'assert row.reason in ("type", "json")',
        'reason: ClassVar[str] = "pattern"',
    ):
        assert set(free_reasons(source)) == {1}, source
    assert list(free_reasons('rule.get("type"); DropError(Reason.TYPE, expected="json", got="range")')) == []
