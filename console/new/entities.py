"""Looks for what rows are about: several rows of one patient, machine or state, or neighbours in an order of rows.

Where random rows hide it, the split is by it: a model that saw some rows of a patient knows the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.console.new.columns import LeftOut
from millrace.console.new.features import Features
from millrace.console.new.kinds import LABEL_KINDS, Classes
from millrace.console.new.reading import Reading
from millrace.console.new.roles import Choices
from millrace.console.new.words import is_identifier
from millrace.contract.kinds import FLOATS
from millrace.contract.rules.image import ImageFormat
from millrace.contract.schema import LINE
from millrace.evaluation.evidence import HiddenGroups
from millrace.evaluation.hidden import FEWEST_VALUES, find_entity, find_order


@dataclass(frozen=True, kw_only=True)
class Division:
    """By what rows are to be divided, and the sentence on it."""

    columns: tuple[str, ...]
    """The columns of the entity; empty where it is only said."""
    said: str
    pieces: int = 0
    """How many first pieces of the column's text name it; 0 for whole cells."""
    is_order: bool = False
    """Whether the rows are in an order."""


def find_division(reading: Reading, features: Features, accepted: pa.Table, given: Choices) -> Division | None:
    """What a split by single rows would hide; None where nothing is found, or where an option of `given` says it.

    A label that lies ahead is split by time, and images are not searched."""
    choices = reading.choices
    if choices.group:
        return Division(columns=choices.group, said=f"rows are about {' and '.join(choices.group)}: you said so")
    if choices.looks_ahead or choices.classes or any(column.find(ImageFormat) for column in reading.contract.columns):
        return None
    rows = accepted if reading.is_in_time else accepted.sort_by(LINE)
    rows = rows.filter(rows[reading.label.name].is_valid())
    target_N, inputs = _target(reading, rows), [name for name in features.columns if name not in features.texts]
    entity, in_order = None, reading.is_in_time or choices.is_in_order
    if not choices.has_no_group:
        others = {*reading.label_names, reading.event_time, LINE}
        names = sorted(set(rows.column_names) - others, key=lambda name: (not is_identifier(name), name))
        entity = find_entity(rows, target_N, inputs=inputs, candidates=names, is_in_time=in_order)
    # Where each class is one stretch of the file, it was sorted by the label, and later rows are of another class.
    is_sorted = target_N.dtype == np.int64 and bool((np.diff(target_N) >= 0).all())
    may_hide = not (reading.is_in_time or given.makes_time or given.event_time or is_sorted)
    order = find_order(rows, target_N, inputs=inputs) if may_hide else None
    if entity and not (order and order.apart > entity.apart):
        if entity.groups < FEWEST_VALUES:
            return Division(columns=(), said=_of_few(entity))
        return Division(columns=entity.columns, pieces=entity.pieces, said=_of_entity(entity, in_order))
    return Division(columns=(), said=_of_order(order), is_order=True) if order else None


def by_group(reading: Reading, features: Features, division: Division) -> tuple[Reading, Features]:
    """The reading whose rows are split by what these columns name, and the features without a name of new things."""
    columns = division.columns
    reason = f"names what a row is about, and a model is judged on new ones (--keep {columns[0]} takes it)"
    is_name = len(columns) == 1 and columns[0] in features.columns and columns[0] not in reading.choices.keep
    # The height of a place is read of a new one too.
    is_name = is_name and reading.contract.column(columns[0]).kind not in FLOATS
    gone = [LeftOut(name=columns[0], reason=reason)] if is_name else []
    return reading.about(columns, division.pieces), features.without(gone)


def _target(reading: Reading, rows: pa.Table) -> npt.NDArray[np.int64] | npt.NDArray[np.float64]:
    """The label as a number for each class, or as the amount that it is."""
    cells = rows[reading.label.name].combine_chunks()
    if isinstance(LABEL_KINDS[reading.guesses["kind"].value], Classes):
        return np.asarray(cells.dictionary_encode().indices.to_numpy(zero_copy_only=False), np.int64)
    return np.asarray(cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def _of_entity(found: HiddenGroups, in_order: bool) -> str:
    usual = "later rows, of whichever they are" if in_order else "random rows"
    return (
        f"rows of one {found.named} are alike ({found.groups:,} of them): {found.said}. So the split is by "
        f"{found.named}, for a model that meets new ones; where it will only ever meet these, --no-group takes {usual} "
        f"to test"
    )


def _of_few(found: HiddenGroups) -> str:
    return (
        f"warning: rows of one {found.named} are alike ({found.groups} of them): {found.said}. They are too few to "
        f"hold some back by chance, so the figures hold for these alone; --group {found.named} splits by them"
    )


def _of_order(found: HiddenGroups) -> str:
    return (
        f"neighbouring rows are alike: {found.said}. So they are taken for rows in the order of time, as by "
        "--rows-in-order; where their order means nothing, --no-event-time takes random rows to test"
    )
