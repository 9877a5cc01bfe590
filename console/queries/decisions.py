"""The decisions in the lake, read one day at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from millrace.aws.objects import entries_below
from millrace.console.environment import Environment
from millrace.decisions import store
from millrace.decisions.record import Decision
from millrace.decisions.scored import MOST_ROWS
from millrace.errors import EnvironmentNotFoundError
from millrace.names import WorkloadNames

COMPRESSED = 10
"""Absorbed lines have about so many times the bytes of their file."""


@dataclass(frozen=True, kw_only=True)
class Day:
    """The decisions about one day of event time."""

    day: date
    decisions: tuple[Decision, ...]
    """In the order of their event time."""
    unreadable: Mapping[str, int]
    """How many lines are not valid decisions, by the URI of their object."""


def day_named(option: str, text: str) -> date:
    """The day in ISO 8601. Raises EnvironmentNotFoundError if the text is no day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise EnvironmentNotFoundError(f"{option}: expected a day as 1997-05-01, got {text!r}") from None


def find_days(
    environment: Environment,
    names: WorkloadNames,
    *,
    first: date | None = None,
    last: date | None = None,
    most_scored: int = MOST_ROWS,
) -> Iterator[Day]:
    """The days of event time that have decisions, from `last` back to `first`, both included.

    Of each scored file about `most_scored` rows are read. With 0 only the decisions of requests are found."""
    client, bucket = environment.client("s3"), names.platform.bucket("lake")
    for day in _days(environment, names, first, last):
        found = store.read_days(client, bucket, names.workload, [day], most_scored=most_scored)
        # The objects are only searched if a line was unreadable: it means reading all of them again.
        keys = store.find_unreadable(client, bucket, names.workload, day) if found.unreadable else {}
        wrong = {f"s3://{bucket}/{key}": lines for key, lines in keys.items()}
        yield Day(day=day, decisions=found.decisions, unreadable=wrong)


def find_decision(
    environment: Environment, names: WorkloadNames, wanted: str, *, first: date | None = None, last: date | None = None
) -> store.LocatedDecision | None:
    """The decision with this id, searched from the newest day back; None if no day has it.

    An id does not say its day. Without `first` and `last`, every object may have to be read."""
    client, bucket = environment.client("s3"), names.platform.bucket("lake")
    return store.find_decision(client, bucket, names.workload, wanted, _days(environment, names, first, last))


def newest_decision(environment: Environment, names: WorkloadNames) -> store.LocatedDecision | None:
    """The last decision of the newest day that a model answered; None if that day has none."""
    client, bucket = environment.client("s3"), names.platform.bucket("lake")
    newest = _days(environment, names, None, None)[:1]
    found = store.read_days(client, bucket, names.workload, newest).decisions
    answered = [decision for decision in found if decision.model_version]
    if not answered:
        return None
    return store.find_decision(client, bucket, names.workload, answered[-1].id, newest)


def size_of_decisions(environment: Environment, names: WorkloadNames, month: str) -> int:
    """About how many bytes the lines of decisions about days of the month (yyyy-mm) have."""
    client, bucket, folder = environment.client("s3"), names.platform.bucket("lake"), f"{names.workload}/decisions"
    lines, files = (
        sum(int(entry["Size"]) for entry in entries_below(client, bucket, f"{folder}/{below}date={month}"))
        for below in ("", "absorbed/")
    )
    return lines + COMPRESSED * files


def _days(environment: Environment, names: WorkloadNames, first: date | None, last: date | None) -> list[date]:
    """The days with decisions, the newest first."""
    days = store.stored_days(environment.client("s3"), names.platform.bucket("lake"), names.workload)
    return sorted((day for day in days if (first or day) <= day <= (last or day)), reverse=True)
