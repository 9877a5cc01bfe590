"""A frozen sentence encoder: the mean of what BERT's layers make of a text's pieces, beside what a network learns.

Devlin et al. 2019, BERT (arXiv 1810.04805); the mean and its length of 1 by Reimers and Gurevych 2019, Sentence-BERT
(arXiv 1908.10084). Axes: N rows, T pieces of a text, D numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from millrace.features.signature import TensorSpec
from millrace.features.tokens import LONGEST_SENTENCE

EPSILON = 1e-12
"""What BERT adds to a variance."""


class SentenceEncoder(nn.Module):
    """The ids of a text (N, T) in; its vector of the length 1 (N, D) out, 0 for an empty text. Nothing of it learns."""

    def __init__(self, count: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(count, width)
        self.places_TD = nn.Parameter(torch.zeros(LONGEST_SENTENCE, width))
        self.norm = nn.LayerNorm(width, EPSILON)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", EPSILON, batch_first=True)
            for _ in range(layers)
        )
        self.requires_grad_(requires_grad=False)

    def forward(self, ids_NT: Tensor) -> Tensor:
        x = self.norm(self.vectors(ids_NT) + self.places_TD[: ids_NT.shape[1]])  # (N, T, D)
        # The first place is never hidden: the softmax of a text without any piece would be NaN.
        hidden_NT = (ids_NT == 0) & (torch.arange(ids_NT.shape[1], device=ids_NT.device) > 0)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=hidden_NT)  # (N, T, D)
        sum_ND: Tensor = (x * (ids_NT > 0)[:, :, None].float()).sum(1)
        # A running sum, as of the weights of `bag`: its bits do not depend on where a row lies in memory.
        return sum_ND / sum_ND.square().cumsum(1)[:, -1:].sqrt().clamp(min=EPSILON)


class Sentence(nn.Module):
    """The tensors of the rows in; the text's vector (N, D) out, its numbers of a deviation of about 0.5.

    A training keeps the vectors of its rows beside their ids, as `vector_name` names them."""

    def __init__(self, spec: TensorSpec) -> None:
        super().__init__()
        self.name, (self.width, layers, heads) = spec.name, spec.sentence
        self.encoder = SentenceEncoder(spec.cardinalities[0] or 1, self.width, layers, heads)

    def forward(self, tensors: Mapping[str, Tensor]) -> Tensor:
        kept_ND = tensors.get(vector_name(self.name))
        vectors_ND: Tensor = self.encoder(tensors[self.name]) if kept_ND is None else kept_ND
        # Log loss on the validation rows of `intents`, of all training rows and of 4 a class: with 0.5 .239 and .81,
        # with 0.7 .253 and .79, with 1 and with 0.25 more.
        return vectors_ND.mul(0.5 * self.width**0.5)


def vector_name(text: str) -> str:
    """The name beside the signature's tensors under which the vectors of a text's rows are kept."""
    return f"{text}.vector"
