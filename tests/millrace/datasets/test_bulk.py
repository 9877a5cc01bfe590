"""A large drop that many tasks judge becomes the same rows and the same quarantine as one that a function judges."""

from __future__ import annotations

import copy
import gzip
import io
import itertools
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from localcloud.kernel.cloud import Cloud
from localcloud.sagemaker.endpoints.serving import free_port
from millrace.aws.objects import put_object, read_object
from millrace.contract.load import contract_of, read_document
from millrace.contract.schema import LINE
from millrace.datasets.bulk.run import FIRST, KEY, judge
from millrace.datasets.commits import commit
from millrace.datasets.new_rows import RowsInFile, Source
from millrace.datasets.quarantine import QuarantineFile, schema
from millrace.datasets.tables import Lake
from millrace.files.catalogue import read_drop
from millrace.files.origin import Origin
from millrace.files.parsed import Limits
from millrace.functions.ingestion.drop import parse
from millrace.messages.bulk import BulkPlan, BulkResult
from millrace.names import WorkloadNames
from tests.millrace.datasets.conftest import WORKLOAD

AT = datetime(1999, 1, 1, tzinfo=UTC)
DOCUMENT = read_document(WORKLOAD / "contract.yaml")
DOCUMENT["schema"][0]["properties"] += [
    {"name": "serial", "logicalType": "integer", "unique": True},
    {"name": "tag", "logicalType": "string", "unique": True},
]
"""Three keys: a time, a number and a text, and the latter may be missing."""
NAMES = [each["name"] for each in DOCUMENT["schema"][0]["properties"]]


@dataclass
class InTurn:
    """Runs one task after the other, and dies at the task with this number."""

    dies_at: int = -1
    tasks: int = 0

    def each(self, task: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        answers = []
        for item in items:
            self.tasks += 1
            if self.tasks == self.dies_at:
                raise KeyboardInterrupt
            answers.append(pickle.loads(pickle.dumps(task(pickle.loads(pickle.dumps(item))))))
        return answers

    def shared(self, keys: Callable[[Any], Iterator[pa.RecordBatch]], items: Sequence[Any]) -> pa.Table:
        rows = pa.Table.from_batches([batch for item in items for batch in keys(item)])
        firsts = rows.group_by([KEY, "value"]).aggregate([(LINE, "min"), (LINE, "count")])
        both = rows.join(firsts, [KEY, "value"]).to_pylist()
        shared = [row for row in both if row[f"{LINE}_count"] > 1 and row[LINE] > 0]
        columns = {KEY: KEY, LINE: LINE, FIRST: f"{LINE}_min"}
        schema = pa.schema([(name, pa.int64()) for name in columns])
        return pa.table({name: [row[old] for row in shared] for name, old in columns.items()}, schema=schema)


def row(number: int, **cells: object) -> dict[str, object]:
    minute = f"1997-01-{1 + number // 1440:02}T{number // 60 % 24:02}:{number % 60:02}:00"
    values = [minute, number % 7, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25, number % 2]
    return dict(zip(NAMES, [*values, number, f'tag "{number}"\n{"é" * (number % 3)}'], strict=True)) | cells


def rows(count: int, chance: random.Random) -> list[dict[str, object]]:
    """Rows of which some repeat a key of an earlier one, break a rule or cannot be parsed."""
    made: list[dict[str, object]] = []
    wrong = [{}] * 6 + [{"nswprice": 7}, {"serial": "x"}, {"tag": None}, {"serial": None}]
    for number in range(count):
        made.append(row(number, **chance.choice(wrong)))
        if chance.random() < 0.1:
            like = chance.choice(made)
            made[-1] |= {name: like[name] for name in chance.sample(["timestamp", "serial", "tag"], 1 + number % 2)}
    return made


def as_csv(made: list[dict[str, object]]) -> bytes:
    def cell(value: object) -> str:
        text = "" if value is None else str(value)
        return '"' + text.replace('"', '""') + '"' if set(text) & set('",\n') else text

    lines = [",".join(map(cell, each.values())) for each in made]
    return "\n".join([",".join(NAMES), *lines, "1,2", '9,"', ""]).encode()


def as_json(made: list[dict[str, object]]) -> bytes:
    return "\n".join([*(json.dumps(each) for each in made), "{", ""]).encode()


@dataclass
class Place:
    """A lake with a drop in its landing bucket."""

    names: WorkloadNames
    s3: Any
    folder: Path
    document: dict[str, Any]

    @property
    def lake(self) -> Lake:
        return Lake(self.names, contract_of(self.document, where="contract.yaml"))

    def plan(self, data: bytes, **fields: object) -> BulkPlan:
        names = self.lake.names
        bucket, key = names.platform.bucket("landing"), "electricity/training/rows"
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        version = self.s3.put_object(Bucket=bucket, Key=key, Body=data)["VersionId"]
        return BulkPlan(
            drop_id="drop",
            as_of=AT,
            source=f"s3://{bucket}/{key}?versionId={version}",
            size=len(data),
            replaceable="",
            contract=json.dumps(self.document, default=str),
            read_by_models=(),
            event_time="timestamp",
            horizon_hours=24,
            staging=names.lake_uri("staging", "drop") + "/",
            metadata_location=self.lake.open("rows").metadata_location,
            **fields,
        )

    def typed(self, data: bytes) -> pa.Table:
        (self.folder / "drop").write_bytes(data)
        table = self.lake.contract.table("training")
        return pa.concat_tables([part.rows for part in read_drop(self.folder / "drop", table)])

    def whole(self, data: bytes, uri: str) -> tuple[pa.Table, list[dict[str, Any]], dict[str, int]]:
        """The good rows, the quarantine and its counts, as one function judges the drop."""
        path, parsed, raw, refused = (self.folder / name for name in ("drop", "parsed", "raw", "refused"))
        path.write_bytes(data)
        table, made = self.lake.contract.table("training"), {"drop_id": "drop", "source": uri, "as_of": AT}
        origin = Origin(name="", at=AT, digest="d", fetch=lambda *_: b"")
        with QuarantineFile(raw, **made) as unparsable:
            parse({path: origin}, table, parsed, unparsable, limits=Limits())
        source = Source(uri=uri, key="electricity/training/rows", digest="d", written_by="drop", arrived=AT)
        quarantine = partial(QuarantineFile, refused, **made)
        judged = RowsInFile(self.lake, "rows", table, parsed=parsed, source=source, quarantine=quarantine)
        new = judged.write(self.lake.open("rows"))
        return self._read([file.file_path for file in new.files]), read(raw, refused), dict(new.quarantined)

    def judged(self, result: BulkResult, plan: BulkPlan) -> tuple[pa.Table, list[dict[str, Any]], dict[str, int]]:
        paths = []
        for name in ("unparsable", "refused"):
            paths.append(self.folder / name)
            paths[-1].write_bytes(read_object(self.s3, f"{plan.staging}{name}.parquet"))
        return self._read(list(result.files)), read(*paths), dict(result.quarantined)

    def _read(self, uris: list[str]) -> pa.Table:
        io, parts = self.lake.open("rows").io, [self.lake.schema("rows").empty_table()]
        for uri in uris:
            with io.new_input(uri).open() as stream:
                parts.append(pq.read_table(stream).cast(parts[0].schema))
        return pa.concat_tables(parts)


def read(*paths: Path) -> list[dict[str, Any]]:
    found = [row for path in paths for row in pq.read_table(path, schema=schema()).to_pylist()]
    return sorted(found, key=lambda row: row["line"])


@pytest.fixture
def place(names: WorkloadNames, cloud: Cloud, tmp_path: Path) -> Place:
    return Place(names, cloud.client("s3"), tmp_path, DOCUMENT)


def as_parquet(made: list[dict[str, object]], **written: Any) -> bytes:
    good = [each for each in made if each["serial"] != "x"]
    table = pa.Table.from_pylist(
        [each | {"timestamp": datetime.fromisoformat(str(each["timestamp"]))} for each in good]
    )
    pq.write_table(table, sink := io.BytesIO(), row_group_size=30, **written)
    return sink.getvalue()


def packed(made: list[dict[str, object]]) -> bytes:
    return gzip.compress(as_csv(made))


@pytest.mark.parametrize("write", [as_csv, as_json, as_parquet, packed])
@pytest.mark.parametrize("has_rows", [False, True])
def test_many_tasks_say_what_one_function_says(place: Place, write: Any, has_rows: bool) -> None:
    made = rows(200, random.Random(7))
    if has_rows:
        source = Source(uri="s3://before", key="before", digest="b", written_by="before", arrived=AT)
        commit(place.lake, "rows", place.typed(as_json([row(3), row(9), row(20, serial=41, tag="t")])), source)
    data = write(made)
    plan = place.plan(data, range_bytes=900)
    result = judge(plan, InTurn())
    assert place.judged(result, plan) == place.whole(data, plan.source)
    assert result.quarantined["duplicate_key"] > 5
    assert len(result.files) > (write is not packed)


def test_rows_that_are_too_few_are_all_refused(place: Place) -> None:
    place = replace(place, document=copy.deepcopy(DOCUMENT))
    place.document["schema"][0]["quality"] = [{"type": "library", "metric": "rowCount", "mustBeGreaterOrEqualTo": 500}]
    data = as_csv(rows(200, random.Random(7)))
    plan = place.plan(data, range_bytes=900)
    result = judge(plan, InTurn())
    assert place.judged(result, plan) == place.whole(data, plan.source)
    assert result.files == ()
    assert result.quarantined["row_count"] > 100


def test_a_job_that_is_killed_anywhere_and_begun_again_says_the_same(place: Place) -> None:
    data = as_json(rows(80, random.Random(9)))
    plan = place.plan(data, range_bytes=4000)
    whole, died = judge(plan.model_copy(update={"staging": plan.staging + "other/"}), InTurn()), 0
    for task in itertools.count(1):
        try:
            result = judge(plan, InTurn(dies_at=task))
            break
        except KeyboardInterrupt:
            died += 1
    assert died > 4
    assert result == whole
    assert place.judged(result, plan) == place.whole(data, plan.source)


def test_spark_says_what_one_function_says(place: Place, tmp_path: Path) -> None:
    """Through Sail and the job's own program, each in a process of its own."""
    made = [row(number % 40_000) for number in range(60_000)]
    source = Source(uri="s3://before", key="before", digest="b", written_by="before", arrived=AT)
    commit(place.lake, "rows", place.typed(as_json(made[500:700])), source)
    data = as_csv(made)
    plan = place.plan(data, range_bytes=2**20)
    put_object(place.s3, plan.staging + "plan.json", plan.model_dump_json().encode())
    port = free_port()
    server = [sys.executable, "-m", "pysail", "spark", "server", "--port", str(port)]
    with subprocess.Popen(server, env={**os.environ}) as sail:
        try:
            job = [sys.executable, "-m", "millrace.jobs.bulk", plan.staging + "plan.json"]
            subprocess.run(job, env={**os.environ, "SPARK_REMOTE": f"sc://localhost:{port}"}, check=True)
        finally:
            sail.kill()
    result = BulkResult.model_validate_json(read_object(place.s3, plan.result))
    assert place.judged(result, plan) == place.whole(data, plan.source)
    assert result.quarantined == {"duplicate_key": 20_200}
