"""The decisions in the lake: of a day, one by its id with its row, why its model answered so, and what its policy was.

The state table holds what counts now. What counted then, its records say: thresholds that labels have moved, the floor,
and pauses. A decision has the time of the machine, a record that of its run. So for decisions of the minutes in which
one of them changed, and in a local cloud whose clock was moved, what a policy was is an estimate."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from millrace.artefact.batch import ROW
from millrace.artefact.inference import Model
from millrace.aws.objects import read_object
from millrace.console.environment import Environment
from millrace.console.queries.stored import find_object, unpack
from millrace.console.queries.versions import find_package, state_of
from millrace.contract.kinds import FLOATS, from_base64
from millrace.contract.load import load_contract
from millrace.contract.schema import Column, Table
from millrace.decisions import captured, store
from millrace.decisions.policy import Acted, Acting, act
from millrace.decisions.record import Decision
from millrace.decisions.scored import MOST_ROWS
from millrace.decisions.standing import threshold_of
from millrace.decisions.store import LocatedDecision
from millrace.errors import EnvironmentNotFoundError, WorkloadError
from millrace.explanations.requested import explanation_of
from millrace.explanations.shapley import ROWS
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features, images
from millrace.messages.audit import AuditEvent, AutomationMoved, FloorMoved
from millrace.messages.ingest import Staging
from millrace.names import WorkloadNames
from millrace.release.registry import Package
from millrace.state.audit import Record
from millrace.state.own_secrets import HELD_OUT
from millrace.state.pointers import Version
from millrace.state.versions import KeptPromise
from millrace.tasks.catalogue import declare
from millrace.workload.declaration import Prediction
from millrace.workload.load import load_workload, workloads_folder
from millrace.workload.policy import Policy


def words_of(names: WorkloadNames) -> tuple[Mapping[Any, str], Column]:
    """What people call each class by an answer's `value`, and the label's column, which says it of a label's value.

    Of a workload that is no longer declared no class has a name."""
    folder = workloads_folder() / names.workload
    try:
        label = load_contract(folder).label
        return declare(load_workload(folder).prediction, label).words, label
    except WorkloadError:
        return {}, Column(name="", kind="string")


@dataclass(frozen=True, kw_only=True)
class Day:
    """The decisions about one day of event time."""

    day: date
    decisions: tuple[Decision, ...]
    """In the order of their event time."""
    unreadable: Mapping[str, int]
    """How many lines are not valid decisions, by the URI of their object."""


def day_named(option: str, text: str) -> date:
    """The day in ISO 8601. Raises EnvironmentNotFoundError if the text is no day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise EnvironmentNotFoundError(f"{option}: expected a day as 1997-05-01, got {text!r}") from None


def find_days(
    environment: Environment,
    names: WorkloadNames,
    *,
    first: date | None = None,
    last: date | None = None,
    most_scored: int = MOST_ROWS,
) -> Iterator[Day]:
    """The days of event time that have decisions, from `last` back to `first`, both included.

    Of each scored file about `most_scored` rows are read. With 0 only the decisions of requests are found."""
    client, bucket = environment.client("s3"), names.platform.bucket("lake")
    for day in _days(environment, names, first, last):
        found = store.read_days(client, bucket, names.workload, [day], most_scored=most_scored)
        # The objects are only searched if a line was unreadable: it means reading all of them again.
        keys = store.find_unreadable(client, bucket, names.workload, day) if found.unreadable else {}
        wrong = {f"s3://{bucket}/{key}": lines for key, lines in keys.items()}
        yield Day(day=day, decisions=found.decisions, unreadable=wrong)


def find_decision(
    environment: Environment, names: WorkloadNames, wanted: str, *, first: date | None = None, last: date | None = None
) -> store.LocatedDecision | None:
    """The decision with this id, searched from the newest day back; None if no day has it.

    An id does not say its day. Without `first` and `last`, every object may have to be read."""
    client, bucket = environment.client("s3"), names.platform.bucket("lake")
    return store.find_decision(client, bucket, names.workload, wanted, _days(environment, names, first, last))


def newest_decision(environment: Environment, names: WorkloadNames) -> store.LocatedDecision | None:
    """The last decision of the newest day that a model answered; None if that day has none."""
    client, bucket = environment.client("s3"), names.platform.bucket("lake")
    newest = _days(environment, names, None, None)[:1]
    found = store.read_days(client, bucket, names.workload, newest).decisions
    answered = [decision for decision in found if decision.model_version]
    return store.find_decision(client, bucket, names.workload, answered[-1].id, newest) if answered else None


def _days(environment: Environment, names: WorkloadNames, first: date | None, last: date | None) -> list[date]:
    """The days with decisions, the newest first."""
    days = store.stored_days(environment.client("s3"), names.platform.bucket("lake"), names.workload)
    return sorted((day for day in days if (first or day) <= day <= (last or day)), reverse=True)


def require_decision(environment: Environment, names: WorkloadNames, wanted: str) -> LocatedDecision:
    """The decision with this id. Raises EnvironmentNotFoundError if no line has it."""
    if kept := find_decision(environment, names, wanted):
        return kept
    raise EnvironmentNotFoundError(
        f"ID: expected the id of a decision of {names.workload}, got {wanted!r}, which no line of "
        f"s3://{names.platform.bucket('lake')} has: `millrace decisions` and `millrace predict` show ids"
    )


def missing(kept: LocatedDecision, what: str) -> EnvironmentNotFoundError:
    """The error for a decision that lacks what was expected."""
    return EnvironmentNotFoundError(f"decision {kept.decision.id}: expected {what}")


def captured_uris(names: WorkloadNames, kept: LocatedDecision) -> dict[str, str]:
    """The objects that hold the long cells of the decision's input, by column."""
    document = json.loads(kept.decision.input)
    long = captured.LongCells(columns=tuple(document), under=names.lake_uri(captured.FOLDER, ""))
    return captured.references(document, long)


def read_row(
    environment: Environment, names: WorkloadNames, kept: LocatedDecision, features: Features
) -> dict[str, Any]:
    """The decision's row, with the bytes of its long cells, and of a file's row with its pasts.

    Raises EnvironmentNotFoundError if a long cell or a past is gone."""
    client, row = environment.client("s3"), dict(json.loads(kept.decision.input))
    for column, uri in captured_uris(names, kept).items():
        if find_object(client, uri) is None:
            raise missing(kept, f"{column} in {uri}, got no such object: they are kept for a time only")
        row[column] = captured.read(client, uri)
    return row | _pasts(environment, names, kept, features)


def _pasts(environment: Environment, names: WorkloadNames, kept: LocatedDecision, features: Features) -> dict[str, Any]:
    """The pasts with which the row of a file was answered, by the name of their feature; empty for any other row.

    They are in the shard that the transform job has read. Raises EnvironmentNotFoundError if that is gone."""
    histories = [history.name for history in encoders.histories(features)]
    if not histories or kept.scored is None:
        return {}
    client, known = environment.client("s3"), kept.scored
    staging, number = Staging(names=names, of=known.run), int(kept.decision.id.rpartition("-")[2])
    for shard in range(known.first_shard, known.first_shard + known.shards):
        uri = staging.uri(staging.shard(shard))
        if (content := find_object(client, uri)) is None:
            raise missing(kept, f"its past in {uri}, got no such object: shards are kept for a time only")
        rows = pa.ipc.open_stream(content).read_all()
        for row in rows.filter(pc.equal(rows[ROW], number)).select(histories).to_pylist():
            return dict(row)
    raise missing(kept, f"its past in {staging.uri(staging.shards)}, got no shard with row {number}")


TIMES = 8
"""How many times as many rows are answered as the endpoint answers for an explanation: nobody waits for this one."""


def explain_decision(
    environment: Environment, names: WorkloadNames, wanted: str, *, version: str = ""
) -> dict[str, Any]:
    """The explanation as the endpoint would give it, but from more drawn orders of the row's parts.

    `version` explains what this version says to the row, and not the one that has answered it.

    Raises EnvironmentNotFoundError if no decision has the id, if no model answered it, and if its version, or the past
    of a file's row, is gone; ArtefactError if the model has no explanations."""
    kept = require_decision(environment, names, wanted)
    # A fallback has no version: there is no model to explain it with.
    if not (version := version or kept.decision.model_version or ""):
        came = f"{kept.decision.id!r}, the fallback's"
        raise EnvironmentNotFoundError(f"ID: expected the id of a model's decision, got {came}")
    package = find_package(environment, names, version)
    model = Model(unpack(read_object(environment.client("s3"), package.model_data_url)))
    row = read_row(environment, names, kept, model.description.features)
    # An image of a scored file is in the row itself.
    columns = [name for encoder in images(model.description.features) for name in encoder.columns]
    row |= {name: from_base64(row[name]) for name in columns if isinstance(row.get(name), str)}
    return explanation_of(model, row, rows=TIMES * ROWS)


def acting_of(environment: Environment, names: WorkloadNames, policy: Policy, spec: Prediction, table: Table) -> Acting:
    """The policy with what draws its held-out rows, but without a threshold. `table` is that of the feed `scoring`."""
    return Acting(
        policy=policy,
        secret=state_of(environment, names).get(HELD_OUT).get("secret", {"S": ""})["S"],
        float_keys=frozenset(name for name in spec.key if table.column(name).kind in FLOATS),
        is_timeless=bool(table.column(spec.event_time).generated),
    )


def act_again(
    acting: Acting | None, decision: Decision, spec: Prediction, output: Mapping[str, Any], watched: Mapping[str, float]
) -> Acted:
    """What is done with this answer to the row of a recorded decision."""
    cells, key = json.loads(decision.input), {name: decision.key[name] for name in spec.key}
    return act(acting, output=output, cells=cells, event_time=decision.event_time, key=key, watched=watched)


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
