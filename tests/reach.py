"""`make test BASE=origin/main`: the tests that the changes since a commit reach by imports, one file a line.

A file reaches those that import it, wherever the import stands, and the tests at its own place. What is started by name
or packed is said in STARTED. A page reaches what reads pages; any other file that is no Python reaches everything. Of
the stories end to end, which would all be reached, one runs; all run where everything does."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.size import ROOT, kept

LINKED = ("console", "containers", "functions", "infra", "jobs")
"""Folders of the root that are imported as rooms of `millrace`."""
STARTED = {
    "infra/bundles.py": ("functions/**/*.py",),
    "infra/images.py": ("jobs/**/*.py", "containers/**/*.py"),
    "infra/app.py": ("infra/deployer/*.py",),
    "console/local_cloud/lifecycle.py": ("infra/app.py", "localcloud/__main__.py"),
    "localcloud/deploy.py": ("localcloud/**/*.py",),
    "millrace/evaluation/measures/catalogue.py": ("millrace/evaluation/measures/*.py",),
    "millrace/models/predictor.py": ("millrace/models/*/network.py",),
}
"""Of a file what it starts in another process, or packs, without an import."""
READ = "tests/architecture/"
"""The tests that read files instead of importing them."""
STORIES = "tests/end_to_end/"
STORY = f"{STORIES}test_loop.py"
"""The one that runs with every change: from a dropped file to a retrained model."""


@cache
def importers() -> Mapping[str, set[str]]:
    """Of each Python file those that import, start or pack it, the tests of its folder, and what a conftest serves."""
    files = {path.as_posix() for path in kept("*.py")}
    beside = defaultdict(set)
    for file in files:
        beside[Path(file).parent.as_posix()].add(file)
    told: dict[str, set[str]] = defaultdict(set)
    for file in files:
        for module in _imported(file):
            told[_file_of(module, files)].add(file)
        folder = Path(file).parent.as_posix()
        told[file] |= beside.get(f"tests/{folder}", set())
        if file.endswith("/conftest.py"):
            told[file] |= {test for test in files if test.startswith(f"{folder}/")}
    for starter, patterns in STARTED.items():
        for path in kept(*(f":(glob){pattern}" for pattern in patterns)):
            told[path.as_posix()].add(starter)
    return told


def _imported(file: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file_of(module: str, files: set[str]) -> str:
    """The file that holds the module or the name in it; empty for what is not ours."""
    parts = module.split(".")
    if parts[0] == "millrace" and parts[1:2] and parts[1] in LINKED:
        del parts[0]
    paths = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((file for path in paths for file in (f"{path}.py", f"{path}/__init__.py") if file in files), "")


def reached(changed: set[str]) -> set[str]:
    """The test files that these files reach, all of the suite where one of them is no Python and no page."""
    told = importers()
    seen, waiting = set(changed), list(changed)
    while waiting:
        new = told.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    tests = {path.as_posix() for path in kept("tests/**/test_*.py")}
    if any(not file.endswith((".py", ".md")) for file in changed):
        return tests
    around = seen if any(file.startswith(STORIES) for file in changed) else {*changed, STORY}
    return {test for test in tests if test in (around if test.startswith(STORIES) else seen) or test.startswith(READ)}


if __name__ == "__main__":
    command = ["git", "diff", "--name-only", "--merge-base", sys.argv[1]]
    changed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    print("\n".join(sorted(reached(set(changed)))))
