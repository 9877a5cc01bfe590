"""The ways in of workload.yaml beside requests and files: `stream: {}`. One that is not declared is not deployed."""

from __future__ import annotations

from millrace.workload.section import Section


class Jobs(Section):
    """Callers of the REST API may leave a request, and come back for its result."""


class Stream(Section):
    """Rows come as records of a stream, one in each."""
