"""Judges drops before they enter their table: one that breaks a rule on the whole drop, or whose labels do not fit what
is known, is held whole until a person decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from millrace.aws.objects import read_object
from millrace.contract.drop_rules import Totals
from millrace.contract.future import up_to
from millrace.contract.schema import parsed_schema
from millrace.contract.validate import Validator, totals_of
from millrace.datasets.journal import Journal
from millrace.datasets.new_rows import parts
from millrace.datasets.tables import Lake
from millrace.functions.validation.labels import JudgedDrop, LabelJudge
from millrace.messages.bulk import BulkResult
from millrace.messages.ingest import DropObject, ParsedDrop, Staging
from millrace.state.held_drops import HeldDrop
from millrace.state.table import StateTable
from millrace.workload.declaration import Workload


class HeldJudge:
    """Judges the drops of one workload, for both tables."""

    def __init__(self, lake: Lake, workload: Workload, s3: Any, state: StateTable) -> None:
        """`s3` is boto3's client."""
        self._lake, self._workload, self._s3, self._state = lake, workload, s3, state

    def judge(self, table: str, drops: Sequence[tuple[ParsedDrop, DropObject | None, Path]]) -> dict[str, JudgedDrop]:
        """By drop id, what was found of each drop that is new to the table.

        Each comes with its object and its file of typed rows, which a drop that a job has judged does not have.

        A drop that a person has accepted is not judged again, and one that he has refused stays refused."""
        rules, labels, rate = self._lake.contract_of(table).drop_rules, None, self._workload.monitors.held_labels
        if table == "labels" and rate is not None:
            labels = LabelJudge(self._lake, self._workload, self._s3, self._state, rate=rate)
        # The judge of labels has read their journal. Without rules nothing is compared, and nothing is read.
        iceberg = self._lake.find(table) if rules and not labels else None
        own = Journal.of(iceberg) if iceberg is not None else None
        journal = labels.journal if labels else own
        judged: dict[str, JudgedDrop] = {}
        for drop, named, parsed in drops if rules or labels else ():
            # A repeated call: the drop is in the table, and is not compared with itself.
            if journal and any(entry.written_by == drop.drop_id for entry in journal.with_digest(drop.source_digest)):
                continue
            earlier = HeldDrop.find(self._state, drop.drop_id)
            if earlier and earlier.status == "refused":
                judged[drop.drop_id] = JudgedDrop(because=earlier.because, told=earlier)
                continue
            accepted_by = earlier.by if earlier and earlier.status == "accepted" else ""
            totals, accepted = self._read(drop, parsed, table)
            broken = [said for rule in rules if not accepted_by and (said := rule.broken(totals))]
            became = JudgedDrop(because=tuple(broken), rows=int(totals["good"]))
            if labels and not broken:
                became = labels.judge(drop, pa.concat_tables(accepted), accepted_by=accepted_by)
            judged[drop.drop_id] = became if accepted_by else self._kept(drop, named, became, earlier)
        return judged

    def _read(self, drop: ParsedDrop, parsed: Path, table: str) -> tuple[Totals, list[pa.Table]]:
        """The totals of the drop and, of labels, the rows that keep the contract, each key once."""
        if drop.bulk:
            result = read_object(self._s3, Staging(names=self._lake.names, of=drop.drop_id).result)
            return Totals(BulkResult.model_validate_json(result).totals), []
        contract = up_to(self._lake.contract_of(table), self._workload.prediction, arrived=drop.as_of)
        validator, totals = Validator(contract, decodes=True), Totals({"good": 0})
        accepted = [parsed_schema(contract).empty_table()]
        for part in parts(parsed, contract):
            found = validator.judge(part)
            totals.update(totals_of(found, contract))
            accepted += [found.accepted] if table == "labels" else []
        return totals, accepted

    def _kept(
        self, drop: ParsedDrop, named: DropObject | None, became: JudgedDrop, earlier: HeldDrop | None
    ) -> JudgedDrop:
        """The drop, kept if it is held; one that fits by now waits no more."""
        if not became.because:
            if earlier:
                earlier.decide(self._state, "judged", by="", reason="it was judged again, and it fits now")
            return became
        version = drop.source.rpartition("?versionId=")[2]
        known = named or DropObject(key=drop.source_key)
        held = known.model_copy(update={"version_id": version, "drop_id": drop.drop_id, "as_of": drop.as_of})
        HeldDrop(
            drop_id=drop.drop_id,
            object=held,
            because=became.because,
            rows=became.rows,
            held_at=drop.as_of,
            sent_by=drop.by,
            is_early=became.is_early,
        ).put(self._state)
        return replace(became, told=earlier) if earlier and {*earlier.because} == {*became.because} else became
