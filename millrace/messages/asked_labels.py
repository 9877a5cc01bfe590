"""The decisions whose labels a monitor run asks people for: those without a label, and those whose label it doubts."""

from __future__ import annotations

from typing import Any

from millrace.decisions.record import Source
from millrace.messages.envelope import Message, Moment

INPUT_BYTES = 200 * 1024
"""An input that is longer stays in the lake: an item of DynamoDB has 400 KB at most.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""


class AskedLabels(Message):
    """The labels that people were asked for: {"until": "1997-05-22T06:00:00Z", "chances": {"r-0-17": 0.31}}."""

    until: Moment
    """When nobody is asked any more."""
    chances: dict[str, float]
    """By the decision's id the chance with which it was chosen. 1 / chance is its weight."""


class LabelAsked(Message):
    """A decision whose label people are asked for."""

    id: str
    event_time: Moment
    key: dict[str, Any]
    input: str
    """Empty if it is too long for an item of the review queue."""
    source: Source


class LabelWanted(LabelAsked):
    """One whose label tells much about the error of its window."""

    chance: float
    """With which it was chosen."""
    is_known: bool
    """Whether its label has come already, so that nobody need be asked."""


class LabelDoubted(LabelAsked):
    """One whose label contradicts the model, so that it may be wrong."""

    label: Any
    """The label that has come."""
    doubt: float
    """Of classes the probability that the model gives to its own answer; of numbers the error over the usual one."""


class LabelErrorReport(Message):
    """The labels of judged windows that contradict the champion."""

    quota: int
    """People are asked about so many of them."""
    doubted: tuple[LabelDoubted, ...]
    """The worst first; more than `quota`, since nobody is asked again about a label that a person gave."""
