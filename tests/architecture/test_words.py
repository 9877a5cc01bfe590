"""One name for one thing: class names are unique where they meet in one head, and retired words stay away."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("millrace", "functions", "jobs")
"""Whoever reads one of these reads the others; `infra/local` and `console` have words of their own."""
STATES = ("infra", "machines")
"""The folder whose dictionaries name the states of the machines, which `millrace show` prints."""
RETIRED = {
    "absence": "not_found",
    "absorb": "join_labels",
    "absorbed": "joined",
    "absorption": "joined_labels",
    "adoption": "external_model",
    "asked": "request, input",
    "brought": "external_model",
    "closing": "cleanup",
    "conclusion": "advance_release",
    "desk": "local_cloud",
    "happening": "timeline entry",
    "keeping": "lifecycle",
    "needs": "required_permissions, required_quotas",
    "opening": "start_release",
    "probe": "smoke_test",
    "publication": "publish_metrics",
    "remembered": "cache",
    "surface": "prediction_spec",
    "telling": "narrative, presenter",
    "things": "inventory, features",
    "told": "report, message",
    "trial": "challenger",
}
"""What stood for something in names of files, classes, functions and arguments, and the word of the field for it."""


def sources(root: Path = ROOT) -> Iterator[Path]:
    """The Python files that git tracks, tests left out."""
    command = ["git", "ls-files", "*.py"]
    for line in subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines():
        if not line.startswith("tests/"):
            yield Path(line)


def classes(files: Iterable[tuple[Path, str]]) -> dict[str, list[str]]:
    """The files of each public class by its name."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, text in files:
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path))
    return found


def words(path: Path, text: str) -> Iterator[tuple[str, str]]:
    """Each name that the file gives (itself, classes, functions, arguments, fields, states), as (where, name)."""
    for part in path.parts:
        yield str(path), part.removesuffix(".py")
    for node in ast.walk(ast.parse(text)):
        where = f"{path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield where, node.name
        elif isinstance(node, ast.arg):
            yield where, node.arg
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield where, node.target.id
        elif isinstance(node, ast.Dict) and path.parts[:2] == STATES:
            yield from ((where, key) for key in map(_text, node.keys) if key)


def _text(key: ast.expr | None) -> str:
    """The words of a key, also of one that is put together: `f"{prefix} wait"` has `wait`."""
    constants = [node.value for node in ast.walk(key) if isinstance(node, ast.Constant)] if key else []
    return " ".join(value for value in constants if isinstance(value, str))


def parts(name: str) -> set[str]:
    """The words of a name: `list_of_Things` and `listOfThings` have `things`."""
    return {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}


def retired(files: Iterable[tuple[Path, str]]) -> list[str]:
    return sorted(
        {
            f"{where}: {name}: say {RETIRED[word]}"
            for path, text in files
            for where, name in words(path, text)
            for word in parts(name) & RETIRED.keys()
        }
    )


def test_no_class_name_means_two_things() -> None:
    files = [(path, (ROOT / path).read_text()) for path in sources() if path.parts[0] in ROOMS]
    assert {name: where for name, where in classes(files).items() if len(where) > 1} == {}


def test_retired_words_stay_away() -> None:
    assert retired((path, (ROOT / path).read_text()) for path in sources()) == []


@pytest.mark.parametrize(
    "text", ["class Desk: ...", "def things(): ...", "def f(told: str): ...", "class A:\n    desk: int"]
)
def test_a_retired_word_is_noticed(text: str) -> None:
    assert len(retired([(Path("millrace/made.py"), text)])) == 1


@pytest.mark.parametrize("key", ['"Opening"', '"Closing begins"', 'f"{prefix} publication"'])
def test_a_retired_word_in_the_name_of_a_state_is_noticed(key: str) -> None:
    text = f"STATES = {{{key}: invoke()}}"
    assert len(retired([(Path("infra/machines/made.py"), text)])) == 1
    assert retired([(Path("infra/stacks/made.py"), text)]) == []


def test_a_retired_file_and_a_second_class_are_noticed() -> None:
    assert len(retired([(Path("millrace/absence.py"), "")])) == 1
    twice = classes([(Path("a.py"), "class A: ..."), (Path("b.py"), "class A: ...")])
    assert twice == {"A": ["a.py", "b.py"]}


def unclear(files: Iterable[tuple[Path, str]]) -> list[str]:
    """Fields and arguments that leave open whether an execution's name or its ARN is meant."""
    return sorted(
        f"{path}:{node.lineno}: {name}: say run for its name, execution_arn for its ARN"
        for path, text in files
        for node in ast.walk(ast.parse(text))
        for name in _typed_as_text(node)
        if name == "execution"
    )


def _typed_as_text(node: ast.AST) -> Iterator[str]:
    """The name of a field or an argument that is declared as a text."""
    if isinstance(node, ast.arg) and _is_text(node.annotation):
        yield node.arg
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and _is_text(node.annotation):
        yield node.target.id


def _is_text(annotation: ast.expr | None) -> bool:
    return isinstance(annotation, ast.Name) and annotation.id == "str"


def test_an_execution_is_called_by_its_name_or_by_its_arn() -> None:
    files = [(path, (ROOT / path).read_text()) for path in sources() if path.parts[0] in ROOMS]
    assert unclear(files) == []


@pytest.mark.parametrize("text", ["def f(execution: str): ...", "class A:\n    execution: str"])
def test_an_unclear_execution_is_noticed(text: str) -> None:
    assert len(unclear([(Path("millrace/made.py"), text)])) == 1
