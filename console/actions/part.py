"""Make a pre-trained part: vectors of word pieces in one file, with its licence and source in the header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from millrace.artefact.pretrained import PretrainedFile, packed, read_pretrained
from millrace.errors import ConfigurationError
from millrace.features.tokens import START


def make_part(table: Path, tokenizer: Path, output: Path, *, name: str, source: str, licence: str) -> PretrainedFile:
    """Write the part, and return its header.

    `table` is a safetensors file with one table of vectors, of which row k belongs to the token k. `tokenizer` is a
    tokenizer.json with byte-pair encoding whose words begin with `▁`. Special tokens such as `<s>` are left out.

    Raises ConfigurationError for other files. The header is refused, as ArtefactError, without a name or a licence."""
    from safetensors.numpy import load_file

    vectors = [one for one in load_file(table).values() if one.ndim == 2 and one.dtype in (np.float16, np.float32)]
    if len(vectors) != 1:
        raise ConfigurationError(
            where=str(table), field="(tensors)", expected="one table of vectors, float16 or float32", came=len(vectors)
        )
    ids = _ids(json.loads(tokenizer.read_text()), str(tokenizer))
    # Pieces have the order in which pairs are merged, single characters first: the encoder's ids are ranks.
    pieces = sorted((one for one in ids if not _is_special(one)), key=lambda one: (len(one) > 1, ids[one]))
    if (most := max(ids.values())) >= len(vectors[0]):
        expected = f"at least {most + 1} vectors, one for each token"
        raise ConfigurationError(where=str(table), field="(rows)", expected=expected, came=len(vectors[0]))
    kept = vectors[0][[ids[one] for one in pieces]]
    said = {"name": name, "source": source, "licence": licence}
    dtype, shape = "F16" if kept.dtype == np.float16 else "F32", (len(pieces), kept.shape[1])
    content = packed(
        kept.astype(kept.dtype.newbyteorder("<")).tobytes(), dtype=dtype, shape=shape, said=said, pieces=pieces
    )
    header = read_pretrained(content, where=str(output))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(content)
    return header


def _ids(document: dict[str, Any], where: str) -> dict[str, int]:
    model = document.get("model", {})
    vocabulary: dict[str, int] = model.get("vocab", {}) if model.get("type") == "BPE" else {}
    if not any(piece.startswith(START) and len(piece) > 1 for piece in vocabulary):
        expected = f"byte-pair encoding (BPE) whose words begin with {START}"
        raise ConfigurationError(where=where, field="model", expected=expected, came=model.get("type"))
    return vocabulary


def _is_special(piece: str) -> bool:
    """Whether it stands for no text: `<s>`, or `<0x0A>`, a byte of a character without a piece."""
    return len(piece) > 2 and piece.startswith("<") and piece.endswith(">")
