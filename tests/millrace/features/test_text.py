"""Free text as ids: what is kept of a text, what is watched of it, and how much of it lies in an artefact."""

from __future__ import annotations

import os
import subprocess
import sys

import pyarrow as pa
import pytest

from millrace.contract.schema import Column, Table
from millrace.errors import WorkloadError
from millrace.features import catalogue
from millrace.features.text import SHORT_TEXT, Text
from millrace.features.tokens import FIRST, LONGEST, START, UNKNOWN, Tokens
from millrace.workload.declaration import Feature

REQUESTS = ["Book a table for two", "book a flight to Oslo", "what is the weather in Oslo?"]
LONG = [" ".join(f"w{word}" for word in range(SHORT_TEXT + 1))]


def fitted(texts: list[str | None]) -> Text:
    return Text(name="text", optional=True).fit(pa.table({"text": pa.array(texts, pa.string())}))


def encoded(encoder: Text, text: str) -> set[int]:
    return set(encoder.encode_one({"text": text})) - {0}


def test_the_ids_of_a_text_are_the_same_for_ever() -> None:
    """They are rows of a trained table: another hash would answer with other words' vectors."""
    assert Text(name="text").ids("No, no") == [7317, 5581, 44141, 33927, 30718, 62378, 39255, 63651, 65359]


def test_a_misspelt_word_shares_ngrams_of_characters_in_short_texts_only() -> None:
    short, long = fitted(REQUESTS), fitted(LONG)
    assert (short.is_short, long.is_short) == (True, False)
    assert encoded(short, "weather") & encoded(short, "wheather")
    assert not encoded(long, "weather") & encoded(long, "wheather")


def test_a_missing_and_an_empty_text_have_no_ids() -> None:
    encoder = fitted(REQUESTS)
    found = encoder.encode(pa.table({"text": [None, "", "book"]}))
    assert found.any(axis=1).tolist() == [False, False, True]


def test_a_text_that_is_called_like_a_joined_tensor_is_refused() -> None:
    column = Column(name="numbers", kind="string")
    with pytest.raises(WorkloadError, match="another name than numbers or categories for a text, got 'numbers'"):
        catalogue.declare([Feature(name="numbers", encoder="text")], Table(name="rows", columns=(column,)))


LOWER = ["low low low low low", "lower lower", "newest newest newest newest newest newest", "widest widest widest"]
"""The example of Sennrich et al. 2016, figure 1."""


def fitted_of_tokens(texts: list[str]) -> Tokens:
    return Tokens(name="text").fit(pa.table({"text": pa.array(texts, pa.string())}))


def test_the_most_frequent_pair_becomes_the_first_piece() -> None:
    encoder = fitted_of_tokens(LOWER)
    assert encoder.pieces is not None
    assert encoder.pieces[: encoder.characters] == tuple(sorted({*"lowernewestwidest", START}))
    # es and st occur nine times; of two pairs as frequent as each other the first in the alphabet is taken.
    assert encoder.pieces[encoder.characters : encoder.characters + 2] == ("es", "est")
    assert len(set(encoder.pieces)) == len(encoder.pieces)


def test_the_pieces_of_a_text_are_its_characters_in_order() -> None:
    encoder = fitted_of_tokens(LOWER)
    for text in ("lowest newer we low", "west"):
        pieces = ["?" if one == UNKNOWN else (encoder.pieces or ())[one - FIRST] for one in encoder.ids(text)]
        assert "".join(pieces).replace(START, " ").strip() == text


LEARN = """
import random, sys
import pyarrow as pa
from millrace.features.tokens import Tokens
texts = open("README.md").read().splitlines() * 3
random.Random(sys.argv[1]).shuffle(texts)
print(Tokens(name="text").fit(pa.table({"text": texts})))
"""


def test_neither_the_order_of_the_rows_nor_the_number_of_threads_matters() -> None:
    command = [sys.executable, "-c", LEARN]
    runs = [
        subprocess.run([*command, threads], env=os.environ | {"RAYON_NUM_THREADS": threads}, stdout=-1, check=True)
        for threads in "124"
    ]
    assert len({run.stdout for run in runs}) == 1


def test_padding_follows_and_a_long_text_is_cut() -> None:
    encoder = fitted_of_tokens(LOWER)
    assert encoder.length == 15  # "widest" three times, in five pieces
    assert encoder.encode_one({"text": "low"})[1:] == [0] * 14
    assert 0 not in encoder.encode_one({"text": "low " * 5000})
    assert fitted_of_tokens(["low " * 5000]).length == LONGEST
