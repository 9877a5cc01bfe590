"""`make size`: the code lines of each house beside its ceiling, and the bytes of its pages.

Code lines are Python without blank lines, comments and docstrings, so that air and words are free."""

from __future__ import annotations

import ast
import io
import subprocess
import tokenize
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "platform": ("millrace", "functions", "jobs", "infra", "containers"),
    "console": ("console",),
    "localcloud": ("localcloud",),
    "tests": ("tests",),
    "benchmarks": ("benchmarks",),
}
"""The folders of each house. A file belongs to the house that names it most exactly."""
CEILINGS = {"platform": 50_805, "console": 22_436, "localcloud": 15_232, "tests": 61_062, "benchmarks": 4_861}
"""The most code lines of a house. Who gets below lowers it in the same commit; nobody raises it."""
PAGES = {"docs": 240_000, "README.md": 11_210}
"""The most bytes of the pages: of all below a folder together, or of one."""
_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def kept(*patterns: str) -> list[Path]:
    """The files that git keeps or would keep, relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [Path(name) for name in names if (ROOT / name).is_file()]


def house_of(path: Path) -> str | None:
    """The house of a file, by its path relative to the root; None if it belongs to none."""
    folders = {folder: house for house, several in FOLDERS.items() for folder in several}
    around = [parent.as_posix() for parent in path.parents]
    return next((folders[folder] for folder in around if folder in folders), None)


def code_lines(text: str) -> int:
    """How many lines of a module hold code."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {line for one in tokens if one.type not in _LAYOUT for line in range(one.start[0], one.end[0] + 1)}
    return len(lines - set(_docstring_lines(ast.parse(text))))


def _docstring_lines(tree: ast.Module) -> Iterable[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body:
                case [ast.Expr(value=ast.Constant(value=str())) as said, *_]:
                    yield from range(said.lineno, (said.end_lineno or said.lineno) + 1)


def houses() -> dict[str, int]:
    """The code lines of each house."""
    counted = dict.fromkeys(CEILINGS, 0)
    for path in kept("*.py"):
        if house := house_of(path):
            counted[house] += code_lines((ROOT / path).read_text())
    return counted


def pages() -> dict[str, int]:
    """The bytes of the pages."""
    found = kept("*.md")
    return {name: sum((ROOT / path).stat().st_size for path in found if path.is_relative_to(name)) for name in PAGES}


def main() -> None:
    for counted, most, unit in ((houses(), CEILINGS, "code lines"), (pages(), PAGES, "bytes")):
        for name, size in counted.items():
            print(f"{name:<12} {size:>8,} of {most[name]:>8,} {unit}{'  ABOVE' if size > most[name] else ''}")


if __name__ == "__main__":
    main()
