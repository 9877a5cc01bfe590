from __future__ import annotations

import pytest

from millrace.contract.schema import Column, Table
from millrace.errors import WorkloadError
from millrace.features.encoding import Feature, encoding, may_miss, width

TABLE = Table(
    name="rows",
    columns=(
        Column(name="n", kind="float64", required=True),
        Column(name="m", kind="int64"),
        Column(name="hue", kind="string", allowed=("red", "blue"), required=True),
        Column(name="new", kind="boolean"),
        Column(name="level", kind="int32", allowed=(1, 2), required=True),
        Column(name="text", kind="string"),
        Column(name="at", kind="timestamp"),
    ),
)


def test_each_kind_of_column_has_its_encoding() -> None:
    assert encoding(TABLE, ["hue", "n", "m", "new", "level"]) == (
        Feature(name="hue", categories=("red", "blue")),
        Feature(name="n"),
        Feature(name="m", optional=True),
        Feature(name="new", categories=(False, True), optional=True),
        Feature(name="level"),
    )


def test_the_width_counts_categories_and_the_word_that_a_number_is_missing() -> None:
    features = encoding(TABLE, ["hue", "n", "m"])
    assert (width(features), may_miss(features)) == (5, True)
    assert (width(features[:2]), may_miss(features[:2])) == (3, False)


@pytest.mark.parametrize("name", ["text", "at"])
def test_what_has_no_encoding_is_refused_by_name(name: str) -> None:
    with pytest.raises(WorkloadError, match=f"{name}: expected a feature that is a number"):
        encoding(TABLE, ["n", name])
