"""Reads the workloads of the repository from their files, and says which names cannot be in one stage together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from millrace.contract.load import read_document
from millrace.errors import FieldError, WorkloadError
from millrace.models.catalogue import FAMILIES
from millrace.spelling import did_you_mean
from millrace.workload.declaration import SET_BY_PREDICTION, SET_ELSEWHERE, Prediction, Workload
from millrace.workload.places import Place, keys_at

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from millrace.contract.schema import Table


SUITE = Path(__file__).absolute().parents[2]
"""The folder with the package `millrace`: a checkout, or where pip installs packages."""


def workloads_folder() -> Path:
    """The folder of the workloads: the environment variable MILLRACE_WORKLOADS, else `workloads` of the project."""
    return Path(os.environ.get("MILLRACE_WORKLOADS") or "workloads")


def workload_folders(root: Path) -> list[Path]:
    """The folders in `root` that have a `workload.yaml`, sorted by name."""
    return sorted(path.parent for path in root.glob("*/workload.yaml"))


def read_workloads(root: Path) -> tuple[list[Workload], list[WorkloadError]]:
    """The workloads in the folders of `root`, and an error for each workload that cannot be read."""
    found, broken = [], []
    for folder in workload_folders(root):
        try:
            found.append(load_workload(folder))
        except WorkloadError as error:
            broken.append(error)
    return found, broken


def load_workload(folder: Path) -> Workload:
    """The workload that `folder/workload.yaml` declares.

    Raises WorkloadError, which says file, field, what was expected and what came, if the file does not fit or if the
    folder has another name than the workload."""
    path = folder / "workload.yaml"
    workload = read_workload(path)
    if workload.name != folder.name:
        raise WorkloadError(
            where=_where(path), field="name", expected=f"the folder's name {folder.name!r}", came=workload.name
        )
    return workload


def read_workload(path: Path) -> Workload:
    """The workload that the file `path` declares, in any folder, such as that of a job's configuration.

    Raises WorkloadError, which says file, field, what was expected and what came."""
    where, document = _where(path), read_document(path)
    try:
        return Workload.model_validate(document)
    except ValidationError as error:
        first = _first(error)
        place, refused = first["loc"], first.get("ctx", {}).get("error")
        field, expected, came = ".".join(_by_name(place, document)), first["msg"], first["input"]
        # Pydantic's message without its first words follows the word "expected".
        expected = re.sub(r"^(Value error, (expected )?|Input should be )", "", expected)
        if isinstance(refused, FieldError):
            field, expected, came = f"{field}.{refused.field}".strip("."), refused.expected, refused.came
        if first["type"] == "extra_forbidden":
            expected, came = _one_of_the_keys(place, document), place[-1]
        raise WorkloadError(where=where, field=field or "(file)", expected=expected, came=came) from None


def _first(error: ValidationError) -> ErrorDetails:
    """The first error. Of a part of the file that lacks a key and has an unknown one, it is the unknown one."""
    first, *others = error.errors()
    parts = [other for other in others if other["loc"][:-1] == first["loc"][:-1]] if first["type"] == "missing" else []
    return next((other for other in parts if other["type"] == "extra_forbidden"), first)


def _one_of_the_keys(place: Place, document: Mapping[str, Any]) -> str:
    """What is expected instead of the unknown key that is the end of `place`."""
    # Which hyperparameters there are depends on the family, so no type of a field says it.
    if tuple(place[:2]) == ("training", "parameters"):
        keys: Sequence[str] = tuple(FAMILIES[document["training"]["family"]].model_fields)
    else:
        no_keys = SET_BY_PREDICTION if "features" in place else SET_ELSEWHERE
        keys = [key for key in keys_at(place[:-1], Workload) if key not in no_keys]
    return f"one of the keys {', '.join(keys)}{did_you_mean([str(place[-1])], keys)}"


def _by_name(place: Place, document: object) -> Iterator[str]:
    """The parts of a field's place in the document, `features`, `past`, `hours`. A list's entry has its name as a part.

    An entry without a name has its number."""
    for part in place:
        # If a field may have one of several kinds, pydantic adds the kind to the place. The kind is no key of the
        # document: `document` is then None, and the parts below are written as pydantic names them.
        if isinstance(document, list) and isinstance(part, int):
            document = document[part]
        else:
            document = document.get(part) if isinstance(document, dict) else None
        name = document.get("name") if isinstance(document, dict) else document
        yield name if isinstance(part, int) and isinstance(name, str) else str(part)


def _where(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


WHY_NOT = "the roles of one workload could touch the resources of the other"
"""Why such names are refused, for error messages."""


def overlaps(name: str, others: Iterable[str]) -> list[str]:
    """The names among `others` that overlap with `name`: one of the two begins with the other and an underscore.

    Example: `cold` and `cold_2` overlap. In AWS's names an underscore is a dash, so `millrace-dev-cold-*` means the
    resources of both. `cold` and `colder` do not overlap."""
    return [other for other in others if other.startswith(f"{name}_") or name.startswith(f"{other}_")]


def other_columns(prediction: Prediction, table: Table) -> dict[str, str]:
    """The table's columns that no declared feature reads, without images and protected columns, by their names.

    A renamed column is there by its name before, too. The live version was trained under an older declaration, and its
    features may be others. It finds them in all that a row brings. So a feature can be declared, renamed or taken back
    without an outage until the next version is live."""
    columns = [column for column in table.columns if column.kind != "binary" and not column.is_protected]
    others = {column.name: column.name for column in columns if column.name not in prediction.inputs}
    return {column.formerly: column.name for column in columns if column.formerly} | others
