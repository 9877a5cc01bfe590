"""Keeps a promised error in time: the confidence from which answers act follows the labels that arrive.

A threshold that was found once holds for rows like those it was found on. On a stream that drifts it does not: of
answers for which 5 % was promised, 8.8 to 10.2 % were wrong. So each label moves the threshold, in log-odds:

    threshold += STEP · (wrong − promised)      a wrong answer raises it, a right one lowers it by less

Over a long time the share of wrong answers among those that act is then the promised one, whatever the stream does, as
the threshold stays bounded (arXiv 2106.00170, 2508.10336). Where no answer is good enough the threshold
rises above all of them, and nothing acts. The surest answers of a batch are learnt from even then, as if they had
acted, so that it comes down when the model has become better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

STEP = 0.05
"""How far one label moves the threshold, in log-odds per unit of error. Chosen on simulated streams."""
LEAST, MOST = 0.5, 0.9999
"""The bounds of the threshold."""
SUREST = 0.05
"""The share of a batch that is learnt from even if nothing acts."""
RETURN = 3
"""How many times as far such an answer moves it, and no further than to the least sure of them."""
ABOVE = 1.0
"""How far the threshold may rise above the surest answer of a batch, in log-odds: it has to come down again."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """An answer whose label has come."""

    confidence: float
    acted: bool
    """Whether the answer acted by itself."""
    error: float
    """1 if the answer was wrong, else 0."""
    weight: float = 1.0
    """How many answers it stands for, if only some labels were asked for."""


def follow(threshold: float | None, batch: Sequence[Labelled], *, promised: float) -> float | None:
    """The threshold after a batch of labels, in the order of their answers. None stays None without a label.

    `promised` is the largest share of the acting answers that may be wrong. Without a threshold the surest answer's
    confidence is the beginning."""
    if not batch:
        return threshold
    odds = sorted(_log_odds(one.confidence) for one in batch)
    sure, surest = odds[math.ceil(len(batch) * (1 - SUREST)) - 1], odds[-1]
    least = _log_odds(LEAST)
    at = max(surest if threshold is None else _log_odds(threshold), least)
    most = min(_log_odds(MOST), max(at, surest + ABOVE))
    for one in batch:
        own, moved = _log_odds(one.confidence), STEP * one.weight * (one.error - promised)
        if one.acted or own >= at:
            at = min(max(at + moved, least), most)
        elif own >= sure:
            at = min(max(at + RETURN * moved, sure, least), most)
    return 1 / (1 + math.exp(-at))


def _log_odds(confidence: float) -> float:
    inside = min(max(confidence, 1e-6), 1 - 1e-6)
    return math.log(inside / (1 - inside))
