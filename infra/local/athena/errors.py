"""Why a query fails, in Athena's words."""

from __future__ import annotations


class QueryError(Exception):
    """A query that ends as FAILED; the message is its StateChangeReason."""


class ScanLimitError(Exception):
    """A query that would scan more than its workgroup allows; it ends as CANCELLED."""


def denied(what: str, error: object) -> QueryError:
    """A call that the caller's role may not make: a query reads the catalogue and the files in the caller's name."""
    return QueryError(f"PERMISSION_DENIED: {what}: {error}")
