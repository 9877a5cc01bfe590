"""The incidents of a workload, from opened to closed, as its audit tells them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from millrace.errors import ConfigurationError
from millrace.messages.audit import IncidentClosed, IncidentOpened
from millrace.state.audit import Record


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One incident."""

    opened_at: datetime
    opened: IncidentOpened
    closed: IncidentClosed | None


def find_incidents(records: Iterable[Record]) -> Mapping[str, Incident]:
    """By its id each incident that the records tell of, in their order."""
    said = [(one.as_of, one.details) for one in records]
    closed = {one.incident: one for _, one in said if isinstance(one, IncidentClosed)}
    return {
        one.incident: Incident(opened_at=at, opened=one, closed=closed.get(one.incident))
        for at, one in said
        if isinstance(one, IncidentOpened)
    }


def find_open(incidents: Mapping[str, Incident], wanted: str) -> Incident:
    """The open incident whose id begins so. Raises ConfigurationError if that is not exactly one."""
    still = {name: one for name, one in incidents.items() if not one.closed}
    meant = [name for name in incidents if name.startswith(wanted)]
    if len(found := [still[name] for name in meant if name in still]) != 1:
        came = wanted + "".join(f", closed by {closed.by}" for name in meant if (closed := incidents[name].closed))
        expected = f"the id of an open one: {', '.join(still) or 'none is open'}"
        raise ConfigurationError(where="incident", field="ID", expected=expected, came=came)
    return found[0]
