"""A bag of n-grams: the mean of their vectors, weighted by how rare they are, beside the table's columns.

A frozen sentence encoder may read the texts too: its vectors are then beside the means.

An n-gram that no training text has gets the weight 0, so its untrained vector is never added. Axes: N rows, L ids of a
text, B different ids, D numbers of a vector, F numbers of the columns, W numbers out.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from millrace.features.signature import JOINED, Signature, TensorSpec
from millrace.models.bag.declaration import Bag
from millrace.models.columns import Columns
from millrace.models.frozen import Frozen
from millrace.models.moments import pieces
from millrace.models.sentence import SentenceEncoder


class NgramBag(nn.Module):
    """Ids (N, L) in, the weighted mean of their vectors (N, D) out."""

    rarity_B: Tensor
    """The inverse document frequency of each id. It is 0 for padding, and for an id that no training text has."""

    def __init__(self, name: str, buckets: int, dimension: int, dropout: float) -> None:
        super().__init__()
        self.dropout, self.width = dropout, dimension
        self.vectors = nn.Embedding(buckets, dimension)
        nn.init.normal_(self.vectors.weight, std=dimension**-0.5)
        self.register_buffer("rarity_B", torch.ones(buckets))

    def fit(self, ids_NL: Tensor) -> None:
        """Take the rarity of each id from the number of training texts that it occurs in."""
        # Each text has an id once, so counting ids counts texts.
        buckets = len(self.rarity_B)
        ids = (piece["ids"] for piece in pieces({"ids": ids_NL}))
        counts_B = torch.stack([torch.bincount(some[some > 0], minlength=buckets) for some in ids]).sum(0)
        rarity_B = torch.log((1 + len(ids_NL)) / (1 + counts_B.double())) + 1
        with torch.no_grad():
            self.rarity_B.copy_(torch.where(counts_B > 0, rarity_B, 0.0))

    def forward(self, ids_NL: Tensor) -> Tensor:
        weight_NL = self.rarity_B[ids_NL]  # (N, L)
        # Unit length, as for TF-IDF: a long text does not weigh more than a short one. A running sum adds one by one;
        # an engine's sum over a row adds in an order that depends on where the row lies in memory, so its bits vary.
        weight_NL = weight_NL / weight_NL.square().cumsum(1)[:, -1:].clamp(min=1.0).sqrt()
        # The plain way: ONNX has no operator for `embedding_bag`.
        if torch.compiler.is_exporting():
            gathered: Tensor = (self.vectors(ids_NL) * weight_NL[:, :, None]).sum(1)
            return gathered
        weight_NL = functional.dropout(weight_NL, self.dropout, self.training)
        # In one operator: the vectors (N, L, D) of all n-grams of a validation part would take gigabytes.
        return functional.embedding_bag(ids_NL, self.vectors.weight, mode="sum", per_sample_weights=weight_NL)


class BagNetwork(nn.Module):
    """Texts (N, L) of int64 in, with `numbers` and `categories` if there are any; raw numbers (N, W) out."""

    def __init__(self, parameters: Bag, signature: Signature, width: int) -> None:
        super().__init__()
        self.texts = [spec.name for spec in signature if spec.name not in JOINED]
        self.bags = nn.ModuleList(
            NgramBag(spec.name, spec.cardinalities[0] or 1, parameters.dimension, parameters.dropout)
            for spec in signature
            if spec.name not in JOINED
        )
        self.sentences = nn.ModuleList(_sentence(spec) for spec in signature if spec.pretrained)
        self.columns = Columns(signature)
        vectors = sum(sentence.width for sentence in self.sentences)  # type: ignore[misc]
        state = parameters.dimension * len(self.texts) + vectors + self.columns.width
        self.linear = nn.Linear(state, width)
        self.hidden = nn.Linear(state, parameters.hidden) if parameters.hidden else None
        self.head = nn.Linear(parameters.hidden, width, bias=False) if parameters.hidden else None

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        self.columns.fit(tensors, target_N)
        for name, bag in zip(self.texts, self.bags, strict=True):
            bag.fit(tensors[name])  # type: ignore[operator]

    def forward(self, **tensors: Tensor) -> Tensor:
        read = [bag(tensors[name]) for name, bag in zip(self.texts, self.bags, strict=True)]  # each (N, D)
        read += [sentence(tensors) for sentence in self.sentences]
        state = self.columns.beside(torch.cat(read, dim=1), tensors)  # all that is read, side by side
        raw_NW: Tensor = self.linear(state)  # (N, W)
        if self.hidden is not None and self.head is not None:
            raw_NW = raw_NW + self.head(functional.gelu(self.hidden(state)))
        return raw_NW


def _sentence(spec: TensorSpec) -> Frozen:
    # Log loss on the validation rows of `intents`, of all training rows and of 4 a class: with a deviation of 0.5 .239
    # and .81, with 0.7 .253 and .79, with 1 and with 0.25 more.
    encoder = SentenceEncoder(spec)
    return Frozen(spec.name, encoder, scale=0.5 * encoder.width**0.5)
