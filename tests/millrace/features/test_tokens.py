"""Word pieces: how they are learnt, what a text becomes, and what is watched of it."""

from __future__ import annotations

import random

import pyarrow as pa

from millrace.features.tokens import FIRST, LONGEST, START, UNKNOWN, Tokens

LOWER = ["low low low low low", "lower lower", "newest newest newest newest newest newest", "widest widest widest"]
"""The example of Sennrich et al. 2016, figure 1."""


def fitted(texts: list[str]) -> Tokens:
    return Tokens(name="text").fit(pa.table({"text": pa.array(texts, pa.string())}))


def pieces_of(encoder: Tokens, text: str) -> list[str]:
    return ["?" if one == UNKNOWN else (encoder.pieces or ())[one - FIRST] for one in encoder.ids(text)]


def test_the_most_frequent_pair_becomes_the_first_piece() -> None:
    encoder = fitted(LOWER)
    assert encoder.pieces is not None
    assert encoder.pieces[: encoder.characters] == tuple(sorted({*"lowernewestwidest", START}))
    # es and st occur nine times; of two pairs as frequent as each other the first in the alphabet is taken.
    assert encoder.pieces[encoder.characters : encoder.characters + 2] == ("es", "est")
    assert len(set(encoder.pieces)) == len(encoder.pieces)


def test_the_pieces_of_a_text_are_its_characters_in_order() -> None:
    encoder = fitted(LOWER)
    for text in ("lowest newer we low", "west"):
        assert "".join(pieces_of(encoder, text)).replace(START, " ").strip() == text


def test_the_order_of_the_rows_does_not_matter() -> None:
    texts = [*LOWER, "a rose is a rose is a rose"] * 3
    first = fitted(texts)
    for seed in range(3):
        assert fitted(random.Random(seed).sample(texts, len(texts))) == first


def test_padding_follows_and_a_long_text_is_cut() -> None:
    encoder = fitted(LOWER)
    assert encoder.length == 15  # "widest" three times, in five pieces
    assert encoder.encode_one({"text": "low"})[1:] == [0] * 14
    assert 0 not in encoder.encode_one({"text": "low " * 5000})
    assert fitted(["low " * 5000]).length == LONGEST
