"""The part of a workload's declaration that tasks read, as protocols.

`millrace/workload/declaration.py` has the whole declaration and describes each key. It imports the tasks, so tasks must
not import it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class DeclaredFallback(Protocol):
    """The declared answer for the time when no model answers."""

    @property
    def probability(self) -> float | None: ...

    @property
    def value(self) -> str | int | float | None: ...


class DeclaredPrediction(Protocol):
    """The keys of `prediction` that tasks read."""

    @property
    def task(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def horizon_hours(self) -> float: ...

    @property
    def horizons_hours(self) -> tuple[float, ...]: ...

    @property
    def positive(self) -> str | bool | int: ...

    @property
    def threshold(self) -> float: ...

    @property
    def thresholds(self) -> Mapping[str, float]: ...

    @property
    def huber(self) -> float: ...

    @property
    def quantiles(self) -> tuple[float, ...]: ...

    @property
    def fallback(self) -> DeclaredFallback: ...
