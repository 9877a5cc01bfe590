"""A pre-trained part: vectors of word pieces in a safetensors file whose header says where they come from.

    vectors     (P, D) of float16 or float32: one vector for each piece
    metadata    name, source, licence, and `pieces`: the P pieces as a JSON list

A piece that begins a word begins with `▁`. Single characters come first, then merged pairs in the order in which they
were learnt. The header is read without numpy, so synthesis can check a file: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from millrace.errors import ArtefactError

FIELD = "training.pretrained"
"""The key of workload.yaml that errors name."""
VECTORS = "vectors"
"""The one tensor of the file."""
DTYPES = ("F16", "F32")
SAID = ("name", "source", "licence")
"""What the metadata says in words."""
LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, in so many bytes."""
MOST_PIECES = 131_072
"""The most pieces. model.json has all of them."""


@dataclass(frozen=True, kw_only=True)
class PretrainedOrigin:
    """Where a pre-trained part comes from, as the artefact, the model card and the bill of materials say it."""

    name: str
    source: str
    """The package, page or training that the vectors come from."""
    licence: str
    """The SPDX id or the name of the licence."""
    digest: str
    """SHA-256 of the file, hexadecimal."""
    is_frozen: bool
    """Whether the vectors stayed as they were."""


@dataclass(frozen=True, kw_only=True)
class PretrainedFile:
    """The header of the file, and its digest."""

    name: str
    source: str
    licence: str
    digest: str
    pieces: tuple[str, ...]
    width: int
    """D, the numbers of a vector."""

    @property
    def characters(self) -> int:
        """How many of the pieces are single characters."""
        return next((place for place, piece in enumerate(self.pieces) if len(piece) > 1), len(self.pieces))

    def origin(self, *, is_frozen: bool) -> PretrainedOrigin:
        said = {name: getattr(self, name) for name in (*SAID, "digest")}
        return PretrainedOrigin(**said, is_frozen=is_frozen)


def read_pretrained(content: bytes, *, where: str) -> PretrainedFile:
    """The header of the part that is `content`.

    Raises ArtefactError, with `where` in front, for other bytes, and for a header that lacks something or whose pieces
    are not as many as the vectors."""
    found = _header(content, where)
    tensor, said = found.get(VECTORS, {}), found.get("__metadata__", {})
    if found.keys() - {"__metadata__"} != {VECTORS} or tensor["dtype"] not in DTYPES or len(tensor["shape"]) != 2:
        came = ", ".join(
            f"{name} {one.get('dtype')} {one.get('shape')}" for name, one in found.items() if "dtype" in one
        )
        expected = f"one tensor {VECTORS} (pieces, numbers) of {' or '.join(DTYPES)}"
        raise ArtefactError(f"{where}: expected {expected}, got {came or 'none'}")
    if missing := [name for name in (*SAID, "pieces") if not said.get(name)]:
        raise ArtefactError(f"{where}: metadata: expected {', '.join((*SAID, 'pieces'))}, missing {', '.join(missing)}")
    pieces, (count, width) = _pieces(said["pieces"], where), tensor["shape"]
    if not len(set(pieces)) == len(pieces) == count <= MOST_PIECES:
        expected = f"{count} different pieces, one for each vector, {MOST_PIECES} at most"
        raise ArtefactError(f"{where}: metadata: pieces: expected {expected}, got {len(set(pieces))}")
    return PretrainedFile(
        **{name: said[name] for name in SAID}, digest=hashlib.sha256(content).hexdigest(), pieces=pieces, width=width
    )


def packed(vectors: bytes, *, dtype: str, shape: tuple[int, int], said: Mapping[str, str], pieces: list[str]) -> bytes:
    """The file. Equal vectors make equal bytes; safetensors' own writer has no fixed order of metadata."""
    metadata = {**said, "pieces": json.dumps(pieces, ensure_ascii=False)}
    tensor = {"dtype": dtype, "shape": shape, "data_offsets": [0, len(vectors)]}
    header = json.dumps({"__metadata__": metadata, VECTORS: tensor}, ensure_ascii=False).encode()
    # Spaces bring the tensor to a multiple of eight bytes.
    header += b" " * (-len(header) % LENGTH_BYTES)
    return len(header).to_bytes(LENGTH_BYTES, "little") + header + vectors


def read_declared(content: bytes, *, digest: str, licence: str) -> PretrainedFile:
    """The header of the part. Raises ArtefactError for another digest (`sha256:…`) or another licence than declared."""
    if (came := f"sha256:{hashlib.sha256(content).hexdigest()}") != digest:
        raise ArtefactError(f"{FIELD}: expected {digest}, got {came}")
    found = read_pretrained(content, where=FIELD)
    if found.licence != licence:
        raise ArtefactError(f"{FIELD}: expected the licence {licence}, the file says {found.licence}")
    return found


def _header(content: bytes, where: str) -> dict[str, Any]:
    size = int.from_bytes(content[:LENGTH_BYTES], "little")
    try:
        found = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + size])
    except ValueError as error:
        raise ArtefactError(f"{where}: expected safetensors, got {error}") from None
    if not isinstance(found, dict):
        raise ArtefactError(f"{where}: expected safetensors, got another header")
    return found


def _pieces(text: str, where: str) -> tuple[str, ...]:
    try:
        pieces = json.loads(text)
    except ValueError as error:
        raise ArtefactError(f"{where}: metadata: pieces: expected a JSON list, got {error}") from None
    if not isinstance(pieces, list) or not all(isinstance(piece, str) and piece for piece in pieces):
        raise ArtefactError(f"{where}: metadata: pieces: expected a JSON list of texts, got something else")
    if [len(piece) > 1 for piece in pieces] != sorted(len(piece) > 1 for piece in pieces):
        raise ArtefactError(f"{where}: metadata: pieces: expected single characters first, got one behind a pair")
    return tuple(pieces)
