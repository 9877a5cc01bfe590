"""A small pre-trained part with a header like that of MiniLM."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from safetensors.numpy import save

from millrace.artefact.pretrained import METADATA, VECTORS

PIECES = ["[CLS]", "[SEP]", "a", "##b"]


def small(vectors: int = len(PIECES) + 2, **said: Any) -> bytes:
    """A file with the header of a part, vectors of 8 numbers; without the weights of an encoder."""
    header = {"name": "small", "source": "a test", "licence": "MIT", "reads": "tokens", "sizes": [8, 1, 2]}
    header |= {"pieces": PIECES} | said
    return save({VECTORS: np.ones((vectors, 8), np.float16)}, {METADATA: json.dumps(header)})
