"""The answers to a drop as one file: each row as it was accepted, its answer, and what was done with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from millrace.artefact.batch import REJECTED, read_answers, reason_of
from millrace.contract.kinds import as_json
from millrace.contract.load import load_contract
from millrace.contract.schema import LINE
from millrace.contract.violation import QuarantinedRow, RuleViolation, key_text, raw_row
from millrace.datasets.quarantine import QuarantineFile
from millrace.decisions.chain import Instead, answer_instead, answerers
from millrace.decisions.known_pasts import KeyLookup
from millrace.decisions.scored import ACTION_COLUMNS, FLOOR_COLUMNS, rows_by_day
from millrace.decisions.standing import Standing
from millrace.features import catalogue as encoders
from millrace.functions.delivery.joining import acted, dated, join
from millrace.functions.room import WorkloadRoom
from millrace.messages.ingest import Staging
from millrace.messages.score import ShardedDrop, delivered_schema
from millrace.settings.drop import DropEnvironment
from millrace.state.known_keys import StoredKeys
from millrace.tasks import catalogue as tasks
from millrace.tasks.answer import MOMENT


class Predictions:
    """The files of one workload. `s3` is boto3's client."""

    def __init__(self, room: WorkloadRoom[DropEnvironment], s3: Any) -> None:
        self._s3, self._bucket = s3, room.names.platform.bucket("lake")
        self._contract, self._spec = load_contract(room.settings.folder), room.workload.prediction
        self._scoring, self._policy = self._contract.table("scoring"), room.workload.policy
        self.task = tasks.declare(self._spec, self._contract.label)
        is_timeless = bool(self._scoring.column(self._spec.event_time).generated)
        self._standing = Standing(self._policy, room.state, is_timeless=is_timeless) if self._policy else None
        histories = encoders.histories(encoders.declare(self._spec.features, self._scoring))
        given = StoredKeys(room.dynamodb, room.names), room.workload, self._scoring, histories, self.task
        self._known = KeyLookup(*given) if room.workload.known_keys else None

    def read(self, staging: Staging, model_version: str, drop: ShardedDrop) -> Iterator[pa.Table]:
        """Every answer of the drop, shard after shard. `staging` is the staging of the execution."""
        for number in range(drop.first_shard, drop.first_shard + drop.shards):
            found = self._s3.get_object(Bucket=self._bucket, Key=staging.answers(number))
            yield read_answers(found["Body"].read(), model_version=model_version, fields=self.task.answer)

    def write(
        self,
        accepted: Path,
        delivered: Path,
        answers: Iterator[pa.Table],
        model_version: str,
        refused: QuarantineFile,
    ) -> tuple[int, Counter[date]]:
        """How many rows were written to `delivered`, and how many of them are about which day.

        Rows without an answer went to `refused`. Memory does not grow with the file."""

        def refuse(rows: pa.Table) -> None:
            refused.add(map(self._quarantined, rows.to_pylist()))

        written = delivered_schema(self._contract, self.task, self._policy, self._spec.dates)
        added = (*ACTION_COLUMNS, *FLOOR_COLUMNS, MOMENT)
        schema = pa.schema([field for field in written if field.name not in added])
        rows, days = 0, Counter[date]()
        with pq.ParquetWriter(delivered, written, write_page_checksum=True, compression="zstd") as writer:
            batches = pq.ParquetFile(accepted, page_checksum_verification=True).iter_batches()
            for batch in join(
                batches, answers, fields=self.task.answer, schema=schema, model_version=model_version, refuse=refuse
            ):
                batch = self._act(dated(batch, self._spec), written, model_version)
                writer.write_batch(batch)
                rows += batch.num_rows
                days.update(rows_by_day(batch.column(self._spec.event_time)))
        return rows, days

    def _act(self, batch: pa.RecordBatch, written: pa.Schema, model_version: str) -> pa.RecordBatch:
        """The rows with what is done with each, by the policy as it stands now: a pause holds in mid-file too."""
        if self._standing is None or not (acting := self._standing.acting(model_version)):
            return batch
        instead: list[Instead | None] = []
        if acting.below_floor:
            read = {*self._spec.key, self._spec.event_time, *self._spec.label_columns} & {*batch.schema.names}
            cells = [{name: as_json(cell) for name, cell in row.items()} for row in batch.select([*read]).to_pylist()]
            of_row = self._known.rule(cells) if self._known else None
            chain = answerers(self._spec, self.task, rule=self._standing.rule_answer(), of_row=of_row)
            instead = [one if one.answered_by == "rule" else None for one in answer_instead(cells, chain, self.task)]
        time, key, fields = self._spec.event_time, self._spec.key, self.task.answer
        return acted(batch, acting, written, event_time=time, key=key, fields=fields, instead=instead)

    def _quarantined(self, row: dict[str, Any]) -> QuarantinedRow:
        """A row that the contract has accepted and the model's container has not, as a quarantined row."""
        # What remains in `row` are the contract's columns, which are kept as the raw row.
        line, reason = row.pop(LINE), row.pop(REJECTED)
        violation = RuleViolation(
            reason=reason_of(reason["column"], self._scoring),
            column=reason["column"],
            expected=reason["expected"],
            got=reason["came"],
        )
        return QuarantinedRow(line=line, violations=(violation,), key=key_text(row, self._scoring), raw=raw_row(row))
