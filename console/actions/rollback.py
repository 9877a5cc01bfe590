"""Bring an earlier version back, or restore the live version's endpoint: a person starts the machine `release`."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from millrace.console.actions.approve import find_package
from millrace.console.environment import Environment
from millrace.console.queries.versions import state_of
from millrace.errors import ConfigurationError, ConflictError
from millrace.messages.release import Rollback
from millrace.names import WorkloadNames
from millrace.release.promotion import check_proven, rollback_target
from millrace.state.climbing import Climbing
from millrace.state.leases import Leases
from millrace.state.pointers import ReleasePointers

COMMAND = "rollback"


@dataclass(frozen=True, kw_only=True)
class Started:
    """A rollback under way."""

    execution: str
    """The ARN of the execution."""
    version: str
    """The version that becomes live, or whose endpoint is restored."""
    replaced: str
    """The version that is live until then."""


def roll_back(
    environment: Environment, names: WorkloadNames, *, reason: str, to: str | None = None, restores: bool = False
) -> Started:
    """Start the execution that brings a version back. `restores` makes the live version's endpoint anew instead.

    Raises ConflictError if there is no version to go back to, if the version was never live, and if a release runs. The
    machine checks the same again.
    Raises ConfigurationError for an empty reason, for a version that does not exist, and for a version given together
    with `restores`."""
    if not reason.strip():
        raise ConfigurationError(
            where=COMMAND, field="--reason", expected="a sentence for the audit table", came=reason
        )
    if restores and to is not None:
        raise ConfigurationError(
            where=COMMAND, field="--to", expected="no version with --restore: it is the live one", came=to
        )
    states, pointers = environment.client("stepfunctions"), ReleasePointers(state_of(environment, names)).read()
    state = state_of(environment, names)
    _refuse_running(states, Leases(state).find("release"), Climbing.find(state))
    target = rollback_target(pointers, to, restores=restores)
    check_proven(find_package(environment, names, target, where=COMMAND), pointers)
    who = environment.identity()
    rollback = Rollback(reason=reason, who=who, to=target, restores=restores)
    # The name shows what was started: `1a2b3c4d-rollback-to-3` or `1a2b3c4d-restore-3`.
    answer = states.start_execution(
        stateMachineArn=names.machine_arn("release"),
        name=f"{secrets.token_hex(4)}-{'restore' if restores else 'rollback-to'}-{target}",
        input=json.dumps({"cause": "command", "rollback": rollback.model_dump(exclude_defaults=True)}),
    )
    assert pointers.champion is not None
    return Started(execution=answer["executionArn"], version=target, replaced=pointers.champion.version)


def _refuse_running(states: Any, lease: Any, climbing: Climbing | None) -> None:
    """Raise ConflictError if the execution that holds the lease of `release` is running.

    A version that only answers copies is no obstacle: the rollback stops its release. A holder that has ended is none,
    since its cleanup is on the way. The sweep is none either: it is not an execution and holds the lease only for a
    moment. In all these cases the machine decides."""
    if lease is None or ":execution:" not in lease.holder or (climbing and climbing.execution == lease.holder):
        return
    try:
        status = states.describe_execution(executionArn=lease.holder)["status"]
    except states.exceptions.ExecutionDoesNotExist:
        return
    if status == "RUNNING":
        raise ConflictError(
            f"roll back: expected no release to run, {lease.holder} does: wait for it, or stop it with "
            f"`aws stepfunctions stop-execution --execution-arn {lease.holder}`"
        )
