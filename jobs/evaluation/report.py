"""evaluation.json: what the gates judge and people read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from jobs.evaluation.comparison import Comparison
from millrace.artefact.artefact import FrozenModel, Week, frozen_document, week_document
from millrace.evaluation.metrics import Bin


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds for one row in the engine."""

    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The live version and how the challenger compares with it."""

    model_version: str
    comparison: Comparison


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All figures are of the test days, which nothing of the model has seen."""

    rows: int
    test_from: str
    test_to: str
    """Exclusive."""
    accuracy: float
    log_loss: float
    auc: float | None
    ece: float
    baseline_accuracy: float
    baseline_log_loss: float | None
    """Of a rule that answers with a probability."""
    finite_weights: bool
    latency: Latency
    size_mb: float
    champion: Champion | None
    reliability: tuple[Bin, ...]
    weekly_error: tuple[Week, ...]
    """The test days' windows."""
    walk_forward: tuple[FrozenModel, ...]
    """How models of earlier days, left alone, fared up to the end of the test days."""

    def to_json(self) -> str:
        """The document; the figures of a model that answers NaN are NaN, which the gates refuse."""
        document = {
            "rows": {"test": self.rows},
            "split": {"from": self.test_from, "to": self.test_to},
            "metrics": {
                "accuracy": self.accuracy,
                "log_loss": self.log_loss,
                "auc": self.auc,
                "ece": self.ece,
                "baseline_accuracy": self.baseline_accuracy,
                **({} if self.baseline_log_loss is None else {"baseline_log_loss": self.baseline_log_loss}),
            },
            "finite_weights": self.finite_weights,
            "latency_ms": {"p50": self.latency.p50_ms, "p99": self.latency.p99_ms, "rows": 1},
            "size_mb": self.size_mb,
            "champion": _champion(self.champion) if self.champion else None,
            "reliability": [asdict(one) for one in self.reliability],
            "weekly_error": [week_document(week) for week in self.weekly_error],
            "walk_forward": [frozen_document(frozen) for frozen in self.walk_forward],
        }
        return json.dumps(document, indent=1)


def _champion(champion: Champion) -> dict[str, Any]:
    compared = champion.comparison
    return {
        "model_version": champion.model_version,
        "accuracy": compared.champion,
        "challenger_accuracy": compared.challenger,
        "rows": compared.rows,
        "difference": compared.difference,
        "lower_bound": compared.lower_bound,
    }
