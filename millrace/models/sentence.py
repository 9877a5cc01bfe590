"""A frozen sentence encoder: the mean of what BERT's layers make of a text's pieces, beside what a network learns.

Devlin et al. 2019, BERT (arXiv 1810.04805); the mean and its length of 1 by Reimers and Gurevych 2019, Sentence-BERT
(arXiv 1908.10084). Axes: N rows, T pieces of a text, D numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from millrace.features.signature import TensorSpec
from millrace.features.tokens import LONGEST_SENTENCE

EPSILON = 1e-12
"""What BERT adds to a variance."""


class SentenceEncoder(nn.Module):
    """The ids of a text (N, T) in; its vector of the length 1 (N, D) out, 0 for an empty text. Nothing of it learns.

    Its sizes are D, the number of layers, and the heads of each."""

    def __init__(self, spec: TensorSpec) -> None:
        super().__init__()
        self.width, layers, heads = spec.pretrained
        self.vectors = nn.Embedding(spec.cardinalities[0] or 1, self.width)
        self.places_TD = nn.Parameter(torch.zeros(LONGEST_SENTENCE, self.width))
        self.norm = nn.LayerNorm(self.width, EPSILON)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(self.width, heads, 4 * self.width, 0.0, "gelu", EPSILON, batch_first=True)
            for _ in range(layers)
        )

    def forward(self, ids_NT: Tensor) -> Tensor:
        x = self.norm(self.vectors(ids_NT) + self.places_TD[: ids_NT.shape[1]])  # (N, T, D)
        # The first place is never hidden: the softmax of a text without any piece would be NaN.
        hidden_NT = (ids_NT == 0) & (torch.arange(ids_NT.shape[1], device=ids_NT.device) > 0)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=hidden_NT)  # (N, T, D)
        sum_ND: Tensor = (x * (ids_NT > 0)[:, :, None].float()).sum(1)
        # A running sum, as of the weights of `bag`: its bits do not depend on where a row lies in memory.
        return sum_ND / sum_ND.square().cumsum(1)[:, -1:].sqrt().clamp(min=EPSILON)

    def batches(
        self, ids_NT: npt.NDArray[np.int64], size: int
    ) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]]:
        """Rows that are encoded together, and their ids. They are sorted by length, so that few places are padding."""
        length_N = (ids_NT > 0).sum(1)
        order = np.argsort(length_N, kind="stable")
        for rows in np.split(order, range(size, len(order), size)):
            yield rows, ids_NT[rows, : max(1, length_N[rows].max(initial=0))]
