"""The messages of the functions `withdrawal` and `erasure`: what a person takes out, and how much left."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from millrace.messages.envelope import ExecutionInput, Message

MOST_CELLS = 1000
"""The most people of one erasure: an audit record has a pseudonym of each, and 400 KB."""


class PersonsRequest(ExecutionInput):
    """What every request of a person says. `cause` names it: the function knows a repeated one by it."""

    by: str
    """The identity of the person who asks."""
    reason: Annotated[str, Field(min_length=1)]
    is_preview: bool = False
    """Only say what there is, and what would become of it; nothing changes."""


class WithdrawalRequest(PersonsRequest):
    """The drop whose rows are withdrawn.

    {"cause": "withdraw-5d7c39d7b8804f07", "as_of": "1997-06-01T06:00:00Z", "reason": "a typing error in the year",
     "by": "arn:aws:iam::123456789012:user/operator", "drop": "electricity/training/1996-05.parquet"}"""

    drop: str
    """A key in the landing bucket. Every row of every version of the object is withdrawn; rows that it only labelled
    get their earlier label."""


class ErasureRequest(PersonsRequest):
    """The cells of a key whose people are erased. The same request again goes on where the one before ended.

    {"cause": "erase-5d7c39d7b8804f07", "reason": "ticket 4711", "column": "customer", "cells": ["c-1783"], …}"""

    # An error must not repeat a cell: it would stand in the log.
    model_config = ConfigDict(hide_input_in_errors=True)

    column: str
    """A column of a key of the contract's rows, or of their entity."""
    cells: Annotated[tuple[str, ...], Field(max_length=MOST_CELLS)] = ()
    pseudonyms: Annotated[tuple[str, ...], Field(max_length=MOST_CELLS)] = ()
    """In place of cells: of people who were erased, so that those are erased again whom a backup has brought back."""


class Withdrawn(Message):
    """The answer: how many rows left the tables `rows` and `labels`, and how many have their earlier label again.

    {"rows": 1488, "labels": 0, "relabelled": 0}"""

    rows: int
    labels: int
    relabelled: int = 0
    """Rows of `rows` that the withdrawn label file had corrected."""


class ErasedStore(Message):
    """What became of a store: {"store": "lake/decisions", "removed": 2, "left": 0}."""

    store: str
    removed: int
    """Records, objects or items."""
    left: int
    """The versions of objects and the items that a second look found; of a preview the only one."""


class Erased(Message):
    """What left the stores. It stands in the audit, so it names nobody."""

    column: str
    """The column of the key."""
    pseudonyms: tuple[str, ...] = ()
    """Of column and cell, each as `millrace.state.erasures` makes it."""
    stores: tuple[ErasedStore, ...] = ()
    """Those that had something."""
    versions: tuple[str, ...] = ()
    """The tags of the dataset versions that had rows, which are gone. A tag is the name of a training's run."""


class ErasureAnswer(Erased):
    """The answer."""

    is_done: bool
    """False: the function's time was over; the same request goes on."""
