"""The part of a workload's declaration that tasks read, as protocols.

`millrace/workload/declaration.py` has the whole declaration and describes each key. It imports the tasks, so tasks must
not import it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class DeclaredCosts(Protocol):
    """The keys of `policy.automate.costs` that tasks read."""

    @property
    def false_positive(self) -> float | None: ...

    @property
    def false_negative(self) -> float | None: ...

    @property
    def wrong(self) -> float | None: ...

    @property
    def classes(self) -> Mapping[str, float]: ...

    @property
    def pairs(self) -> Mapping[str, Mapping[str, float]]: ...


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
    def costs(self) -> DeclaredCosts | None: ...

    @property
    def constant(self) -> str | int | float | None: ...
