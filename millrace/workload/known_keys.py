"""The part `known_keys` of workload.yaml: which rows of each key the endpoint knows."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.workload.section import Section


class KnownKeys(Section):
    """The newest rows of each key: `{hours: 48}`. A request need not send the past of its rows."""

    hours: Annotated[float, Field(gt=0, le=24 * 366)]
    """The rows of a key that lie less than so many hours before its newest row; twice the longest history or more."""
