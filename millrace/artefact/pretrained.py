"""A pre-trained part: a sentence encoder (BERT) in a safetensors file whose header says where it comes from.

    tensors     of float16, with the names that `millrace.models.sentence` gives them
    metadata    `part`: a JSON object of name, source, licence, heads, and the P pieces as a list

The vectors of the pieces (2 + P, D) begin with those of padding and of an unknown word. A piece within a word begins
with `##`. The header is read without numpy, so synthesis can check a file: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
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
    pieces: tuple[str, ...]
    sizes: tuple[int, int, int]
    """The numbers of a vector, the layers, and the heads of each."""


def read_pretrained(content: bytes, *, where: str) -> PretrainedFile:
    """The header of the part that is `content`. Raises ArtefactError, with `where` in front, for any other file."""
    size = int.from_bytes(content[:LENGTH_BYTES], "little")
    try:
        header = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + size])
        said: dict[str, Any] = json.loads(header["__metadata__"][METADATA])
        layers = {name.split(".")[1] for name in header if name.startswith("layers.")}
        rows, width = header[VECTORS]["shape"]
        found = PretrainedFile(
            origin=PretrainedOrigin(**{name: str(said[name]) for name in SAID}, digest=sha256(content).hexdigest()),
            pieces=tuple(map(str, said["pieces"])),
            sizes=(width, len(layers), int(said["heads"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{where}: expected a file of `millrace part`, got {error!r}") from None
    if len(set(found.pieces)) != rows - 2:
        raise ArtefactError(f"{where}: expected {rows - 2} different pieces, got {len(set(found.pieces))}")
    return found


def read_declared(content: bytes, *, digest: str, licence: str) -> PretrainedFile:
    """The header of the part. Raises ArtefactError for another digest (`sha256:…`) or another licence than declared."""
    if (came := f"sha256:{sha256(content).hexdigest()}") != digest:
        raise ArtefactError(f"{FIELD}: expected {digest}, got {came}")
    found = read_pretrained(content, where=FIELD)
    if found.origin.licence != licence:
        raise ArtefactError(f"{FIELD}: expected the licence {licence}, the file says {found.origin.licence}")
    return found
