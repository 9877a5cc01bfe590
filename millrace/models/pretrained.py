"""Puts a pre-trained sentence encoder into a network, and makes the vectors of training rows once for all epochs.

Axes: N rows, T pieces of a text, D numbers of a vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from millrace.artefact.pretrained import FIELD, PretrainedFile, read_declared
from millrace.errors import ArtefactError
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features
from millrace.features.tokens import FIRST, Tokens
from millrace.models.sentence import Sentence, SentenceEncoder, vector_name
from millrace.workload.training import Pretrained

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

ROWS_AT_ONCE = 128
"""Rows that are encoded together. They are sorted by length, so that few places are padding."""


@dataclass(frozen=True, kw_only=True)
class PretrainedEncoder:
    """The encoder, and what its file says of it."""

    file: PretrainedFile
    encoder: SentenceEncoder
    texts: tuple[str, ...]
    """The features that it is for: those of the encoder `tokens`."""

    def declare(self, features: Features) -> Features:
        """The encoders, those of the kind `tokens` with the pieces of the file. What they learn from rows is left."""
        given = {"pieces": self.file.pieces, "sentence": self.file.sizes}
        return tuple(replace(one, **given) if isinstance(one, Tokens) else one for one in features)  # type: ignore[arg-type]

    def apply(self, network: nn.Module) -> None:
        """Give the network's frozen encoders their weights."""
        for module in network.modules():
            if isinstance(module, Sentence):
                module.encoder.load_state_dict(self.encoder.state_dict())

    def vectors(self, tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float32]]:
        """The vectors (N, D) of each text's rows, by `vector_name`."""
        return {vector_name(name): self._vectors(tensors[name]) for name in self.texts}

    def _vectors(self, ids_NT: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        length_N, found_ND = (ids_NT > 0).sum(1), np.empty((len(ids_NT), self.file.sizes[0]), np.float32)
        order = np.argsort(length_N, kind="stable")
        with torch.no_grad():
            for rows in np.split(order, range(ROWS_AT_ONCE, len(order), ROWS_AT_ONCE)):
                ids = torch.from_numpy(ids_NT[rows, : max(1, length_N[rows].max(initial=0))])
                found_ND[rows] = self.encoder(ids).numpy()
        return found_ND


def encode(features: Features, rows: pa.Table, part: PretrainedEncoder | None) -> dict[str, npt.NDArray[Any]]:
    """The tensors (N, …) of rows that a training reads again and again: with the vectors of `part`, if there is one."""
    tensors = encoders.encode(features, rows)
    return tensors | part.vectors(tensors) if part else tensors


def read_encoder(content: bytes, declared: Pretrained, texts: tuple[str, ...]) -> PretrainedEncoder:
    """The encoder in the file that is `content`. Raises ArtefactError if it is not the declared one."""
    file = read_declared(content, digest=declared.digest, licence=declared.licence)
    encoder = SentenceEncoder(FIRST + len(file.pieces), *file.sizes).eval()
    try:
        encoder.load_state_dict({name: value.float() for name, value in load(content).items()})
    except (SafetensorError, RuntimeError) as error:
        raise ArtefactError(f"{FIELD}: expected the weights of an encoder, got {error}") from None
    return PretrainedEncoder(file=file, encoder=encoder, texts=texts)
