"""The reasons for which a query fails, in Athena's words."""

from __future__ import annotations


class QueryError(Exception):
    """The query ends as FAILED. The message is its StateChangeReason."""


class ScanLimitError(Exception):
    """The query would scan more bytes than its workgroup allows. It ends as CANCELLED."""


def denied(what: str, error: object) -> QueryError:
    """The error of a query that needs a call which the role of its caller may not make; `what` names the object.

    A query reads the catalogue and the files by the permissions of its caller."""
    return QueryError(f"PERMISSION_DENIED: {what}: {error}")
