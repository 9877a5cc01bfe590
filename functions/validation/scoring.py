"""Cuts the accepted rows of drops into the shards that the champion will score."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain
from math import ceil
from typing import Any

from millrace.artefact.batch import CONTENT_TYPE
from millrace.contract.future import up_to
from millrace.contract.kinds import INTEGERS
from millrace.datasets.labelled_rows import read_past
from millrace.datasets.quarantine import together
from millrace.datasets.tables import Lake
from millrace.errors import ConflictError
from millrace.features import catalogue as encoders
from millrace.features.known_ahead import KnownAhead
from millrace.functions.room import WorkloadRoom
from millrace.functions.validation.drops import FetchedDrop
from millrace.functions.validation.shards import Shards, stage
from millrace.messages.ingest import Staging
from millrace.messages.score import Sharded, ShardedDrop
from millrace.settings.drop import ValidationSettings
from millrace.workload.prices import Usage, projected_usd

SHARDS_EACH = 100
"""The shards of an instance, 500 MB of rows: it scores them in about the minutes that it takes to start."""


def instances_for(shards: int, *, most: int) -> int:
    """How many instances score so many shards."""
    return max(1, min(most, ceil(shards / SHARDS_EACH)))


class Scoring:
    """What is to be scored of one workload. `s3` is boto3's client."""

    def __init__(self, room: WorkloadRoom[ValidationSettings], lake: Lake, s3: Any) -> None:
        self._room, self._lake, self._s3 = room, lake, s3
        self._spec, self._table = room.workload.prediction, lake.contract.table("scoring")
        self._ahead = KnownAhead.of(self._table, self._spec)
        self._histories = encoders.histories(encoders.declare(self._spec.features, self._table))

    def shard(self, drops: Sequence[FetchedDrop], run: str) -> Sharded:
        """The shards, and where the accepted rows of each drop are for the delivery.

        Raises ConflictError if there is no champion any more."""
        champion = self._room.pointers.champion()
        if champion is None:
            raise ConflictError("expected the champion that the drops were read for, there is none now")
        # Shards are numbered through all drops of the run: each drop knows its first one and how many it has.
        staging, bucket = Staging(names=self._room.names, of=run), self._room.names.platform.bucket("lake")

        def put(number: int, body: bytes) -> None:
            self._s3.put_object(Bucket=bucket, Key=staging.shard(number), Body=body, ContentType=CONTENT_TYPE)

        # The key too, which no model reads: by it an erasure finds whose rows a shard has.
        keys = [name for name in chain(*self._table.keys) if self._table.column(name).kind in ("string", *INTEGERS)]
        shards = Shards(put, [*dict.fromkeys([*self._spec.inputs, *keys])], limit=self._room.settings.shard_bytes)
        done = tuple([self._shard(each, shards) for each in drops])
        workload, stage = self._room.workload, self._room.settings.stage
        instances = instances_for(shards.number, most=workload.scoring.instances)
        hourly = Usage(instance=workload.rollout.instance[stage], count=instances, minutes=60)
        return Sharded(
            drops=done,
            accepted=sum(each.accepted for each in done),
            shards_uri=staging.uri(staging.shards),
            transformed_uri=staging.uri(staging.transformed),
            model_name=champion.model_name,
            model_version=champion.version,
            instances=instances,
            usd_per_hour=round(projected_usd([hourly]), 2),
        )

    def _shard(self, fetched: FetchedDrop, shards: Shards) -> ShardedDrop:
        """Cut the accepted rows of one drop into the next shards, and upload the rows for the delivery."""
        drop, first, accepted = fetched.drop, shards.number, fetched.folder / "accepted"
        fetched.quarantine_staged("unparsable", drop.unparsable)
        table = up_to(self._table, self._spec, arrived=drop.as_of)
        before = partial(read_past, self._lake, self._spec, self._histories)
        given = fetched.parsed, table, accepted, shards, fetched.quarantine
        done = stage(*given, histories=self._histories, ahead=self._ahead, read_before=before)
        self._s3.upload_file(str(accepted), fetched.bucket, fetched.staging.rows("accepted"))
        return ShardedDrop(
            drop_id=drop.drop_id,
            as_of=drop.as_of,
            source=drop.source,
            source_digest=drop.source_digest,
            accepted=done.rows,
            quarantined=sum(done.refused.values()) + drop.unparsable,
            reasons=together(done.refused, drop.reasons),
            unlisted=done.unlisted,
            first_shard=first,
            shards=shards.number - first,
        )
