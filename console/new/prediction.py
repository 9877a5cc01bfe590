"""The proposed prediction, and how values and remarks are written in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml


@dataclass(frozen=True, kw_only=True)
class ProposedPrediction:
    """The proposed prediction: label, key, event time, features."""

    name: str
    owner: str
    task: str
    label: str
    positive: str | int | bool | None
    """None where the task has no positive class."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of `prediction` in workload.yaml."""
    horizon_hours: float = 0
    """How many hours after a row its label is known; 0 for the label of the row itself."""
    key: tuple[str, ...]
    event_time: str
    features: tuple[str, ...]
    """Columns that are features as they are."""
    texts: tuple[str, ...] = ()
    """The columns of `features` that are free text."""
    derived: tuple[dict[str, Any], ...] = ()
    """Calendars and histories, as workload.yaml has them."""
    split_column: str = ""
    """The column that says which part a row belongs to; "" without one."""
    is_in_time: bool = True
    """Whether the rows have times of their own, by which they are split."""
    is_in_order: bool = False
    """Whether rows without times are in the order of time, by which they are split."""
    image_side: int = 0
    """The shorter side of the images, in pixels; 0 without images."""

    @property
    def declared(self) -> tuple[str | dict[str, Any], ...]:
        """All features as workload.yaml has them: a name, or more, such as `{"name": "text", "encoder": "text"}`."""
        named = ({"name": name, "encoder": "text"} if name in self.texts else name for name in self.features)
        return (*named, *self.derived)

    @property
    def has_history(self) -> bool:
        return any("history" in feature for feature in self.derived)


def remark(text: str) -> list[str]:
    """The text as a comment of YAML, on one line."""
    return ["# " + " ".join(text.split())]


def word(value: Any) -> str:
    """The value in YAML, on one line."""
    # `safe_dump` ends a plain scalar with a line of three dots.
    text: str = yaml.safe_dump(value, default_flow_style=True, width=2**31, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("...").removesuffix("\n")
