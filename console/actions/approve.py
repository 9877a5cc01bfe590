"""Approve a version, refuse it, release one that was stopped, or go back to an earlier one.

SageMaker keeps who decided. Its event starts the release; the function that watches a version ends its phase. A
rollback is a run of the machine `release` that a person starts."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from millrace.console.actions.start import redrive, start
from millrace.console.environment import Environment
from millrace.console.queries.audit import find_records
from millrace.console.queries.runs import Run, input_of, list_runs
from millrace.console.queries.versions import climbing_version, find_package, needs_approval, registry_of, state_of
from millrace.errors import ConfigurationError, ConflictError, RunError
from millrace.messages.audit import (
    AlarmAcknowledged,
    AuditEvent,
    AutomationSwitched,
    ByPerson,
    HeldDropDecided,
    Incident,
    RunRedriven,
)
from millrace.messages.release import Rollback
from millrace.names import LIVE, WorkloadNames
from millrace.release.promotion import check_proven, objection_to, rollback_target
from millrace.release.registry import PENDING, REJECTED, Package
from millrace.state.audit import Record, append
from millrace.state.automation import Automation
from millrace.state.climbing import Climbing
from millrace.state.held_drops import HeldDrop
from millrace.state.holdings import Leases
from millrace.state.pointers import ReleasePointers
from millrace.state.unanswered import UnansweredAlarm


def approve(environment: Environment, names: WorkloadNames, version: str, *, reason: str) -> Package:
    """The version, which is released now.

    Raises ConfigurationError for an empty reason, EnvironmentNotFoundError for a version that does not exist. Raises
    ConflictError for a version about which a person has decided or need not decide, for one that is or was live or is
    older than the live one, and for an identity that may not approve it (`objection_to`)."""
    package = _undecided(environment, names, version, reason=reason)
    if objection := objection_to(environment.identity(), own_roles=names.sessions, asked_by=package.asked_by):
        raise ConflictError(f"version {version}: {objection} (`millrace --as ROLE/NAME approve` acts as another)")
    registry_of(environment, names).approve(package, reason=reason)
    return package


def refuse(environment: Environment, names: WorkloadNames, version: str, *, reason: str) -> Package:
    """The version, which is not released. A version on a phase of its release leaves it at its next look.

    Raises the errors of `approve`, but for who asked for its training and for a version on a phase."""
    climbing = climbing_version(environment, names)
    is_watched = climbing is not None and climbing.version == version and climbing.phase != LIVE
    package = (_never_live if is_watched else _undecided)(environment, names, version, reason=reason)
    registry_of(environment, names).refuse(package, reason=reason)
    return package


def release(environment: Environment, names: WorkloadNames, version: str, *, reason: str) -> Run:
    """The release that was started of a version that was refused, or whose release was stopped.

    It goes through the declared phases. A refused version waits for a person again, where one has to approve it.
    Raises the errors of `refuse`, and ConflictError for a version that waits for a person or is being released."""
    package = _never_live(environment, names, version, reason=reason)
    climbing = climbing_version(environment, names)
    if climbing is not None and climbing.version == version:
        raise ConflictError(f"version {version}: expected one whose release has ended, it is in {climbing.phase}")
    if package.approval == PENDING and needs_approval(environment, names):
        raise ConflictError(f"version {version}: it waits for a person: `millrace approve {version} --reason …`")
    if package.approval == REJECTED:
        registry_of(environment, names).reopen(package, reason=reason)
    return start(environment.client("stepfunctions"), names, "release", more={"detail": {"package_arn": package.arn}})


def _never_live(environment: Environment, names: WorkloadNames, version: str, *, reason: str) -> Package:
    check_reason("approve, refuse or release", reason)
    package = find_package(environment, names, version)
    if package.was_live or not ReleasePointers(state_of(environment, names)).read().is_new(package.version):
        raise ConflictError(f"version {version}: expected one that waits, it or a newer one is or was live")
    return package


def _undecided(environment: Environment, names: WorkloadNames, version: str, *, reason: str) -> Package:
    package = _never_live(environment, names, version, reason=reason)
    if package.approval != PENDING:
        again = f" (`millrace release {version}` has it released)" if package.approval == REJECTED else ""
        said = f"{package.approval} by {package.changed_by} already: {package.said}{again}"
        raise ConflictError(f"version {version}: {said}")
    if not needs_approval(environment, names):
        raise ConflictError(f"version {version}: nobody has to approve it (rollout.approval of {names.workload})")
    return package


def check_reason(where: str, reason: str) -> None:
    """Raises ConfigurationError for an empty reason of the command `where`."""
    if not reason.strip():
        raise ConfigurationError(where=where, field="--reason", expected="a sentence for the audit table", came=reason)


def releases(environment: Environment, names: WorkloadNames) -> set[str]:
    """The names of the newest releases."""
    return {run.name for run in list_runs(environment.client("stepfunctions"), names, machine="release", limit=100)}


def find_release(
    environment: Environment, names: WorkloadNames, package_arn: str, known: Collection[str]
) -> Run | None:
    """The newest release of the version that is none of the `known` ones; None until SageMaker's event has come."""
    states = environment.client("stepfunctions")
    for run in list_runs(states, names, machine="release", limit=10):
        given = input_of(states, run.arn) if run.name not in known else None
        if isinstance(given, dict) and (given.get("detail") or {}).get("package_arn") == package_arn:
            return run
    return None


@dataclass(frozen=True, kw_only=True)
class StartedRollback:
    """A rollback under way."""

    execution: str
    """The ARN of the execution."""
    version: str
    """The version that becomes live, or whose endpoint is restored."""
    replaced: str
    """The version that is live until then."""


def roll_back(
    environment: Environment, names: WorkloadNames, *, reason: str, to: str | None = None, restores: bool = False
) -> StartedRollback:
    """Start the execution that brings a version back. `restores` makes the live version's endpoint anew instead.

    Raises ConflictError if there is no version to go back to, if the version was never live, and if a release runs. The
    machine checks the same again.
    Raises ConfigurationError for an empty reason and for a version given together with `restores`, and
    EnvironmentNotFoundError for one that does not exist."""
    check_reason("rollback", reason)
    if restores and to is not None:
        raise ConfigurationError(
            where="rollback", field="--to", expected="no version with --restore: it is the live one", came=to
        )
    states, pointers = environment.client("stepfunctions"), ReleasePointers(state_of(environment, names)).read()
    state = state_of(environment, names)
    _refuse_running(states, Leases(state).find("release"), Climbing.find(state))
    target = rollback_target(pointers, to, restores=restores)
    check_proven(find_package(environment, names, target), pointers)
    rollback = Rollback(reason=reason, who=environment.identity(), to=target, restores=restores)
    # The name shows what was started: `1a2b3c4d-rollback-to-3` or `1a2b3c4d-restore-3`.
    answer = states.start_execution(
        stateMachineArn=names.machine_arn("release"),
        name=f"{secrets.token_hex(4)}-{'restore' if restores else 'rollback-to'}-{target}",
        input=json.dumps({"cause": "command", "rollback": rollback.model_dump(exclude_defaults=True)}),
    )
    assert pointers.champion is not None
    return StartedRollback(execution=answer["executionArn"], version=target, replaced=pointers.champion.version)


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


def record(
    environment: Environment, names: WorkloadNames, event: AuditEvent, details: ByPerson, *, command: str, at: datetime
) -> None:
    """Write the record. `command` is the one that was typed."""
    kept = Record(actor=command, execution_arn=details.by, event=event, as_of=at, cause="command", details=details)
    append(environment.client("dynamodb"), table=names.platform.audit_table, workload=names.workload, record=kept)


def check_recording(environment: Environment, names: WorkloadNames) -> None:
    """Raise ClientError unless the person may write the audit record of what is about to be done.

    A write whose condition never holds needs the right to write and writes nothing."""
    client = environment.client("dynamodb")
    with suppress(client.exceptions.ConditionalCheckFailedException):
        client.put_item(
            TableName=names.platform.audit_table,
            Item={"pk": {"S": names.workload}, "sk": {"S": "-"}},
            ConditionExpression="attribute_exists(pk) AND attribute_not_exists(pk)",
        )


def record_incident(
    environment: Environment, names: WorkloadNames, *, reason: str, closes: str | None = None, is_serious: bool = False
) -> Run:
    """Start the run that records an incident. What the run would refuse is refused at once.

    Raises ConfigurationError for an empty reason, and for another id than an open one's; its beginning will do."""
    check_reason("incident", reason)
    if closes is not None:
        told = {
            (one.event, one.details.incident)
            for one in find_records(environment, names)
            if isinstance(one.details, Incident)
        }
        still = sorted(known for _, known in told if (AuditEvent.INCIDENT_CLOSED, known) not in told)
        if len(meant := [one for one in still if closes and one.startswith(closes)]) != 1:
            expected = f"the id of an open one: {', '.join(still) or 'none is open'}"
            raise ConfigurationError(where="incident", field="ID", expected=expected, came=closes)
        closes = meant[0]
    asked = {"is_incident": True, "reason": reason, "closes": closes or "", "is_serious": is_serious}
    # Of two who close an incident at the same time the second is refused.
    name = f"closed-{closes}"[:80] if closes else ""
    return start(environment.client("stepfunctions"), names, "upkeep", more=asked, name=name)


def rerun(environment: Environment, names: WorkloadNames, run: Run, *, reason: str) -> None:
    """Let the failed run go on, and write the audit record. Raises the errors of `redrive`."""
    by, at = environment.identity(), environment.now()
    check_recording(environment, names)
    redrive(environment.client("stepfunctions"), run)
    details = RunRedriven(machine=run.machine, run=run.name, by=by, reason=reason)
    record(environment, names, AuditEvent.RUN_REDRIVEN, details, command="rerun", at=at)


def acknowledge(environment: Environment, names: WorkloadNames, alarm: str, *, reason: str) -> None:
    """Write the audit record and note it for the sweep."""
    by, at = environment.identity(), environment.now()
    details = AlarmAcknowledged(alarm=alarm, by=by, reason=reason)
    record(environment, names, AuditEvent.ALARM_ACKNOWLEDGED, details, command="alarms", at=at)
    UnansweredAlarm(alarm=alarm, since=at).acknowledge(state_of(environment, names), by=by)


def switch(environment: Environment, names: WorkloadNames, *, paused: bool, reason: str) -> Automation:
    """The switch as it is now. What decides sees it within ten seconds (`millrace.decisions.standing`)."""
    by, at = environment.identity(), environment.now()
    written = Automation(is_paused=paused, reason=reason, by=by, since=at)
    # The switch goes first: if the command is stopped in between, automation is stopped, and the command can be
    # repeated.
    written.put(state_of(environment, names))
    event = AuditEvent.AUTOMATION_PAUSED if paused else AuditEvent.AUTOMATION_RESUMED
    record(environment, names, event, AutomationSwitched(by=by, reason=reason), command="automate", at=at)
    return written


DROP_SHORT = 12
"""So many characters of a drop's id name it in a table."""


def find_held(environment: Environment, names: WorkloadNames) -> list[HeldDrop]:
    """The drops that were held, those that wait first."""
    held = HeldDrop.every(state_of(environment, names)).values()
    return sorted(held, key=lambda one: (one.status != "waiting", one.held_at))


def decide(
    environment: Environment,
    names: WorkloadNames,
    wanted: str,
    status: Literal["accepted", "refused"],
    *,
    reason: str,
) -> tuple[HeldDrop, str]:
    """The drop and, if it is accepted, the name of the run that takes it into its table.

    `wanted` is the beginning of the drop's id, or its key or the end of it. An accepted drop whose run did not start
    may be accepted again.
    Raises RunError if not exactly one waiting drop is meant, and if its run was started, ConfigurationError for an
    empty reason."""
    check_reason("held", reason)
    every = find_held(environment, names)
    waiting = [one for one in every if one.status == "waiting"]
    named = [one for one in every if one.object.drop_id.startswith(wanted) or one.object.key.endswith(wanted)]
    meant = [one for one in named if one in waiting] or [one for one in named if one.status == status == "accepted"]
    if len(meant) != 1:
        known = ", ".join(one.object.drop_id[:DROP_SHORT] for one in waiting) or "none waits"
        raise RunError(f"expected the id or the key of one held drop, got {wanted!r}: {known}")
    (batch,) = meant
    at, by, drop_id = environment.now(), environment.identity(), batch.object.drop_id
    if batch.status == "waiting":
        if not batch.decide(state_of(environment, names), status, by=by, reason=reason):
            raise RunError(f"{drop_id}: expected a drop that waits, somebody has just decided on it")
        event = AuditEvent(f"{batch.group.table}.{status}")
        said = {"rows": batch.rows, "because": batch.because, "by": by, "reason": reason}
        details = HeldDropDecided(drop=batch.object.key, drop_id=drop_id, **said)
        record(environment, names, event, details, command="held", at=at)
    if status == "refused":
        return batch, ""
    run = start(
        environment.client("stepfunctions"),
        names,
        "ingest",
        as_of=at,
        more={"detail": batch.group.model_dump(mode="json")},
        name=f"held-{drop_id}",  # taken by one run, however often it is accepted
    )
    return batch, run.name
