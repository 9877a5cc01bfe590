"""Reads the workloads of the repository from their files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from millrace.contract.load import read_document
from millrace.errors import WorkloadError
from millrace.workload.declaration import Workload


def workloads_folder(repository: Path = Path()) -> Path:
    """The folder of the workloads: the environment variable MILLRACE_WORKLOADS, else `workloads` of the repository."""
    elsewhere = os.environ.get("MILLRACE_WORKLOADS")
    return Path(elsewhere) if elsewhere else repository / "workloads"


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
        first = error.errors()[0]
        field = ".".join(_by_name(first["loc"], document)) or "(file)"
        if first["type"] == "extra_forbidden":
            raise WorkloadError(where=where, field=field, expected="a supported key", came=first["loc"][-1]) from None
        raise WorkloadError(where=where, field=field, expected=_lower(first["msg"]), came=first["input"]) from None


def _by_name(place: Sequence[int | str], document: object) -> Iterator[str]:
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


def _lower(message: str) -> str:
    """Pydantic's message without its first words, so that it can follow the word "expected"."""
    return re.sub(r"^(Value error, |Input should be )", "", message)
