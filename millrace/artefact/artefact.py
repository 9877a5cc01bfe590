"""A model artefact: the members of one `model.tar.gz`, allow-listed, bounded and checked against their digests.

    weights.safetensors   the weights, statistics and temperature
    model.onnx            the same as a graph: the signature's tensors in, one tensor `output` out
    model.json            what `Description` says
    history.json          the training curves

Nothing in it is ever unpickled, and nothing is extracted to a path that the archive names.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.errors import ArtefactError
from millrace.explanations import explained as explanations
from millrace.explanations.explained import Explained
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features
from millrace.features.signature import Signature
from millrace.tasks import catalogue as tasks
from millrace.tasks.task import Task

PADDING_BYTES = 64 * 1024
"""More than tar writes behind its last member."""

ARCHIVE = "model.tar.gz"
"""The name that SageMaker gives to the archive of a training job."""
EXTERNAL = "external"
"""What model.json names as the family of an external model, which was not trained here."""
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
class Week:
    """The mean error of the answers in one window of event time, as the task counts it."""

    start: str
    """ISO time, inclusive; `end` is exclusive."""
    end: str
    rows: int
    error: float


@dataclass(frozen=True, kw_only=True)
class FrozenModel:
    """How the error of a model that was not retrained moved in the windows after its training, as of a champion."""

    trained_until: str
    """ISO time: it has seen nothing from there on."""
    weeks: tuple[Week, ...]
    """Successive windows from there on."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """model.json: the model's inputs and answers, and what it was made from."""

    family: str
    parameters: Mapping[str, Any]
    features: Features
    """Fitted: all that is needed to encode a row."""
    task: Task
    label: str
    """The column that the answer is about."""
    temperature: float
    """1.0 where the task is not calibrated."""
    digests: Digests
    torch: str
    """The version that trained it."""
    rows_per_pass: RowsPerPass = field(default_factory=RowsPerPass)
    walk_forward: tuple[FrozenModel, ...]
    """Models of earlier days, the oldest first, judged up to the end of the test days."""
    seed_errors: tuple[float, ...] = ()
    """Mean errors on the test rows by the seed of the training, its own first; empty where no gate asks for others."""
    explained: Explained | None = None
    """None for a model of a workload without explanations, or of before they were made."""

    @property
    def signature(self) -> Signature:
        """The graph's inputs."""
        return encoders.signature(self.features)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What a row carries to the model: columns, and the past of histories."""
        return encoders.inputs(self.features)

    @property
    def columns(self) -> tuple[str, ...]:
        """The contract's columns that the model reads."""
        return encoders.columns(self.features)


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """The members as read, digests checked."""

    description: Description
    weights: bytes
    onnx: bytes
    history: bytes
    digest: str = field(default="", compare=False)
    """Of all members as they were read, as `digest_of` makes it; empty before they are written."""
    members: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The SHA-256 of each member as it was read; empty before they are written."""


def digests_of(contents: Mapping[str, bytes]) -> dict[str, str]:
    """The SHA-256 of each member, hexadecimal."""
    return {name: digest(content) for name, content in contents.items()}


def digest_of(members: Mapping[str, str]) -> str:
    """One SHA-256 over the names and digests of all members, in the order of their names.

    The registry keeps it: the platform unpacks the archive before a container sees it, so that the archive's own
    digest could not be compared there."""
    return digest("".join(f"{name} {members[name]}\n" for name in sorted(members)).encode())


def digest(content: bytes) -> str:
    """The SHA-256 of `content`, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def write_folder(folder: Path, artefact: Artefact) -> None:
    """Write the members; the platform makes model.tar.gz of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _members(artefact).items():
        (folder / name).write_bytes(content)


def write_archive(path: Path, artefact: Artefact) -> None:
    """Write model.tar.gz as the platform makes it of a folder; the same artefact is the same bytes."""
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for name, content in sorted(_members(artefact).items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def read_folder(folder: Path, *, approved: str = "") -> Artefact:
    """The artefact that lies unpacked in `folder`; `approved` is the digest that the registry keeps, if any.

    Raises ArtefactError for a member that is missing, unknown, no regular file, too large or altered."""
    contents: dict[str, bytes] = {}
    for path in sorted(folder.iterdir()):
        _allow(path.name, regular=path.is_file() and not path.is_symlink(), seen=contents)
        contents[path.name] = _bounded(path.name, path.stat().st_size, path.read_bytes)
    return _artefact(contents, where=str(folder), approved=approved)


def read_archive(path: Path, *, approved: str = "") -> Artefact:
    """The artefact in `path` (model.tar.gz), read in memory; raises ArtefactError as `read_folder`."""
    return _artefact(read_members(path), where=str(path), approved=approved)


def read_members(path: Path) -> dict[str, bytes]:
    """The members of the archive, whose digests nobody has checked yet; raises ArtefactError as `read_folder`."""
    contents: dict[str, bytes] = {}
    try:
        # As a stream (`|`), read once and in order: nothing is unpacked to a disk, where a member's path could lead
        # out.
        with gzip.open(path) as file, tarfile.open(fileobj=file, mode="r|", tarinfo=_Member) as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if member.isdir() and name in ("", "."):
                    continue
                _allow(name, regular=member.isreg(), seen=contents)
                content = archive.extractfile(member)
                assert content is not None  # a regular member
                contents[name] = _bounded(name, member.size, content.read)
            # To the end, where gzip keeps the checksum: others refuse an archive that is cut off behind its members.
            if len(file.read(PADDING_BYTES)) == PADDING_BYTES:
                raise ArtefactError(f"{path}: expected the end of the archive behind its members, got more")
    except (
        tarfile.TarError,
        zlib.error,
        EOFError,
        OSError,
        TypeError,
        ValueError,
        OverflowError,
        MemoryError,
    ) as error:
        # A header's numbers may be no numbers (`GNU.sparse.size` of "abc") or too large for a file; of a gzip header
        # that is cut off, tarfile reads a byte that is not there (TypeError).
        raise ArtefactError(f"{path}: expected a tar.gz, got {error}") from None
    return contents


class _Member(tarfile.TarInfo):
    """A member whose own headers, which tarfile reads into memory, are bounded as a member is."""

    HEADERS = (
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    )

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        found = super().frombuf(buf, encoding, errors)
        if found.type in cls.HEADERS and found.size > MB:
            raise tarfile.ReadError(f"a header of {found.size} bytes, expected at most {MB}")
        return found


def _members(artefact: Artefact) -> dict[str, bytes]:
    description = json.dumps(description_document(artefact.description), indent=1).encode()
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


def _artefact(contents: Mapping[str, bytes], *, where: str, approved: str) -> Artefact:
    if missing := sorted(MEMBERS.keys() - contents.keys()):
        raise ArtefactError(f"{where}: expected {', '.join(sorted(MEMBERS))}, missing {', '.join(missing)}")
    members = digests_of(contents)
    found = digest_of(members)
    if approved and found != approved:
        raise ArtefactError(f"{where}: expected the members that were approved, digest {approved}, got {found}")
    description = _description(contents["model.json"], where=where)
    for name, expected in (
        ("weights.safetensors", description.digests.weights),
        ("model.onnx", description.digests.onnx),
    ):
        if members[name] != expected:
            raise ArtefactError(f"{where}: {name}: expected digest {expected}, got {members[name]}")
    return Artefact(
        description=description,
        weights=contents["weights.safetensors"],
        onnx=contents["model.onnx"],
        history=contents["history.json"],
        digest=found,
        members=members,
    )


def description_document(description: Description) -> dict[str, Any]:
    """What model.json says."""
    return {
        "family": description.family,
        "parameters": description.parameters,
        "features": encoders.to_documents(description.features),
        "signature": [asdict(spec) for spec in description.signature],
        "task": tasks.to_document(description.task),
        "label": description.label,
        "calibration": {"temperature": description.temperature},
        "digests": asdict(description.digests),
        "torch": description.torch,
        "rows_per_pass": asdict(description.rows_per_pass),
        "walk_forward": [frozen_document(frozen) for frozen in description.walk_forward],
        "seed_errors": list(description.seed_errors),
        **({"explained": explanations.to_document(description.explained)} if description.explained else {}),
    }


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
        description = Description(
            family=document["family"],
            parameters=document["parameters"],
            features=encoders.from_documents(document["features"]),
            task=tasks.from_document(document["task"]),
            label=document["label"],
            temperature=float(document["calibration"]["temperature"]),
            digests=Digests(**document["digests"]),
            torch=document["torch"],
            # Models of before this field knew no bounds but the most rows of a pass.
            rows_per_pass=RowsPerPass(**document.get("rows_per_pass", {})),
            walk_forward=tuple(map(_frozen, document["walk_forward"])),
            seed_errors=tuple(map(float, document.get("seed_errors", ()))),  # models of before had none
            explained=explanations.from_document(document["explained"]) if "explained" in document else None,
        )
        signature = json.loads(json.dumps([asdict(spec) for spec in description.signature]))
        stored = document["signature"]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ArtefactError(f"{where}: model.json: expected a description of a model, got {error!r}") from None
    if stored != signature:
        raise ArtefactError(f"{where}: model.json: signature: expected that of its features {signature}, got {stored}")
    return description
