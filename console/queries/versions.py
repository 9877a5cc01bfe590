"""The model versions of a workload: what they were trained on, how they were judged, and which one is live."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from millrace.aws.objects import entries_below, read_object, split_uri
from millrace.console.environment import Environment
from millrace.console.queries.stored import find_object
from millrace.errors import EnvironmentNotFoundError
from millrace.evaluation.naive.catalogue import measure_of
from millrace.evaluation.report import EVALUATION_FILE, Evaluation
from millrace.messages.audit import AuditEvent, PhaseEnded, VersionDecided, VersionLive
from millrace.messages.train import GatesJudged, GateVerdict, NextStep
from millrace.messages.training_run import PINNED, Run
from millrace.names import WorkloadNames
from millrace.release.askers import NOBODY
from millrace.release.registry import PENDING, REJECTED, Package, Registry
from millrace.settings.release import ReleaseSettings
from millrace.state import audit
from millrace.state.audit import Record
from millrace.state.climbing import Climbing
from millrace.state.pointers import Pointers, ReleasePointers
from millrace.state.table import StateTable
from millrace.timestamps import parse_utc
from millrace.workload.load import load_workload, workloads_folder
from millrace.workload.rollout import Phase

Status = Literal["live", "previous", "retired", "waits", Phase, "registered", "refused"]
"""Where a version stands:

- `live`: it is the champion.
- `previous`: it was live before the champion.
- `retired`: it was live earlier.
- `waits`: it has passed its gates, and a person has to approve it.
- a phase such as `shadow` or `canary`: its release is there, and judges what is known of it.
- `registered`: it is not released yet, or its release failed or refused it.
- `refused`: a person refused it; or a gate did, so it has no number."""
DIGESTS = (*PINNED, "examples", "weights", "onnx", "artefact", "model", "evaluation")
"""The digests that a version may have, by link of its chain."""
NEVER = datetime.min.replace(tzinfo=UTC)
"""Sorts versions without a time as the oldest."""


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One judged training run, with its version if it was registered."""

    version: str | None
    """The number in the registry; None if a gate refused the model."""
    status: Status
    run: str
    """The name of the train execution."""
    snapshot_id: str
    """The snapshot of the dataset version."""
    tag: str
    """The tag of the dataset version."""
    rows: int | None
    """Rows of the dataset version, those of validation and test included."""
    trained_at: datetime | None
    """None for a version that was registered by hand; its other fields are empty."""
    reason: str
    """Why it was trained: `first`, `alarm`, `schedule` or `command`."""
    asked_by: str = ""
    """The identity that asked for the training; empty if no person did."""
    live_at: datetime | None
    """When it last became live; None if it never was."""
    decision: str = ""
    """Who has approved or refused it last, and why; empty if nobody has."""
    gates: tuple[GateVerdict, ...]
    next_step: NextStep | None = None
    """What may help where a gate refused or warned."""
    digests: Mapping[str, str]
    """SHA-256 by link: `data`, `weights`, …; `artefact` is the archive's, `model` that of its members.

    A refused model has only the digests of its inputs."""
    model_data_url: str = ""
    """Where its archive lies; empty for a refused model."""


@dataclass(frozen=True, kw_only=True)
class WaitingVersion:
    """A version that waits for a person."""

    version: str
    since: datetime
    until: datetime
    """When the sweep refuses it."""
    asked_by: str
    """The identity that asked for its training; empty if no person did."""


def state_of(environment: Environment, names: WorkloadNames) -> StateTable:
    """The workload's items of the state table."""
    return StateTable(environment.client("dynamodb"), names)


def registry_of(environment: Environment, names: WorkloadNames) -> Registry:
    """The workload's group of model versions."""
    return Registry(environment.client("sagemaker"), group=names.package_group)


def find_package(environment: Environment, names: WorkloadNames, version: str = "") -> Package:
    """The package of this version; without a version the live one, or else the newest.

    Raises EnvironmentNotFoundError if there is no such version."""
    found = list(registry_of(environment, names).all())
    champion = ReleasePointers(state_of(environment, names)).champion()
    # `found` is newest first, so without a wanted version the newest one is taken.
    wanted = version or (champion.version if champion else "")
    package = next((one for one in found if not wanted or one.version == wanted), None)
    if package is None:
        came = ", ".join(one.version for one in found) or "none"
        raise EnvironmentNotFoundError(f"VERSION: expected a registered version ({came}), got {wanted or 'nothing'}")
    return package


def audit_of(environment: Environment, names: WorkloadNames) -> tuple[Record, ...]:
    """The workload's audit records in the order of time."""
    return tuple(audit.read(environment.client("dynamodb"), table=names.platform.audit_table, workload=names.workload))


def find_versions(environment: Environment, names: WorkloadNames) -> list[ModelVersion]:
    """Every version and every refused model, the newest first."""
    known, s3 = _Known.read(environment, names), environment.client("s3")
    registered = [known.registered(package) for package in registry_of(environment, names).all()]
    # The registry has the versions; models that a gate refused are only in the audit, so their runs are read from S3.
    refused = [
        _refused(Run.model_validate_json(read_object(s3, names.run_uri(run, "config", "run.json"))), judgement)
        for run, judgement in known.judged.items()
        if not judgement.passed
    ]
    return sorted([*registered, *refused], key=lambda one: one.trained_at or NEVER, reverse=True)


def status_of(package: Package, pointers: Pointers, *, needs_person: bool, climbing: Climbing | None = None) -> Status:
    """The version's status by the release pointers, and by what people have said of it.

    `climbing` is the version that stands on a phase of its release."""
    champion, previous = pointers.champion, pointers.previous
    if champion and champion.package_arn == package.arn:
        return "live"
    if previous and previous.package_arn == package.arn:
        return "previous"
    if package.was_live:
        return "retired"
    if package.approval == REJECTED:
        return "refused"
    if climbing and package.version == climbing.version:
        return climbing.phase
    is_older = pointers.newest >= int(package.version)
    return "waits" if package.approval == PENDING and needs_person and not is_older else "registered"


def needs_approval(environment: Environment, names: WorkloadNames) -> bool:
    """Whether a person has to approve a version of the workload, as it is deployed."""
    client = environment.client("lambda")
    try:
        found = client.get_function_configuration(FunctionName=names.function("start_release"))
    except client.exceptions.ResourceNotFoundException:
        return False
    return ReleaseSettings.parse(found["Environment"]["Variables"]).approval == "person"


def find_waiting(environment: Environment, names: WorkloadNames) -> tuple[WaitingVersion, ...]:
    """The versions that wait for a person, the newest first."""
    if not needs_approval(environment, names):
        return ()
    pointers = ReleasePointers(state_of(environment, names)).read()
    return tuple(
        waiting(names, one)
        for one in registry_of(environment, names).waiting()
        if status_of(one, pointers, needs_person=True) == "waits"
    )


def asker(package: Package) -> str:
    """The identity that asked for the training of the version, or UNKNOWN; empty if no person did."""
    return "" if package.asked_by == NOBODY else package.asked_by


def waiting(names: WorkloadNames, package: Package) -> WaitingVersion:
    """Since when and until when the version waits, and who asked for it."""
    hours = load_workload(workloads_folder() / names.workload).rollout.approval_hours
    return WaitingVersion(
        version=package.version,
        since=package.decided_at,
        until=package.decided_at + timedelta(hours=hours),
        asked_by=asker(package),
    )


def describe_version(environment: Environment, names: WorkloadNames, package: Package) -> ModelVersion:
    """The version of the package."""
    return _Known.read(environment, names).registered(package)


def climbing_version(environment: Environment, names: WorkloadNames) -> Climbing | None:
    """The version that stands on a phase of its release; None for none."""
    return Climbing.find(state_of(environment, names))


def decision_on(package: Package, records: Iterable[Record], *, own_roles: str) -> str:
    """What was decided about the version last, by a person or by a phase of its release; empty for nothing.

    "approved by ann: as good on our wards", "the shadow refused it: worse by 127 labels". `own_roles` is what the ARNs
    of the workload's own roles begin with."""
    words = {AuditEvent.RELEASE_APPROVED: "approved", AuditEvent.RELEASE_REFUSED: "refused"}
    if package.was_live:
        # Records of one second have no order, and nothing but an approval comes last here.
        del words[AuditEvent.RELEASE_REFUSED]
    own = [record for record in records if getattr(record.details, "version", "") == package.version]
    if package.approval == REJECTED and not package.was_live:
        stopped = [one.details for one in own if one.event == AuditEvent.PHASE_STOPPED]
        by_phase = package.changed_by.startswith(own_roles) and stopped and stopped[-1]
        if isinstance(by_phase, PhaseEnded):
            return f"the {by_phase.phase} refused it: {by_phase.because}"
        return f"refused by {package.changed_by.rpartition('/')[2] or 'somebody'}: {package.said}"
    found = [
        f"{words[record.event]} by {record.details.by.rpartition('/')[2]}: {record.details.reason}"
        for record in own
        if record.event in words and isinstance(record.details, VersionDecided)
    ]
    return found[-1] if found else ""


def find_judgement(records: Iterable[Record], run: str) -> GatesJudged | None:
    """What the gates said of a run; None if it was not judged."""
    return next((judgement for name, judgement in _judged(records) if name == run), None)


def read_evaluation(s3: Any, names: WorkloadNames, run: str) -> Evaluation | None:
    """The evaluation report of the train execution `run`, without examples; None if it does not exist."""
    content = find_object(s3, names.run_uri(run, "evaluation", EVALUATION_FILE)) if run else None
    return Evaluation.model_validate_json(content) if content else None


def _judged(records: Iterable[Record]) -> Iterator[tuple[str, GatesJudged]]:
    """The judgements in the audit by run."""
    for record in records:
        if isinstance(record.details, GatesJudged):
            yield record.run, record.details


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What audit, state and deployment say of all versions."""

    names: WorkloadNames
    records: tuple[Record, ...]
    pointers: Pointers
    needs_person: bool
    climbing: Climbing | None

    @classmethod
    def read(cls, environment: Environment, names: WorkloadNames) -> _Known:
        return cls(
            names=names,
            records=audit_of(environment, names),
            pointers=ReleasePointers(state_of(environment, names)).read(),
            needs_person=needs_approval(environment, names),
            climbing=climbing_version(environment, names),
        )

    @cached_property
    def judged(self) -> Mapping[str, GatesJudged]:
        """The judgements by run."""
        return dict(_judged(self.records))

    def registered(self, package: Package) -> ModelVersion:
        known, records = package.metadata, self.records
        judgement = self.judged.get(known.get("run", ""))
        # A version that came back by a rollback went live more than once.
        lived = [
            record.details.live_at
            for record in records
            if isinstance(record.details, VersionLive) and record.details.version == package.version
        ]
        return ModelVersion(
            version=package.version,
            status=status_of(package, self.pointers, needs_person=self.needs_person, climbing=self.climbing),
            decision=decision_on(package, records, own_roles=self.names.sessions),
            run=known.get("run", ""),
            snapshot_id=known.get("snapshot_id", ""),
            tag=known.get("tag", ""),
            rows=int(known["rows"]) if "rows" in known else None,
            trained_at=parse_utc(known["as_of"]) if "as_of" in known else None,
            reason=known.get("reason", ""),
            asked_by=asker(package),
            live_at=max(lived, default=None),
            gates=judgement.verdicts if judgement else (),
            next_step=judgement.next_step if judgement else None,
            digests={name: known[f"{name}_digest"] for name in DIGESTS if f"{name}_digest" in known},
            model_data_url=package.model_data_url,
        )


def _refused(run: Run, judgement: GatesJudged) -> ModelVersion:
    return ModelVersion(
        version=None,
        status="refused",
        run=run.run,
        snapshot_id=str(run.snapshot_id),
        tag=run.tag,
        rows=run.rows,
        trained_at=run.as_of,
        reason=run.reason,
        live_at=None,
        gates=judgement.verdicts,
        next_step=judgement.next_step,
        digests=run.digests,
    )


def as_document(version: ModelVersion) -> dict[str, Any]:
    """The version as JSON for programs, with all fields and whole digests."""
    document = {name: value for name, value in vars(version).items() if name not in ("gates", "next_step", "digests")}
    gates = [json.loads(verdict.model_dump_json()) for verdict in version.gates]
    step = version.next_step.model_dump(mode="json") if version.next_step else None
    return {**document, "gates": gates, "next_step": step, "digests": dict(version.digests)}


@dataclass(frozen=True, kw_only=True)
class CallTimes:
    """Times of one row by HTTP, one request after another, on one instance type."""

    instance: str
    p50_ms: float
    p99_ms: float


def read_call_times(s3: Any, names: WorkloadNames, run: str) -> tuple[CallTimes, ...]:
    """The times on each instance type on which the version passed; `run` is its train execution."""
    bucket, prefix = split_uri(names.run_uri(run, "preflight", ""))
    records = [
        json.loads(read_object(s3, f"s3://{bucket}/{each['Key']}")) for each in entries_below(s3, bucket, prefix)
    ]
    return tuple(
        CallTimes(instance=record["instance"], p50_ms=record["p50_ms"], p99_ms=record["p99_ms"]) for record in records
    )


def losses_beside(evaluation: Evaluation) -> tuple[float, float] | None:
    """The log loss of the model, and of its naive rule, if the model is right less often than the rule; else None.

    By these losses the gate compares both if the model is a first one."""
    own, naive = evaluation.metrics, evaluation.naive.metrics
    (error, of_rule), (loss, loss_of_rule) = ((own.get(name), naive.get(name)) for name in ("error", "log_loss"))
    if error is None or of_rule is None or loss is None or loss_of_rule is None:
        return None
    return (loss, loss_of_rule) if (measure_of(evaluation.naive.rule) == "log_loss") and error > of_rule else None
