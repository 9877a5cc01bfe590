"""The past of a scored row, as its version has read it: the decision itself has the row alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.queries.stored import find_object
from millrace.artefact.batch import ROW
from millrace.errors import EnvironmentNotFoundError
from millrace.features import catalogue as encoders
from millrace.messages.ingest import Staging

if TYPE_CHECKING:
    from console.environment import Environment
    from millrace.decisions.store import LocatedDecision
    from millrace.features.catalogue import Features
    from millrace.names import WorkloadNames


def scored_pasts(
    environment: Environment, names: WorkloadNames, kept: LocatedDecision, features: Features
) -> dict[str, Any]:
    """The pasts with which the row of a file was answered, by the name of their feature; empty for any other row.

    They are in the shard that the transform job has read. Raises EnvironmentNotFoundError if that is gone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    histories = [history.name for history in encoders.histories(features)]
    if not histories or kept.scored is None:
        return {}
    client, known = environment.client("s3"), kept.scored
    staging, number = Staging(names=names, of=known.run), int(kept.decision.id.rpartition("-")[2])
    for shard in range(known.first_shard, known.first_shard + known.shards):
        uri = staging.uri(staging.shard(shard))
        if (content := find_object(client, uri)) is None:
            came = f"its past in {uri}, got no such object: shards are kept for a time only"
            raise EnvironmentNotFoundError(f"decision {kept.decision.id}: expected {came}")
        rows = pa.ipc.open_stream(content).read_all()
        for row in rows.filter(pc.equal(rows[ROW], number)).select(histories).to_pylist():
            return dict(row)
    came = f"its past in {staging.uri(staging.shards)}, got no shard with row {number}"
    raise EnvironmentNotFoundError(f"decision {kept.decision.id}: expected {came}")
