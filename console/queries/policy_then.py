"""What a decision's answer led to, judged again: by the declaration of the version's run, and by the audit's records.

The state table holds what counts now. What counted then, its records say: thresholds that labels have moved, the floor,
and pauses. A decision has the time of the machine, a record that of its run. So for decisions of the minutes in which
one of them changed, and in a local cloud whose clock was moved, this is an estimate."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from millrace.aws.objects import download
from millrace.console.environment import Environment
from millrace.console.queries.versions import audit_of, state_of
from millrace.contract.kinds import FLOATS
from millrace.contract.load import load_contract
from millrace.decisions.policy import Acted, Acting, act
from millrace.decisions.record import Decision
from millrace.decisions.standing import threshold_of
from millrace.messages.audit import AuditEvent, AutomationMoved, FloorMoved
from millrace.names import WorkloadNames
from millrace.release.registry import Package
from millrace.state.audit import Record
from millrace.state.held_out import KEY
from millrace.state.pointers import Version
from millrace.state.versions import KeptPromise
from millrace.workload.load import read_workload
from millrace.workload.policy import Policy


def acted_then(
    environment: Environment,
    names: WorkloadNames,
    package: Package,
    decision: Decision,
    *,
    output: Mapping[str, Any],
    watched: Mapping[str, float],
) -> Acted | None:
    """The action of this answer by the policy that the version's run declared; None without a policy.

    `watched` is what the model measures of the row."""
    if not decision.has_policy:
        return None
    client, run = environment.client("s3"), package.metadata["run"]
    with TemporaryDirectory() as folder:
        for file in ("workload.yaml", "contract.yaml"):
            download(client, names.run_uri(run, "config", file), Path(folder) / file)
        workload, contract = read_workload(Path(folder) / "workload.yaml"), load_contract(Path(folder))
    if workload.policy is None:
        return None
    kinds = {name: contract.table("scoring").column(name).kind for name in workload.prediction.key}
    secret = state_of(environment, names).get(KEY).get("secret", {"S": ""})["S"]
    acting = acting_then(workload.policy, package, audit_of(environment, names), decision, secret=secret)
    return act(
        replace(acting, float_keys=frozenset(name for name, kind in kinds.items() if kind in FLOATS)),
        output=output,
        cells=json.loads(decision.input),
        event_time=decision.event_time,
        key={name: decision.key[name] for name in workload.prediction.key},
        watched=watched,
    )


def acting_then(
    policy: Policy, package: Package, records: Iterable[Record], decision: Decision, *, secret: str
) -> Acting:
    """What held for an answer of this version when the decision was made. `records` are in order of time."""
    known, now, below, paused = package.metadata, None, False, False
    for record in records:
        if record.as_of > decision.inferred_at:
            break
        details = record.details
        if isinstance(details, AutomationMoved) and details.version == package.version:
            now = KeptPromise(version=details.version, threshold=details.threshold, as_of=record.as_of)
        elif isinstance(details, FloorMoved) and details.version == package.version:
            below = details.below
        elif record.event in (AuditEvent.AUTOMATION_PAUSED, AuditEvent.AUTOMATION_RESUMED):
            paused = record.event is AuditEvent.AUTOMATION_PAUSED
    version = Version(
        package_arn=package.arn,
        version=package.version,
        model_name="",
        run=known["run"],
        baseline_uri="",
        promised_error=known.get("promised_error", ""),
        automate_from=known.get("automate_from", ""),
        costs_digest=known.get("costs_digest", ""),
    )
    return Acting(
        policy=policy,
        threshold=threshold_of(policy.automate, version, now),
        below_floor=below,
        stopped="paused" if paused else None,
        secret=secret,
    )
