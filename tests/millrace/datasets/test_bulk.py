"""A large drop that many tasks judge becomes the same rows and the same quarantine as one that a function judges."""

from __future__ import annotations

import gzip
import json
import pickle
import random
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession

from localcloud.kernel.cloud import Cloud
from millrace.aws.objects import read_object
from millrace.contract.load import contract_of, read_document
from millrace.datasets.bulk.result import found
from millrace.datasets.bulk.run import judge
from millrace.datasets.commits import commit
from millrace.datasets.new_rows import RowsInFile, Source
from millrace.datasets.quarantine import QuarantineFile, schema
from millrace.datasets.tables import Lake
from millrace.files.origin import Origin
from millrace.files.parsed import Limits
from millrace.functions.ingestion import drop
from millrace.jobs.bulk.__main__ import each
from millrace.messages.bulk import BulkPlan, BulkResult
from millrace.names import WorkloadNames
from tests.millrace.datasets.conftest import WORKLOAD
from tests.millrace.files import conftest as writers

AT = datetime(1999, 1, 1, tzinfo=UTC)
DOCUMENT = read_document(WORKLOAD / "contract.yaml")
DOCUMENT["schema"][0]["properties"] += [
    {"name": "serial", "logicalType": "integer", "unique": True},
    {"name": "tag", "logicalType": "string", "unique": True},
]
"""Three keys: a time, a number and a text, and the latter may be missing."""
LEAST = 40
MEAN = {"type": "custom", "engine": "millrace", "implementation": "mean of period between 0.1 and 0.9"}
DOCUMENT["schema"][0]["quality"] = [{"metric": "rowCount", "mustBeGreaterOrEqualTo": LEAST}, MEAN]
NAMES = [each["name"] for each in DOCUMENT["schema"][0]["properties"]]


@dataclass
class InTurn:
    """Runs one task after the other, and dies at the task with this number."""

    dies_at: int = -1
    tasks: int = 0

    def __call__(self, task: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        answers = []
        for item in items:
            self.tasks += 1
            if self.tasks == self.dies_at:
                raise KeyboardInterrupt
            answers.append(pickle.loads(pickle.dumps(task(pickle.loads(pickle.dumps(item))))))
        return answers


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
    return writers.as_csv(made) + b'1,2\n9,"\n'


def as_json(made: list[dict[str, object]]) -> bytes:
    return writers.as_json_lines(made) + b"{\n"


def as_parquet(made: list[dict[str, object]]) -> bytes:
    good = [each for each in made if each["serial"] != "x"]
    times = [datetime.fromisoformat(str(each["timestamp"])) for each in good]
    return writers.as_parquet(good, rows_in_group=30, timestamp=pa.array(times))


def packed(made: list[dict[str, object]]) -> bytes:
    return gzip.compress(as_csv(made))


@dataclass
class Place:
    """A lake with a drop in its landing bucket."""

    lake: Lake
    s3: Any
    folder: Path

    def hold(self, made: list[dict[str, object]]) -> None:
        """Commit these rows, before the drop comes."""
        source = Source(uri="s3://before", key="before", digest=str(made), written_by="before", arrived=AT)
        commit(self.lake, "rows", writers.parse(as_json(made), self.lake.contract.table("training")).rows, source)

    def plan(self, data: bytes, *, range_bytes: int) -> BulkPlan:
        names = self.lake.names
        bucket, key = names.platform.bucket("landing"), "electricity/training/rows"
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        version = self.s3.put_object(Bucket=bucket, Key=key, Body=data)["VersionId"]
        usual: dict[str, Any] = {"drop_id": "drop", "as_of": AT, "source": f"s3://{bucket}/{key}?versionId={version}"}
        usual |= {"size": len(data), "replaceable": "", "contract": json.dumps(DOCUMENT, default=str)}
        usual |= {"read_by_models": (), "event_time": "timestamp", "horizon_hours": 24}
        usual |= {"staging": names.lake_uri("staging", "drop") + "/"}
        return BulkPlan(**usual, metadata_location=self.lake.open("rows").metadata_location, range_bytes=range_bytes)

    def whole(self, data: bytes, uri: str) -> tuple[pa.Table, list[dict[str, Any]], dict[str, int]]:
        """The good rows, the quarantine and its counts, as one function judges the drop."""
        path, parsed, raw, refused = (self.folder / name for name in ("drop", "parsed", "raw", "refused"))
        path.write_bytes(data)
        table, made = self.lake.contract.table("training"), {"drop_id": "drop", "source": uri, "as_of": AT}
        origin = Origin(name="", at=AT, digest="d", fetch=lambda *_: b"")
        with QuarantineFile(raw, **made) as unparsable:
            drop.parse({path: origin}, table, parsed, unparsable, limits=Limits())
        source = Source(uri=uri, key="electricity/training/rows", digest="d", written_by="drop", arrived=AT)
        quarantine = partial(QuarantineFile, refused, **made)
        judged = RowsInFile(self.lake, "rows", table, parsed=parsed, source=source, quarantine=quarantine)
        new = judged.write(self.lake.open("rows"))
        return self._read([file.file_path for file in new.files]), read(raw, refused), dict(new.quarantined)

    def judged(self, result: BulkResult, plan: BulkPlan) -> tuple[pa.Table, list[dict[str, Any]], dict[str, int]]:
        uris = [f"{plan.staging}{name}.parquet" for name in ("unparsable", "refused")]
        refused = read(*(pa.BufferReader(read_object(self.s3, uri)) for uri in uris))
        return self._read(list(result.files)), refused, dict(result.quarantined)

    def _read(self, uris: list[str]) -> pa.Table:
        schema = self.lake.schema("rows")
        parts = [pq.read_table(pa.BufferReader(read_object(self.s3, uri))).cast(schema) for uri in uris]
        return pa.concat_tables([schema.empty_table(), *parts])


def read(*files: Any) -> list[dict[str, Any]]:
    found = [row for file in files for row in pq.read_table(file, schema=schema()).to_pylist()]
    return sorted(found, key=lambda row: row["line"])


@pytest.fixture
def place(names: WorkloadNames, cloud: Cloud, tmp_path: Path) -> Place:
    return Place(Lake(names, contract_of(DOCUMENT, where="contract.yaml")), cloud.client("s3"), tmp_path)


@pytest.mark.parametrize("write", [as_csv, as_json, as_parquet, packed])
@pytest.mark.parametrize("has_rows", [False, True])
def test_many_tasks_say_what_one_function_says(place: Place, write: Any, has_rows: bool) -> None:
    if has_rows:
        place.hold([row(3), row(9), row(20, serial=41, tag="t")])
    data = write(rows(200, random.Random(7)))
    plan = place.plan(data, range_bytes=900)
    result = judge(plan, InTurn())
    assert place.judged(result, plan) == place.whole(data, plan.source)
    assert result.quarantined["duplicate_key"] > 5
    assert len(result.files) > (write is not packed)


def test_a_result_holds_until_the_table_gets_a_key_of_it(place: Place) -> None:
    data = as_json([row(number) for number in range(LEAST)])
    plan = place.plan(data, range_bytes=900)
    judge(plan, InTurn())
    # Texts lie between each other, so that only the keys themselves can be compared.
    for other, is_valid in ({"tag": "tag 20"}, True), ({"tag": row(20)["tag"]}, False):
        place.hold([row(LEAST + len(str(other)), **other)])
        assert found(place.s3, plan.result, place.lake, place.lake.open("rows"))[1] is is_valid


@pytest.mark.parametrize(("many", "broken"), [(LEAST - 1, ["rowCount"]), (LEAST, [])])
def test_a_job_counts_what_the_rules_on_a_whole_drop_ask_for(many: int, broken: list[str], place: Place) -> None:
    """One key comes twice, in pieces that do not know of each other."""
    data = as_csv([row(number) for number in range(many)] + [row(0)])
    result = judge(place.plan(data, range_bytes=900), InTurn())
    counts = {"good": many + 1, "repeated": 1, "every": many + 1, "invalidValues period": 0}
    assert result.totals == {**counts, "nullValues period": 0, "sum period": 0.5 * (many + 1)}
    rules = place.lake.contract.rows.drop_rules
    assert [rule.metric for rule in rules if rule.broken(result.totals)] == broken
    assert result.files, "a person may take it"


def test_a_job_that_is_killed_anywhere_and_begun_again_says_the_same(place: Place) -> None:
    data = as_json(rows(80, random.Random(9)))
    plan = place.plan(data, range_bytes=4000)
    whole, result, dies_at = judge(plan.model_copy(update={"staging": plan.staging + "other/"}), InTurn()), None, 0
    while result is None:
        dies_at += 1
        with suppress(KeyboardInterrupt):
            result = judge(plan, InTurn(dies_at))
    assert dies_at > 5
    assert result == whole
    assert place.judged(result, plan) == place.whole(data, plan.source)


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")
def test_spark_says_what_one_function_says(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # pyspark takes a process whose main module has no file, such as xdist's, for one of its doctests.
    monkeypatch.setattr(sys.modules["__main__"], "__file__", __file__, raising=False)
    made = [row(number % 40_000) for number in range(60_000)]
    place.hold(made[500:700])
    data = as_csv(made)
    plan = place.plan(data, range_bytes=2**20)
    server = SparkConnectServer()
    server.start(background=True)
    _, port = server.listening_address
    session = SparkSession.builder.remote(f"sc://localhost:{port}").create()
    result = judge(plan, partial(each, session, sys.maxsize))
    session.stop()
    server.stop()
    assert place.judged(result, plan) == place.whole(data, plan.source)
    assert result.quarantined == {"duplicate_key": 20_200}
