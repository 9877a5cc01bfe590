"""The prediction that is proposed, and how its words are written in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml


@dataclass(frozen=True, kw_only=True)
class ProposedPrediction:
    """Label, features, keys."""

    name: str
    owner: str
    task: str
    label: str
    positive: str | int | bool | None
    """None where the task has no positive class."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of `prediction` in workload.yaml."""
    horizon_hours: float = 0
    key: tuple[str, ...]
    event_time: str
    features: tuple[str, ...]
    """Columns as they are."""
    texts: tuple[str, ...] = ()
    """Those of them that are free text."""
    derived: tuple[dict[str, Any], ...] = ()
    """Calendars and histories, as workload.yaml has them."""
    split_column: str = ""
    """Where a column says which part a row belongs to."""
    is_in_time: bool = True
    """Whether the rows have times of their own, by which they are split."""
    is_in_order: bool = False
    """Whether rows without times are in the order of time, by which they are split."""
    image_side: int = 0
    """The shorter side of the images, in pixels; 0 without images."""

    @property
    def declared(self) -> tuple[str | dict[str, Any], ...]:
        """All features as workload.yaml has them: a name, or what more there is to say."""
        named = ({"name": name, "encoder": "text"} if name in self.texts else name for name in self.features)
        return (*named, *self.derived)

    @property
    def has_history(self) -> bool:
        return any("history" in feature for feature in self.derived)


def remark(text: str) -> list[str]:
    """A line of YAML that is none."""
    return ["# " + " ".join(text.split())]


def word(value: Any) -> str:
    """The value on one line of YAML."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=2**31, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("...").removesuffix("\n")
