"""A pre-trained part: a frozen encoder of texts or images in a safetensors file whose header says where it comes from.

    tensors     of float16, with the names that the encoder's module gives them
    metadata    `part`: a JSON object of name, source, licence, `reads`, sizes, and the P pieces of a text as a list

The vectors of the pieces (2 + P, D) begin with those of padding and of an unknown word. A piece within a word begins
with `##`. The header is read without numpy, so synthesis can check a file: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from millrace.errors import ArtefactError

FIELD = "training.pretrained"
"""The key of workload.yaml that errors name."""
METADATA, VECTORS = "part", "vectors.weight"
"""The key of the header that has what the file says of itself, and the tensor of the pieces' vectors."""
SAID = ("name", "source", "licence")
"""What the metadata says in words."""
LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, in so many bytes."""


@dataclass(frozen=True, kw_only=True)
class PartKind:
    """What is known of all parts that read the same."""

    family: str
    """The family whose networks take it, beside what they learn themselves."""
    network: str
    """The encoder of a TensorSpec, by name: `<module>:<class>`. That module imports torch."""
    most_rows: int
    """The rows that it encodes together: so many fit into the cache of a processor, or into the memory of an answer."""
    row_s: float
    """The seconds of a row, among many, on one core: a sentence of eleven pieces, an image."""
    call_ms: int
    """The milliseconds of a call with one row, on one busy core, from which `workload.yaml.j2` takes a latency gate."""


KINDS: Mapping[str, PartKind] = {
    "tokens": PartKind(
        family="bag", network="millrace.models.sentence:SentenceEncoder", most_rows=128, row_s=0.005, call_ms=50
    ),
    "image": PartKind(family="cnn", network="millrace.models.backbone:Backbone", most_rows=16, row_s=0.006, call_ms=20),
}
"""By the encoder of the features that a part reads. Add a kind: one line here, and its network."""


@dataclass(frozen=True, kw_only=True)
class PretrainedOrigin:
    """Where a pre-trained part comes from, as the artefact, the model card and the bill of materials say it."""

    name: str
    source: str
    """The package, page or training that the weights come from."""
    licence: str
    """The SPDX id of the licence."""
    digest: str
    """SHA-256 of the file, hexadecimal."""


@dataclass(frozen=True, kw_only=True)
class PretrainedFile:
    """The header of the file, and its digest."""

    origin: PretrainedOrigin
    reads: str
    """The encoder of the features that it reads."""
    pieces: tuple[str, ...]
    """Those that texts are cut into; of images none."""
    sizes: tuple[int, ...]
    """The sizes of the encoder, as its module names them."""

    @property
    def kind(self) -> PartKind:
        return KINDS[self.reads]


def read_pretrained(content: bytes, *, where: str) -> PretrainedFile:
    """The header of the part that is `content`. Raises ArtefactError, with `where` in front, for any other file."""
    size = int.from_bytes(content[:LENGTH_BYTES], "little")
    try:
        header = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + size])
        said: dict[str, Any] = json.loads(header["__metadata__"][METADATA])
        found = PretrainedFile(
            origin=PretrainedOrigin(**{name: str(said[name]) for name in SAID}, digest=sha256(content).hexdigest()),
            reads=str(said["reads"]),
            pieces=tuple(map(str, said.get("pieces", ()))),
            sizes=tuple(map(int, said["sizes"])),
        )
        rows = header[VECTORS]["shape"][0] if found.kind is KINDS["tokens"] else 2
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{where}: expected a file of `millrace part`, got {error!r}") from None
    if len(set(found.pieces)) != rows - 2:
        raise ArtefactError(f"{where}: expected {rows - 2} different pieces, got {len(set(found.pieces))}")
    return found


def read_declared(content: bytes, *, digest: str, licence: str, family: str) -> PretrainedFile:
    """The header of the part.

    Raises ArtefactError for another digest (`sha256:…`) or another licence than declared, and for a part that the
    family does not take."""
    if (came := f"sha256:{sha256(content).hexdigest()}") != digest:
        raise ArtefactError(f"{FIELD}: expected {digest}, got {came}")
    found = read_pretrained(content, where=FIELD)
    if found.origin.licence != licence:
        raise ArtefactError(f"{FIELD}: expected the licence {licence}, the file says {found.origin.licence}")
    if found.kind.family != family:
        raise ArtefactError(f"{FIELD}: expected a part that the family {family} takes, got one for {found.kind.family}")
    return found
