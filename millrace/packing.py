"""Divides things in order into groups within bounds: messages of a batch, files of one file, rows of one part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Thing = TypeVar("Thing")
Bound = tuple[Callable[[Thing], int], int]
"""A measure of one thing, and the most that a group has of it."""


def packed(things: Iterable[Thing], *bounds: Bound[Thing], most: int | None = None) -> Iterator[list[Thing]]:
    """The things in order, in groups of at most `most` and within all bounds; each group takes as many as it can.

    What is beyond a bound alone is a group of its own."""
    group: list[Thing] = []
    sums = [0] * len(bounds)
    for thing in things:
        sums = [total + measure(thing) for total, (measure, _) in zip(sums, bounds, strict=True)]
        if group and (len(group) == most or any(total > bound for total, (_, bound) in zip(sums, bounds, strict=True))):
            yield group
            group, sums = [], [measure(thing) for measure, _ in bounds]
        group.append(thing)
    if group:
        yield group
