"""How far corrected labels can have moved the error of a model: of classes, and of numbers."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pytest

from millrace.contract.load import load_contract
from millrace.datasets.label_change import LabelChange, compare
from millrace.datasets.tables import Lake
from millrace.names import WorkloadNames
from millrace.workload.load import load_workload

WORKLOADS = Path(__file__).parents[3] / "workloads"


def compared(names: WorkloadNames, then: list[float | None], now: list[float | None], *, workload: str) -> LabelChange:
    """The change of the labels of hours, each with its label then and now."""
    spec = load_workload(WORKLOADS / workload).prediction
    hours = pa.array(range(len(then)), pa.timestamp("us"))
    (label,) = spec.label_columns
    before, after = (pa.table({"timestamp": hours, label: values}) for values in (then, now))
    # In another order, with a row more: rows are compared by their key.
    more = pa.table(
        {"timestamp": pa.array([99], pa.timestamp("us")), label: pa.array([7], after.schema.field(label).type)}
    )
    after = pa.concat_tables([more, after.take(pa.array(range(len(then) - 1, -1, -1)))])
    return compare(Lake(names, load_contract(WORKLOADS / workload)), spec, [(before, after)])


@pytest.mark.parametrize(
    ("now", "corrected", "moved"),
    [
        ([0.0, 10.0, 0.0, 10.0], 0, 0.0),
        ([0.0, 10.0, 0.0, 11.0], 1, 0.25),
        ([10.0, 0.0, 10.0, 0.0], 4, 2.0),
        ([0.0, 10.0, 0.0, 5010.0], 1, 250.0),
    ],
    ids=["none", "a little", "inverted", "one of them far"],
)
def test_numbers_move_the_error_by_their_distance_beside_their_spread(
    names: WorkloadNames, now: list[float | None], corrected: int, moved: float
) -> None:
    """Each of these labels is 5 away from their mean. The share of the corrected rows is the least."""
    found = compared(names, [0.0, 10.0, 0.0, 10.0], now, workload="air_quality")
    assert (found.labelled, found.corrected) == (4, corrected)
    assert found.moved == pytest.approx(moved)


@pytest.mark.parametrize("lost", [None, math.inf, math.nan], ids=str)
def test_a_number_that_is_lost_counts_in_the_share_and_is_named(names: WorkloadNames, lost: float | None) -> None:
    found = compared(names, [0.0, 10.0, 0.0, 10.0], [0.0, 10.0, 0.0, lost], workload="air_quality")
    assert (found.corrected, found.share, found.moved, found.unmeasured) == (1, 0.25, 0.25, 1)
    assert found.first_unmeasured.startswith("timestamp 1970-01-01 00:00:00.000003, ")
    assert found.first_unmeasured.endswith(f" {math.nan if lost is None else lost}, before 10.0")


@pytest.mark.parametrize("stored", [math.inf, -math.inf, math.nan], ids=str)
def test_a_number_that_was_not_finite_holds_nothing_as_long_as_it_stays(names: WorkloadNames, stored: float) -> None:
    """The others are measured beside it."""
    same = compared(names, [0.0, 10.0, 0.0, 10.0, stored], [0.0, 10.0, 0.0, 10.0, stored], workload="air_quality")
    assert (same.corrected, same.moved, same.unmeasured) == (0, 0.0, 0)
    moved = compared(names, [0.0, 10.0, 0.0, 10.0, stored], [0.0, 10.0, 0.0, 15.0, stored], workload="air_quality")
    assert (moved.corrected, moved.moved, moved.unmeasured) == (1, pytest.approx(0.25), 0)
    mended = compared(names, [0.0, 10.0, 0.0, 10.0, stored], [0.0, 10.0, 0.0, 10.0, 4.0], workload="air_quality")
    assert (mended.corrected, mended.moved, mended.unmeasured) == (1, 0.2, 1)


def test_the_largest_numbers_have_a_finite_distance(names: WorkloadNames) -> None:
    found = compared(names, [0.0, 1.5e308, 0.0, 1.5e308], [1.5e308, 0.0, 1.5e308, 0.0], workload="air_quality")
    assert found.moved == pytest.approx(2.0)


def test_labels_without_spread_that_move_have_no_bound(names: WorkloadNames) -> None:
    assert compared(names, [3.0, 3.0], [3.0, 4.0], workload="air_quality").moved is None
    assert compared(names, [3.0, 3.0], [3.0, 3.0], workload="air_quality").moved == 0.0


def test_a_row_that_had_no_label_has_none_that_changes(names: WorkloadNames) -> None:
    found = compared(names, [None, 10.0, 0.0, 10.0], [4.0, 10.0, 0.0, 10.0], workload="air_quality")
    assert (found.labelled, found.corrected, found.moved) == (3, 0, 0.0)


def test_of_classes_the_share_of_the_rows_counts(names: WorkloadNames) -> None:
    found = compared(names, [0, 1, 0, 1], [0, 1, 0, 0], workload="electricity")
    assert (found.labelled, found.corrected, found.share, found.moved) == (4, 1, 0.25, 0.25)
