"""Puts the vectors of a pre-trained part into a network, in place of vectors that begin at random.

Axes: B ids of a text, D numbers of a vector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from millrace.artefact.pretrained import FIELD, VECTORS, PretrainedFile, PretrainedOrigin, read_declared
from millrace.errors import ArtefactError
from millrace.features.catalogue import Features
from millrace.features.tokens import FIRST, Tokens
from millrace.models.entrance import Entrance
from millrace.workload.training import Pretrained


@runtime_checkable
class TextTable(Protocol):
    """The interface of a network's module that looks up the ids of one text."""

    vectors: nn.Embedding
    entrance: Entrance

    def begin_with(self, vectors_BD: Tensor) -> None:
        """Take these vectors of all ids; called after `fit`."""


@dataclass(frozen=True, kw_only=True)
class PretrainedVectors:
    """The vectors, and what the file says of them."""

    file: PretrainedFile
    vectors_PD: Tensor
    is_frozen: bool
    """Whether the vectors stay as they are, so that only the rest of the network learns."""
    texts: tuple[str, ...]
    """The features that they are for: those of the encoder `tokens`."""

    @property
    def origin(self) -> PretrainedOrigin:
        return self.file.origin(is_frozen=self.is_frozen)

    def declare(self, features: Features) -> Features:
        """The encoders, those of the kind `tokens` with the pieces of the file. What they learn from rows is left."""
        pieces, characters = self.file.pieces, self.file.characters
        return tuple(
            replace(one, pieces=pieces, characters=characters) if isinstance(one, Tokens) else one for one in features
        )

    def apply(self, network: nn.Module) -> None:
        """Give the tables of the texts the vectors, so scaled that their mean length is 1; freeze them if declared.

        Padding and the id of unknown characters are 0. Raises ArtefactError for a network with other numbers."""
        length = self.vectors_PD.float().norm(dim=1).mean()
        vectors_BD = torch.cat([torch.zeros(FIRST, self.file.width), self.vectors_PD.float() / length])
        for table in (one for one in network.modules() if isinstance(one, TextTable)):
            if table.entrance.tensor not in self.texts:
                continue
            if table.vectors.weight.shape != vectors_BD.shape:
                came, expected = table.vectors.weight.shape[1], self.file.width
                raise ArtefactError(f"{FIELD}: expected training.parameters.dimension {expected}, got {came}")
            table.begin_with(vectors_BD.to(table.vectors.weight.device))
            table.vectors.weight.requires_grad_(not self.is_frozen)


def read_vectors(content: bytes, declared: Pretrained, texts: tuple[str, ...]) -> PretrainedVectors:
    """The vectors of the file that is `content`. Raises ArtefactError if it is not the declared one."""
    file = read_declared(content, digest=declared.digest, licence=declared.licence)
    try:
        vectors = load(content)[VECTORS]
    except SafetensorError as error:
        raise ArtefactError(f"{FIELD}: expected safetensors, got {error}") from None
    return PretrainedVectors(file=file, vectors_PD=vectors, is_frozen=declared.mode == "frozen", texts=texts)
