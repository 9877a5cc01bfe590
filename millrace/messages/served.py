"""Who answered the rows of a monitor's window, and how fast: a part of the monitor's report."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.messages.envelope import Message


class ServedReport(Message):
    """For example {"fallback": 48, "review": 12, "reasons": {"no_model": 48, "unsure": 12}, "calls": 7, …}.

    Rows of a file belong to no call."""

    fallback: int
    """Rows that no model answered."""
    review: int
    """Rows that a person decides."""
    reasons: Mapping[str, int]
    """Of both, how many by the reason, the most frequent first."""
    calls: int
    p50_ms: float | None = None
    """The time of a call; None without one."""
    p95_ms: float | None = None
    p99_ms: float | None = None
