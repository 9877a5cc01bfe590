"""A model artefact: the members of one `model.tar.gz`, allow-listed, bounded and checked against their digests.

    weights.safetensors   the weights, statistics and temperature
    model.onnx            the same as a graph: raw features in, probability out
    model.json            what `Description` says
    history.json          the training curves

Nothing in it is ever unpickled, and nothing is extracted to a path that the archive names.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from millrace.errors import ArtefactError
from millrace.features.encoding import Feature, plain

MB = 1024 * 1024
MEMBERS = {"weights.safetensors": 512 * MB, "model.onnx": 512 * MB, "model.json": MB, "history.json": 8 * MB}
"""The members that an artefact has, no fewer and no more, and the largest size of each in bytes."""


@dataclass(frozen=True, kw_only=True)
class Digests:
    """SHA-256 of what the model was made from (the run's own words) and of what it is (hexadecimal)."""

    data: str
    contract: str
    config: str
    code: str
    weights: str
    onnx: str


@dataclass(frozen=True, kw_only=True)
class Input:
    name: str
    dtype: str
    shape: tuple[int | None, ...]
    """None is the number of rows."""


@dataclass(frozen=True, kw_only=True)
class Week:
    """The share of wrong answers in one window of event time."""

    start: str
    """ISO time, inclusive; `end` is exclusive."""
    end: str
    rows: int
    error: float


@dataclass(frozen=True, kw_only=True)
class FrozenModel:
    """How the error of a model that was left alone, as a champion is, moved in the windows after its training."""

    trained_until: str
    """ISO time: it has seen nothing from there on."""
    weeks: tuple[Week, ...]
    """Successive windows from there on."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """model.json: how the model is asked and what it was made from."""

    family: str
    parameters: Mapping[str, Any]
    features: tuple[str, ...]
    """In the order of the input's columns."""
    encoding: tuple[Feature, ...] = ()
    """What columns each of them has; none: each is a number that is always there, its own column."""
    label: str
    kind: str
    threshold: float
    """The answer is 1 where the probability is at least this."""
    temperature: float
    digests: Digests
    torch: str
    input: Input
    walk_forward: tuple[FrozenModel, ...]
    """Models of earlier days, the oldest first, judged up to the end of the test days."""

    @property
    def inputs(self) -> tuple[Feature, ...]:
        """The features with their encoding, in the order of the input's columns."""
        return self.encoding or plain(self.features)


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """The members as read, digests checked."""

    description: Description
    weights: bytes
    onnx: bytes
    history: bytes


def digest(content: bytes) -> str:
    """The SHA-256 of `content`, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def write_folder(folder: Path, artefact: Artefact) -> None:
    """Write the members; the platform makes model.tar.gz of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _members(artefact).items():
        (folder / name).write_bytes(content)


def read_folder(folder: Path) -> Artefact:
    """The artefact that lies unpacked in `folder`.

    Raises ArtefactError for a member that is missing, unknown, no regular file, too large or altered."""
    contents: dict[str, bytes] = {}
    for path in sorted(folder.iterdir()):
        _allow(path.name, regular=path.is_file() and not path.is_symlink(), seen=contents)
        contents[path.name] = _bounded(path.name, path.stat().st_size, path.read_bytes)
    return _artefact(contents, where=str(folder))


def read_archive(path: Path) -> Artefact:
    """The artefact in `path` (model.tar.gz), read in memory; raises ArtefactError as `read_folder`."""
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if member.isdir() and name in ("", "."):
                    continue
                _allow(name, regular=member.isreg(), seen=contents)
                file = archive.extractfile(member)
                assert file is not None  # a regular member
                contents[name] = _bounded(name, member.size, file.read)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArtefactError(f"{path}: expected a tar.gz, got {error}") from None
    return _artefact(contents, where=str(path))


def _members(artefact: Artefact) -> dict[str, bytes]:
    description = json.dumps(_document(artefact.description), indent=1).encode()
    return {
        "model.json": description,
        "model.onnx": artefact.onnx,
        "weights.safetensors": artefact.weights,
        "history.json": artefact.history,
    }


def _allow(name: str, *, regular: bool, seen: Mapping[str, bytes]) -> None:
    if name not in MEMBERS:
        raise ArtefactError(f"{name}: expected one of {', '.join(sorted(MEMBERS))}")
    if not regular:
        raise ArtefactError(f"{name}: expected a regular file, got a link, a folder or a device")
    if name in seen:
        raise ArtefactError(f"{name}: expected once, came twice")


def _bounded(name: str, size: int, read: Callable[[], bytes]) -> bytes:
    if size > MEMBERS[name]:
        raise ArtefactError(f"{name}: expected at most {MEMBERS[name]} bytes, got {size}")
    return read()


def _artefact(contents: Mapping[str, bytes], *, where: str) -> Artefact:
    if missing := sorted(MEMBERS.keys() - contents.keys()):
        raise ArtefactError(f"{where}: expected {', '.join(sorted(MEMBERS))}, missing {', '.join(missing)}")
    description = _description(contents["model.json"], where=where)
    for name, expected in (
        ("weights.safetensors", description.digests.weights),
        ("model.onnx", description.digests.onnx),
    ):
        if (came := digest(contents[name])) != expected:
            raise ArtefactError(f"{where}: {name}: expected digest {expected}, got {came}")
    return Artefact(
        description=description,
        weights=contents["weights.safetensors"],
        onnx=contents["model.onnx"],
        history=contents["history.json"],
    )


def _document(description: Description) -> dict[str, Any]:
    document = asdict(description)
    if not document["encoding"]:
        del document["encoding"]
    document["calibration"] = {"temperature": document.pop("temperature")}
    document["walk_forward"] = [frozen_document(frozen) for frozen in description.walk_forward]
    return document


def week_document(week: Week) -> dict[str, Any]:
    """The week as model.json and evaluation.json write it."""
    return {"from": week.start, "to": week.end, "rows": week.rows, "error": week.error}


def frozen_document(frozen: FrozenModel) -> dict[str, Any]:
    """The frozen model as model.json and evaluation.json write it."""
    return {"trained_until": frozen.trained_until, "weeks": [week_document(week) for week in frozen.weeks]}


def _frozen(document: dict[str, Any]) -> FrozenModel:
    weeks = (
        Week(start=week["from"], end=week["to"], rows=week["rows"], error=week["error"]) for week in document["weeks"]
    )
    return FrozenModel(trained_until=document["trained_until"], weeks=tuple(weeks))


def _description(content: bytes, *, where: str) -> Description:
    try:
        document = json.loads(content)
        apart = ("temperature", "encoding")
        values = {field.name: document[field.name] for field in fields(Description) if field.name not in apart}
        values["temperature"] = float(document["calibration"]["temperature"])
        values["features"] = tuple(document["features"])
        values["encoding"] = tuple(
            Feature(**entry | {"categories": tuple(entry["categories"])}) for entry in document.get("encoding", ())
        )
        values["digests"] = Digests(**document["digests"])
        shape = cast("list[int | None]", document["input"]["shape"])
        values["input"] = Input(**document["input"] | {"shape": tuple(shape)})
        values["walk_forward"] = tuple(map(_frozen, document["walk_forward"]))
        return Description(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{where}: model.json: expected a description of a model, got {error!r}") from None
