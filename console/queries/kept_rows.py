"""A decision that was kept, and its row as the version that answered has read it."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from millrace.artefact.batch import ROW
from millrace.console.environment import Environment
from millrace.console.queries.decisions import find_decision
from millrace.console.queries.stored import find_object
from millrace.decisions import captured
from millrace.decisions.store import LocatedDecision
from millrace.errors import EnvironmentNotFoundError
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features
from millrace.messages.ingest import Staging
from millrace.names import WorkloadNames


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
