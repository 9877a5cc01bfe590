"""What a task reads of the prediction that a workload declares: `millrace/workload/declaration.py` has all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class DeclaredFallback(Protocol):
    """What is answered while no model answers."""

    @property
    def probability(self) -> float | None: ...

    @property
    def value(self) -> str | int | float | None: ...


class DeclaredPrediction(Protocol):
    """The keys of `prediction`, each as it is described there."""

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
