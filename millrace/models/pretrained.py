"""Puts a pre-trained encoder into a network, and makes the vectors of training rows once for all epochs.

Axes: N rows, D numbers of a vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pkgutil import resolve_name
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from millrace.artefact.pretrained import FIELD, PretrainedFile, read_declared
from millrace.errors import ArtefactError
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features
from millrace.models.frozen import Encoder, Frozen, vector_name
from millrace.workload.training import Pretrained


@dataclass(frozen=True, kw_only=True)
class PretrainedEncoder:
    """The encoder, and what its file says of it."""

    file: PretrainedFile
    encoder: Encoder
    features: tuple[str, ...]
    """The features that it reads."""

    def declare(self, features: Features) -> Features:
        """The encoders, those that it reads with its sizes and pieces. What they learn from rows is left."""
        return _declared(features, self.file)

    def apply(self, network: nn.Module) -> None:
        """Give the network's frozen encoders their weights."""
        for module in network.modules():
            if isinstance(module, Frozen):
                module.encoder.load_state_dict(self.encoder.state_dict())

    def vectors(self, tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float32]]:
        """The vectors (N, D) of each feature's rows, by `vector_name`."""
        return {vector_name(name): self._vectors(tensors[name]) for name in self.features}

    def _vectors(self, rows_N: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        found_ND = np.empty((len(rows_N), self.encoder.width), np.float32)
        with torch.no_grad():
            for places, some in self.encoder.batches(rows_N, self.file.kind.most_rows):
                found_ND[places] = self.encoder(torch.from_numpy(some)).numpy()
        return found_ND


def encode(features: Features, rows: pa.Table, part: PretrainedEncoder | None) -> dict[str, npt.NDArray[Any]]:
    """The tensors (N, …) of rows that a training reads again and again: with the vectors of `part`, if there is one."""
    tensors = encoders.encode(features, rows)
    return tensors | part.vectors(tensors) if part else tensors


def read_encoder(content: bytes, declared: Pretrained, family: str, features: Features) -> PretrainedEncoder:
    """The encoder in the file that is `content`, for those of the features that it reads.

    Raises ArtefactError if it is not the declared one, or if the family does not take it."""
    file = read_declared(content, digest=declared.digest, licence=declared.licence, family=family)
    specs = [one.spec for one in _declared(features, file) if one.kind == file.reads]
    try:
        encoder: Encoder = resolve_name(file.kind.network)(specs[0]).eval()
        encoder.load_state_dict({name: value.float() for name, value in load(content).items()})
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise ArtefactError(f"{FIELD}: expected the weights of an encoder, got {error}") from None
    return PretrainedEncoder(file=file, encoder=encoder, features=tuple(spec.name for spec in specs))


def _declared(features: Features, file: PretrainedFile) -> Features:
    given: dict[str, Any] = {"pretrained": file.sizes} | ({"pieces": file.pieces} if file.pieces else {})
    return tuple(replace(one, **given) if one.kind == file.reads else one for one in features)
