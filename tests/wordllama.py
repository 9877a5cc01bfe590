"""A pre-trained part that a package ships: wordllama's 32,000 vectors of 256 numbers, under the MIT licence."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from millrace.artefact.pretrained import PretrainedFile
from millrace.console.actions.part import make_part

WIDTH = 256
RECIPE = {
    "dimension": WIDTH,
    "epochs": 40,
    "patience": 40,
    "batch_size": 32,
    "learning_rate": 0.03,
    "schedule": "cosine",
    "seed": 7,
}
"""The parameters of the family `bag` that suit frozen vectors."""


def write(path: Path) -> PretrainedFile:
    """Write the part to `path`; its header."""
    spec = find_spec("wordllama")
    assert spec is not None
    assert spec.origin is not None
    home = Path(spec.origin).parent
    return make_part(
        home / "weights" / "l2_supercat_256.safetensors",
        home / "tokenizers" / "l2_supercat_tokenizer_config.json",
        path,
        name="l2_supercat_256",
        source=f"wordllama {version('wordllama')}",
        licence="MIT",
    )
