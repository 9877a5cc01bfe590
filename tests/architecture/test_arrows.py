"""The arrows between the folders hold, and would be seen if they broke."""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("millrace", "localcloud")
HOUSES = ("console", "functions", "jobs", "infra")
"""The folders beside `millrace` that a link makes packages of it."""


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--config",
        str(ROOT / "pyproject.toml"),
        "--no-cache",
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_every_folder_of_modules_is_a_package() -> None:
    """What is none is left out of the arrows, without a word."""
    folders = {path.parent for package in (*PACKAGES, *HOUSES) for path in (ROOT / package).rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_no_module_needs_itself() -> None:
    """Neither by way of others, nor for a type alone, nor within a function."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    needed = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(needed).prepare()


def test_the_contracts_hold() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout
