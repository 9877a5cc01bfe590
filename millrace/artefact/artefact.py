"""Writes and reads a model artefact: the four members of one `model.tar.gz`.

    weights.safetensors   the weights, the statistics of the inputs, and the temperature
    model.onnx            the same model as a graph: the signature's tensors in, one tensor `output` out
    model.json            the `Description`: inputs, task, and what the model was made from
    history.json          the training curves

Readers take only these members, only up to their largest sizes, and compare their digests. Nothing is ever unpickled,
and nothing is extracted to a path that the archive names.
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

from millrace.artefact.pretrained import PretrainedOrigin
from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.errors import ArtefactError
from millrace.explanations.reference import Reference, reference_from
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features
from millrace.features.signature import Signature
from millrace.tasks import catalogue as tasks
from millrace.tasks.metrics import FrozenErrors, WindowError
from millrace.tasks.task import Task

PADDING_BYTES = 64 * 1024
"""More bytes than tar writes as padding behind its last member."""

ARCHIVE = "model.tar.gz"
"""The name that SageMaker gives to the archive of a training job."""
OUTPUT = "output"
"""The graph's output with the numbers of the answers."""
PARTS = {"mean": ("network", "trees"), "best": ("network", "trees", "linear model")}
"""Further outputs of a graph that has several models in it, by the hyperparameter `trees`. Torch's exporter calls other
values `linear`."""
MEAN = "mean of network and trees"
DISTANCE = "distance"
"""The output with the distance of a row from the training rows (N, 1), of a graph that measures it."""
EXTERNAL = "external"
"""The family in model.json of an external model, which was not trained here."""
MB = 1024 * 1024
MEMBERS = {"weights.safetensors": 512 * MB, "model.onnx": 512 * MB, "model.json": 8 * MB, "history.json": 8 * MB}
"""The members of every artefact, no fewer and no more, with the largest size of each in bytes."""


@dataclass(frozen=True, kw_only=True)
class Digests:
    """Digests of what the model was made from, and of what it is; SHA-256, hexadecimal.

    The first four are copied from the run, as its run.json has them."""

    data: str = ""
    contract: str = ""
    config: str = ""
    code: str = ""
    examples: str = ""
    """Of the rows that the training read (`digest_of_rows`); empty if the model was made elsewhere."""
    weights: str = ""
    """Of weights.safetensors; empty until the model is made."""
    onnx: str = ""
    """Of model.onnx."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """The content of model.json: the model's inputs and answers, and what it was made from."""

    family: str
    parameters: Mapping[str, Any]
    """The hyperparameters of the training."""
    features: Features
    """The fitted encoders: all that is needed to encode a row."""
    task: Task
    label: str
    temperature: float
    """What the outputs are divided by before the activation; 1.0 if the task is not calibrated."""
    digests: Digests
    torch: str
    """The version of torch that trained the model; empty for an external model."""
    rows_per_pass: RowsPerPass = field(default_factory=RowsPerPass)
    walk_forward: tuple[FrozenErrors, ...]
    """Models of earlier days, the oldest first, judged up to the end of the test days."""
    seed_errors: tuple[float, ...] = ()
    """The mean error on the test rows for each seed of the training, the model's own seed first.

    Empty if no gate asks for other seeds."""
    held_distances: tuple[float, ...] = ()
    """Distances of held-out rows from the training rows, in order; empty if the model measures none."""
    reference: Reference | None = None
    """The row that explanations compare with. None if the workload has no explanations, and for an external model."""
    pretrained: PretrainedOrigin | None = None
    """The pre-trained part that the model contains; None if it has none."""
    answers: str = ""
    """Who answers where the hyperparameter `trees` is `best`: MEAN, or one of PARTS alone."""

    @property
    def signature(self) -> Signature:
        """The tensors that the graph takes."""
        return encoders.signature(self.features)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of what a row carries to the model: columns, and the past of histories."""
        return encoders.inputs(self.features)

    @property
    def columns(self) -> tuple[str, ...]:
        """The contract's columns that the model reads."""
        return encoders.columns(self.features)


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """The members of an artefact as they were read, with their digests checked; or as they are to be written."""

    description: Description
    weights: bytes
    onnx: bytes
    history: bytes
    digest: str = field(default="", compare=False)
    """The `digest_of` all members as they were read; empty for an artefact that was not read."""
    members: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The SHA-256 of each member as it was read, by name; empty for an artefact that was not read."""


def digests_of(contents: Mapping[str, bytes]) -> dict[str, str]:
    """The SHA-256 of each member by its name, hexadecimal."""
    return {name: digest(content) for name, content in contents.items()}


def digest_of(members: Mapping[str, str]) -> str:
    """One SHA-256 over the names and digests of all members, in the order of their names; hexadecimal.

    The registry keeps this digest. The archive's own digest would be of no use in a container: the platform unpacks the
    archive before the container sees it."""
    return digest("".join(f"{name} {members[name]}\n" for name in sorted(members)).encode())


def digest(content: bytes) -> str:
    """The SHA-256 of `content`, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def write_folder(folder: Path, artefact: Artefact) -> None:
    """Write the members as files. The platform then makes model.tar.gz of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _members(artefact).items():
        (folder / name).write_bytes(content)


def write_archive(path: Path, artefact: Artefact) -> None:
    """Write model.tar.gz like the platform does from a folder. Equal artefacts give equal bytes."""
    # No name and no time in the header of gzip, and none in those of tar: they would differ from run to run.
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
    """The artefact that lies unpacked in `folder`.

    `approved` is the digest that the registry keeps, empty to compare none. Raises ArtefactError if the digest is
    another one, and for a member that is missing, unknown, no regular file, too large or altered."""
    contents: dict[str, bytes] = {}
    for path in sorted(folder.iterdir()):
        _allow(path.name, regular=path.is_file() and not path.is_symlink(), seen=contents)
        contents[path.name] = _bounded(path.name, path.stat().st_size, path.read_bytes)
    return _artefact(contents, where=str(folder), approved=approved)


def read_archive(path: Path, *, approved: str = "") -> Artefact:
    """The artefact in `path`, a model.tar.gz that is read in memory. Raises ArtefactError like `read_folder`."""
    return _artefact(read_members(path), where=str(path), approved=approved)


def read_members(path: Path) -> dict[str, bytes]:
    """The content of each member of the archive by its name. Their digests are not checked here.

    Raises ArtefactError for a file that is no tar.gz, and for a member that is unknown, no regular file, twice in the
    archive, or too large."""
    contents: dict[str, bytes] = {}
    try:
        # As a stream (`|`): members are read once, in order and in memory. Nothing is unpacked to a disk, where a path
        # in the archive could lead out of the folder.
        with gzip.open(path) as file, tarfile.open(fileobj=file, mode="r|", tarinfo=_Member) as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if member.isdir() and name in ("", "."):
                    continue
                _allow(name, regular=member.isreg(), seen=contents)
                content = archive.extractfile(member)
                assert content is not None  # a regular member
                contents[name] = _bounded(name, member.size, content.read)
            # Read to the end, where gzip has its checksum: other readers, such as the platform's tar, refuse an archive
            # that is cut off behind its members.
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
        # So many kinds, since tarfile does not check its headers: a number may be no number (`GNU.sparse.size` of
        # "abc") or too large for a file, and a byte of a cut gzip header may be missing (TypeError).
        raise ArtefactError(f"{path}: expected a tar.gz, got {error}") from None
    return contents


class _Member(tarfile.TarInfo):
    """A header of tar with a bounded size.

    tarfile reads headers of these types into memory as a whole, before a member's size could be checked."""

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
    """Raise ArtefactError for a member that is not on the list, no regular file, or one of `seen`."""
    if name not in MEMBERS:
        raise ArtefactError(f"{name}: expected one of {', '.join(sorted(MEMBERS))}")
    if not regular:
        raise ArtefactError(f"{name}: expected a regular file, got a link, a folder or a device")
    if name in seen:
        raise ArtefactError(f"{name}: expected once, came twice")


def _bounded(name: str, size: int, read: Callable[[], bytes]) -> bytes:
    """What `read` gives; raises ArtefactError if `size` is above the member's bound, before anything is read."""
    if size > MEMBERS[name]:
        raise ArtefactError(f"{name}: expected at most {MEMBERS[name]} bytes, got {size}")
    return read()


def _artefact(contents: Mapping[str, bytes], *, where: str, approved: str) -> Artefact:
    """The artefact of these members, checked from the outside in.

    All members must be there, then have the approved digest, then the digests that model.json names for them."""
    if missing := sorted(MEMBERS.keys() - contents.keys()):
        raise ArtefactError(f"{where}: expected {', '.join(sorted(MEMBERS))}, missing {', '.join(missing)}")
    members = digests_of(contents)
    found = digest_of(members)
    if approved and found != approved:
        raise ArtefactError(f"{where}: expected the members that were approved, digest {approved}, got {found}")
    description = read_description(contents["model.json"], where=where)
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
    """The description as model.json holds it."""
    return asdict(description) | {
        "features": encoders.to_documents(description.features),
        "signature": [asdict(spec) for spec in description.signature],
        "task": tasks.to_document(description.task),
    }


def _frozen(weeks: list[dict[str, Any]]) -> FrozenErrors:
    return FrozenErrors(weeks=tuple(WindowError(**week) for week in weeks))


def read_description(content: bytes, *, where: str) -> Description:
    """The description that model.json holds. Raises ArtefactError for another document.

    It also holds the signature, which must be the signature of its features."""
    try:
        document = json.loads(content)
        description = Description(
            family=document["family"],
            parameters=document["parameters"],
            features=encoders.from_documents(document["features"]),
            task=tasks.from_document(document["task"]),
            label=document["label"],
            temperature=float(document["temperature"]),
            digests=Digests(**document["digests"]),
            torch=document["torch"],
            rows_per_pass=RowsPerPass(**document["rows_per_pass"]),
            walk_forward=tuple(_frozen(frozen["weeks"]) for frozen in document["walk_forward"]),
            seed_errors=tuple(map(float, document["seed_errors"])),
            held_distances=tuple(map(float, document["held_distances"])),
            reference=reference_from(document["reference"]) if document["reference"] else None,
            pretrained=PretrainedOrigin(**document["pretrained"]) if document["pretrained"] else None,
            answers=str(document["answers"]),
        )
        # Through JSON, as tuples become lists there.
        signature = json.loads(json.dumps([asdict(spec) for spec in description.signature]))
        stored = document["signature"]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ArtefactError(f"{where}: model.json: expected a description of a model, got {error!r}") from None
    if stored != signature:
        raise ArtefactError(f"{where}: model.json: signature: expected that of its features {signature}, got {stored}")
    return description
