"""Find the run that works on a drop, by the drop's id."""

from __future__ import annotations

import re

from console.environment import Environment
from console.queries.runs import Run, find_run
from millrace.errors import RunError
from millrace.names import WorkloadNames
from millrace.state.claims import Claims
from millrace.state.table import StateTable

DROP_ID = re.compile("[0-9a-f]{64}")
"""A SHA-256 in hexadecimal digits."""


def claims_of(environment: Environment, names: WorkloadNames) -> Claims:
    """The records of which run has which drop. A record is kept for 30 days."""
    return Claims(StateTable(environment.client("dynamodb"), names))


def find_run_or_drop(environment: Environment, names: WorkloadNames, word: str) -> tuple[Run, str]:
    """The run of this name, and an empty text; or the run that has the drop of this id, and the id.

    Raises RunError if the word is neither."""
    states = environment.client("stepfunctions")
    try:
        return find_run(states, names, word), ""
    except RunError:
        claim = claims_of(environment, names).find(word) if DROP_ID.fullmatch(word) else None
        if claim is None:
            raise
    return find_run(states, names, names.execution_arn(claim.machine, claim.name)), word
