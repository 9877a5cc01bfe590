"""Who answered the rows of each monitored window, beside the windows before it; and refused rows of drops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import exp, lgamma

from millrace.console.environment import Environment
from millrace.console.queries.drops import Drop
from millrace.console.queries.money.work import DAY_S, MOST_DAYS
from millrace.console.queries.monitoring import MonitoredWindow
from millrace.console.words import spelled
from millrace.messages.served import ServedReport
from millrace.names import WorkloadNames

RATE = 0.01
"""A share is told if it is this unlikely after the windows before it. Rows of one hour resemble each other, so it is
told more often than that, and raises no alarm."""
NEGLIGIBLE = 1e-9


@dataclass(frozen=True, kw_only=True)
class ServedWindow:
    """One window whose report says who answered."""

    window: MonitoredWindow
    served: ServedReport
    unusual: tuple[str, ...]
    """What is more than the windows before it lead one to expect: `12.0% by fallback (asleep 40), 0.1% before`."""
    refused: Mapping[str, int]
    """Refused rows of the drops that came in these days, by reason; of the requests as `requests`."""

    @property
    def percentiles_ms(self) -> str:
        """`3.1 / 4.0 / 9.2`; empty if no call carried a row."""
        times = (self.served.p50_ms, self.served.p95_ms, self.served.p99_ms)
        return " / ".join(f"{one:,.1f}" for one in times if one is not None)


def find_rejected(
    environment: Environment, names: WorkloadNames, windows: Sequence[MonitoredWindow]
) -> Mapping[date, int]:
    """The refused rows of requests by the day on which they came, since the first of these windows."""
    if not windows:
        return {}
    # One call has 1,440 points at most.
    first, end = max(windows[0].start, windows[-1].end - timedelta(days=MOST_DAYS)), windows[-1].end
    answer = environment.client("cloudwatch").get_metric_statistics(
        Namespace=names.platform.metrics,
        MetricName="RejectedRows",
        Dimensions=[{"Name": "Workload", "Value": names.workload}],
        StartTime=datetime.combine(first, time(), UTC),
        EndTime=datetime.combine(end, time(), UTC),
        Period=DAY_S,
        Statistics=["Sum"],
    )
    return {point["Timestamp"].date(): int(point["Sum"]) for point in answer["Datapoints"]}


def served_windows(
    windows: Sequence[MonitoredWindow], drops: Sequence[Drop] = (), rejected: Mapping[date, int] | None = None
) -> tuple[ServedWindow, ...]:
    """The windows that say who answered, in the order of time."""
    found: list[ServedWindow] = []
    for window in windows:
        if (served := window.served) is None or not window.decisions:
            continue
        of_requests = sum(rows for day, rows in (rejected or {}).items() if window.start <= day < window.end)
        refused = Counter({"requests": of_requests} if of_requests else {})
        for drop in drops:
            if f"{window.start}" <= drop.as_of < f"{window.end}":
                refused.update({each.reason: each.rows for each in drop.reasons})
        unusual = tuple(_unusual(window, served, [(one.window.decisions, one.served) for one in found]))
        found.append(ServedWindow(window=window, served=served, unusual=unusual, refused=refused))
    return tuple(found)


def _unusual(
    window: MonitoredWindow, served: ServedReport, before: Sequence[tuple[int, ServedReport]]
) -> Iterator[str]:
    rows = sum(rows for rows, _ in before)
    for words, count, known in (
        ("by fallback", served.fallback, sum(one.fallback for _, one in before)),
        ("by people", served.review, sum(one.review for _, one in before)),
    ):
        if rows and count and probability(count, window.decisions, known, rows) <= RATE:
            why = ", ".join(f"{spelled(reason)} {number:,}" for reason, number in served.reasons.items())
            yield f"{count / window.decisions:.1%} {words} ({why}), {known / rows:.1%} in the windows before"


def probability(count: int, rows: int, known: int, history: int) -> float:
    """How likely `count` or more of `rows` are, after `known` of `history` rows.

    Laplace's rule of succession, as for the rows of a constant column: with a uniform prior on the share the number is
    beta-binomial."""
    start, end = known + 1, history - known + 1
    whole = lgamma(rows + 1) + lgamma(start + end) - lgamma(start) - lgamma(end) - lgamma(rows + start + end)
    total = 0.0
    for number in range(count, rows + 1):
        term = exp(
            whole
            - lgamma(number + 1)
            - lgamma(rows - number + 1)
            + lgamma(start + number)
            + lgamma(end + rows - number)
        )
        total += term
        # Above its mean the terms only fall.
        if term < NEGLIGIBLE and number * (history + 2) > rows * start:
            break
    return total
