"""A shipped workload, or the plant of a task, with a changed declaration, and whether it is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.contract.odcs import check_contract
from millrace.errors import ConfigurationError
from millrace.tasks.catalogue import TASKS
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests.builders import LABEL, TEXT, columns
from tests.plant import write_plant
from tests.shipped import SHIPPED

FOLDERS = {folder.name: folder for folder in SHIPPED}
GONE = object()
"""In place of a value: the key is not there."""
Changes = Mapping[str, Any]
"""By the path of a key its value; by `column price` what is merged into that column of the contract; by `contract` a
function that changes it."""


def write(root: Path, base: str, changes: Changes) -> Path:
    """The folder of the changed workload. `base` is a shipped workload or a task."""
    if base in TASKS:
        folder = write_plant(root, base).folder
    else:
        folder = root / base
        shutil.copytree(FOLDERS[base], folder, ignore=shutil.ignore_patterns("sample"))
    declared, contract = (yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in ("workload", "contract"))
    for path, value in changes.items():
        if path == "contract":
            value(contract)
        elif path.startswith("column "):
            for column in columns(contract, path.removeprefix("column ")):
                merge(column, value)
        else:
            *parents, last = path.split(".")
            place = declared
            for parent in parents:
                place = place[parent]
            merge(place, {last: value})
    (folder / "workload.yaml").write_text(yaml.safe_dump(declared))
    (folder / "contract.yaml").write_text(yaml.safe_dump(contract))
    return folder


def merge(place: dict[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if value is GONE:
            place.pop(name, None)
        else:
            place[name] = value


def valid(*values: object) -> Callable[[dict[str, Any]], None]:
    """The label `class` has these values."""

    def change(contract: dict[str, Any]) -> None:
        kind = TEXT if isinstance(values[0], str) else {}
        for column in columns(contract, "class"):
            column["quality"] = [column["quality"][0] | {"arguments": {"validValues": [*values]}}]
            column |= kind | {"customProperties": [LABEL]}

    return change


def check(root: Path, base: str, changes: Changes, expected: object) -> None:
    """It is refused with the text `expected`, or in a field for what came; None: it fits."""
    folder = write(root, base, changes)

    def load() -> None:
        check_fit(load_workload(folder), check_contract(folder))

    if expected is None:
        load()
        return
    with pytest.raises(ConfigurationError, match=expected if isinstance(expected, str) else None) as caught:
        load()
    if isinstance(expected, tuple):
        assert (caught.value.field, caught.value.came) == expected
