"""The family that is proposed takes the inputs that it is proposed for."""

from __future__ import annotations

import pytest
import yaml

from console.new.families import Family, suited
from millrace.features.signature import Signature, TensorSpec
from millrace.models.catalogue import FAMILIES
from millrace.tasks.binary import Binary

NUMBERS = TensorSpec(name="numbers", dtype="float32", shape=(3,), optional=(False,) * 3)
WORDS = TensorSpec(name="note", dtype="int64", shape=(9,), cardinalities=(40,))
SCAN = TensorSpec(name="scan", dtype="uint8", shape=(1, 64, 64))
PAST = TensorSpec(name="past", dtype="float32", shape=(24, 2))


@pytest.mark.parametrize("rows", [500, 8_000, 50_000])
@pytest.mark.parametrize(
    ("signature", "family"),
    [
        ((NUMBERS,), "feedforward"),
        ((WORDS,), "bag"),
        ((SCAN,), "cnn"),
        ((PAST,), "gru"),
        ((NUMBERS, PAST), "gru"),
        ((NUMBERS, WORDS), "multimodal"),
        ((NUMBERS, SCAN), "multimodal"),
        ((WORDS, SCAN), "multimodal"),
        ((WORDS, PAST), "multimodal"),
        ((NUMBERS, WORDS, SCAN, PAST), "multimodal"),
    ],
)
def test_a_family_is_proposed_for_inputs_that_it_takes(signature: Signature, family: str, rows: int) -> None:
    found = proposed(signature, rows)
    assert found.name == family
    FAMILIES[family](**yaml.safe_load(found.parameters)).accepts(signature, Binary())


def test_the_smallest_images_are_large_enough_for_the_blocks_that_are_proposed() -> None:
    for side in (8, 47, 48):
        spec = TensorSpec(name="scan", dtype="uint8", shape=(1, side, 2 * side))
        found = proposed((NUMBERS, spec), 5_000)
        FAMILIES[found.name](**yaml.safe_load(found.parameters)).accepts((NUMBERS, spec), Binary())


def proposed(signature: Signature, rows: int) -> Family:
    return suited(
        rows=rows,
        image_side=next((min(spec.shape[1:]) for spec in signature if spec.dtype == "uint8"), 0),
        has_history=PAST in signature,
        texts=signature.count(WORDS),
        columns=signature.count(NUMBERS),
    )
