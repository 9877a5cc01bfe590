"""Outputs kept as files: a test compares an output with its file, and a change of the output is a diff to review.

`RECORD=1 pytest tests/console` writes the files anew."""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path

import pytest


def compare(path: Path, output: str) -> None:
    """Fail if the output differs from the file; with RECORD in the environment write the file instead."""
    output = output.rstrip("\n") + "\n"
    if os.environ.get("RECORD"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(output, encoding="utf-8")
        return
    recorded = path.read_text(encoding="utf-8") if path.is_file() else ""
    if output != recorded:
        lines = unified_diff(recorded.splitlines(), output.splitlines(), "recorded", "now", lineterm="", n=1)
        pytest.fail("\n".join(["the output differs from " + path.name, *lines]), pytrace=False)


def compare_folder(folder: Path, names: set[str]) -> None:
    """Fail if the folder has a file that no test writes; with RECORD in the environment remove it instead."""
    if os.environ.get("RECORD"):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name not in names:
                path.unlink()
        return
    assert {path.name for path in folder.iterdir()} == names
