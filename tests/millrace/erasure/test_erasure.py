"""What is kept of a person goes from each store, is counted once however often a call dies, and nothing else goes."""

from __future__ import annotations

import gzip
import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from localcloud.kernel.cloud import Cloud
from millrace.artefact.batch import write_stream
from millrace.aws.objects import keys_below, read_object
from millrace.contract.schema import PREDICTION_ID, Column, Contract, Table
from millrace.datasets.commits import commit
from millrace.datasets.examples import digest_of_rows
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pin, pins
from millrace.erasure import objects
from millrace.erasure.erasure import Erasure
from millrace.evaluation.sample import sample_digest, write_sample
from millrace.messages.withdrawal import ErasureRequest
from millrace.names import TABLES, WorkloadNames
from millrace.state.erasures import ErasureProgress, pseudonym_of
from millrace.state.reviews import SPREAD
from millrace.state.table import StateTable
from millrace.timestamps import parse_utc
from tests.millrace.datasets.conftest import lake, names, pair
from tests.millrace.datasets.test_commits import source
from tests.millrace.datasets.test_rewriting import rewrite
from tests.millrace.files.test_catalogue import parquet
from tests.millrace.state.test_reviews import dying
from tests.state_table import create_table

__all__ = ["lake", "names", "pair"]

BUCKETS = ("landing", "lake", "artefacts")
LINE = b'{"eventMetadata": {"eventId": "r-%d"}, "key": {"id": %d}, "image": "s3://l/captured/%064d"}\n'


class Stage:
    """The stores of a workload whose rows have a key of this kind."""

    def __init__(self, cloud: Cloud, names: WorkloadNames, kind: Any, *more: Column) -> None:
        said = Column(name="said", kind="string", label=True)
        rows = Table(name="rows", columns=(Column(name="id", kind=kind), *more, said), keys=(("id",),))
        self.lake, self.names = Lake(names, Contract(rows=rows, labels=rows, digest="")), names
        self.s3, self.dynamodb = cloud.client("s3"), cloud.client("dynamodb")
        create_table(self.dynamodb, names.platform.state_table)
        for bucket in map(names.platform.bucket, BUCKETS):
            self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def put(self, store: str, body: bytes) -> None:
        bucket, _, key = store.partition("/")
        self.s3.put_object(Bucket=self.names.platform.bucket(bucket), Key=f"{self.names.workload}/{key}", Body=body)

    def kept(self) -> dict[str, bytes]:
        places = map(self.names.platform.bucket, BUCKETS)
        found = [f"s3://{place}/{key}" for place in places for key in keys_below(self.s3, place, "")]
        return {uri.partition(f"/{self.names.workload}/")[2]: read_object(self.s3, uri) for uri in found}

    def erasure(self, *cells: str) -> tuple[Erasure, ErasureProgress]:
        state, at = StateTable(self.dynamodb, self.names), parse_utc("2026-01-01")
        column = self.lake.contract.rows.columns[0].name
        request = ErasureRequest(cause="e", as_of=at, by="ann", reason="r", column=column, cells=cells)
        progress = ErasureProgress.find(state, "e") or ErasureProgress(cause="e", until=at)
        return Erasure(self.lake, self.s3, self.dynamodb, request, progress), progress

    def erase(self, cell: str) -> dict[str, list[int]]:
        """By store how much went in all calls, and what is left."""
        erasure, progress = self.erasure(cell)
        list(erasure.steps())
        assert not progress.at, "it may be the name of a file, which may name the person"
        return {store: found for store, found in progress.counts.items() if any(found)}


@pytest.mark.parametrize("lives", [[], [1], [3], [2, 2, 1]])
def test_a_number_counts_in_its_column_alone_and_once(lives: list[int], cloud: Cloud, names: WorkloadNames) -> None:
    stage = Stage(cloud, names, "int64")
    stage.put("landing/training/a.csv", b"id,said\n4711,a\n5,4711\n+04711.0,b\n")
    stage.put("landing/training/a.parquet", parquet(id=[4711.0, 5.0, None], said=["a", "4711", "4711"]))
    stage.put("landing/scoring/4711.jsonl", b'{"id": 4711.0}\n{"id": 47110, "said": 4711}\n')
    stage.put("lake/decisions/a.jsonl", LINE % (0, 4711, 7) + LINE % (1, 5, 8))
    reviews = StateTable(stage.dynamodb, names, spread=SPREAD)
    for key, image in ((4711, 7), (5, 8)):
        stage.put(f"lake/captured/{image:064}", b"image")
        reviews.put(f"item#{key}", {"key": json.dumps({"id": key}), "output": json.dumps({"value": 4711})})
    for life in lives:
        with dying(stage.s3, "DeleteObject", life):
            stage.erase("4711")
    wanted = {"landing/training": 3, "landing/scoring": 1, "lake/captured": 1, "lake/decisions": 1, "state": 1}
    assert stage.erase("4711") == {store: [count, 0] for store, count in wanted.items()}
    kept = stage.kept()
    assert pq.read_table(io.BytesIO(kept.pop("erased/training/a.parquet")))["id"].to_pylist() == [5, None]
    assert kept == {
        "erased/training/a.csv": b"id,said\n5,4711\n",
        "erased/scoring/4711.jsonl": b'{"id": 47110, "said": 4711}\n',
        "decisions/a.jsonl": LINE % (1, 5, 8),
        f"captured/{8:064}": b"image",
    }


def test_who_comes_back_is_found_by_a_pseudonym_in_whatever_form(cloud: Cloud, names: WorkloadNames) -> None:
    stage = Stage(cloud, names, "int64")
    stage.put("landing/training/a.parquet", parquet(id=[4711, 0]))
    stage.put("landing/training/a.csv", b"id,said\n+04712,a\n5,b\n")
    stage.put("landing/training/4713.png", b"\x89PNG")
    stage.put("landing/scoring/a.jsonl.gz", gzip.compress(b'{"id": 4714.0}\n{"id": 5}\n'))
    stage.put("lake/decisions/a.jsonl", LINE % (0, 4715, 7))
    stage.put("lake/staging/a.arrow", write_stream(pa.table({"id": ["5", "4716"]}).to_batches()))
    item = {"key": json.dumps({"id": 4717}), "output": json.dumps({"value": 4718})}
    StateTable(stage.dynamodb, names, spread=SPREAD).put("item#0", item)
    pseudonyms = [pseudonym_of({"id": str(cell)}, "secret") for cell in (0, *range(4711, 4719))]
    found = stage.erasure()[0].find(pseudonyms, "secret", end_s=math.inf)
    assert found == tuple(map(str, (0, *range(4711, 4718))))


def test_a_record_goes_by_its_key_and_who_is_mentioned_elsewhere_is_told(cloud: Cloud, names: WorkloadNames) -> None:
    stage, name = Stage(cloud, names, "string"), "c-1783"
    images = [{"id": who, "image": {"object": image}} for who, image in ((name, "a.png"), ("c-2", "b.png"))]
    lines = [json.dumps(one).encode() + b"\n" for one in images]
    stage.put("landing/training/a.csv", b"id,said\nc-1783,a\nc-2,friend of c-1783\nc-1783,b,c\n")
    stage.put("landing/training/a.tar.gz", gzip.compress(bytes(257) + b"ustar" + b"\nc-1783\n"))
    stage.put("landing/training/for_c-1783.csv", b"id,said\nc-1783,a\nc-2,b\n")
    stage.put("landing/training/c-1783.png", b"\x89PNG")
    held = {"object": json.dumps({"key": f"{names.workload}/training/for_c-1783.csv"})}
    StateTable(stage.dynamodb, names).put("held#0", held)
    stage.put("landing/objects/a.png", b"1")
    stage.put("landing/objects/b.png", b"2")
    stage.put("landing/scoring/images.jsonl", b"".join(lines))
    wanted = {
        "landing/objects": [1, 0],
        "landing/training": [5, 0],
        "landing/scoring": [1, 0],
        "landing/erased": [0, 1],
        "state": [1, 0],
    }
    assert stage.erase(name) == wanted
    kept = stage.kept()
    assert sorted(kept.values()) == sorted([b"2", b"id,said\nc-2,b\n", b"id,said\nc-2,friend of c-1783\n", lines[1]])
    assert name not in "".join(kept)


def test_what_has_no_key_of_its_own_goes_by_the_key_beside_it(cloud: Cloud, names: WorkloadNames) -> None:
    """A sample is proven as before, a shard takes its answers along, a reference has the new name of its file."""
    stage, name = Stage(cloud, names, "string"), "c-1783"
    whole = write_sample({"key": {"id": who}, "row": {"said": f"of {who}"}} for who in ("c-1", name, "c-2"))
    stage.put("artefacts/runs/r/evaluation/sample.jsonl", whole)
    stage.put("artefacts/runs/r/evaluation/evaluation.json", b"{}")
    for number, who in enumerate(("c-1", name)):
        rows = pa.table({"row_number": [1], "id": [who], "said": ["me"]})
        stage.put(f"lake/staging/r/shards/0000{number}.arrow", write_stream(rows.to_batches()))
        stage.put(f"lake/staging/r/transformed/0000{number}.arrow.out", b"of %d" % number)
    source = f'{{"source":"s3://l/{names.workload}/scoring/%s.png?versionId=7","rows":1}}'
    for who in ("c-1", name):
        stage.put(f"lake/decisions/date=2026-01-01/_{len(who)}.json", (source % who).encode())
    assert stage.erase(name) == {"artefacts/runs": [1, 0], "lake/staging": [1, 0], "lake/decisions": [1, 0]}
    kept = stage.kept()
    rest = kept.pop("runs/r/evaluation/sample.jsonl")
    assert sample_digest(rest) == sample_digest(whole)
    assert rest.splitlines() == [whole.splitlines()[at] for at in (0, 1, 3)]
    assert kept.pop("decisions/date=2026-01-01/_3.json").decode() == source % "c-1"
    assert b"/erased/scoring/" in kept.pop("decisions/date=2026-01-01/_6.json")
    assert kept.keys() == {f"staging/r/{one}" for one in ("shards/00000.arrow", "transformed/00000.arrow.out")} | {
        "runs/r/evaluation/evaluation.json"
    }
    assert sample_digest(rest + b"{}\n") != sample_digest(whole), "a line that was added"


def test_the_rows_are_those_of_a_stage_that_never_had_the_person(cloud: Cloud, pair: tuple[Lake, Lake]) -> None:
    order = Column(name="at", kind="timestamp_utc", generated="row_order")
    erased, never = (Stage(cloud, one.names, "string", order) for one in pair)

    def add(stage: Stage, name: str, ids: Sequence[str], at: int) -> None:
        times = pa.array(range(at, at + len(ids)), pa.timestamp("us", "UTC"))
        cells = {"id": ids, "at": times, "said": [f"of {one}" for one in ids], "_line": range(len(ids))}
        commit(stage.lake, "rows", pa.table(cells), source(name))

    def digest(stage: Stage) -> str:
        rows = stage.lake.open("rows").scan(selected_fields=("id", "at", "said")).to_arrow().sort_by("at")
        return digest_of_rows(rows, stage.lake.contract)

    add(erased, "a.csv", ["c-1", "c-1783", "c-2"], at=0)
    add(erased, "b.csv", ["c-3", "c-4"], at=10)
    add(never, "b.csv", ["c-3", "c-4"], at=7)
    add(never, "a.csv", ["c-1", "c-2"], at=2)
    assert digest(erased) != digest(never)
    erased.erase("c-1783")
    assert digest(erased) == digest(never)


def test_labels_go_by_their_cell_or_their_decision(cloud: Cloud, names: WorkloadNames) -> None:
    """Though the other of the two is nothing: a deletion of pyiceberg keeps such rows unless it is told of nulls."""
    stage = Stage(cloud, names, "int64", Column(name=PREDICTION_ID, kind="string"))
    ids = {"id": [4711, None, 5], PREDICTION_ID: [None, "r-0", None]}
    commit(stage.lake, "labels", pa.table({**ids, "said": [*"abc"], "_line": range(3)}), source("a.csv"))
    stage.put("lake/decisions/a.jsonl", LINE % (0, 4711, 7))
    assert stage.erase("4711")["lake/iceberg"] == [2, 0]
    assert stage.lake.open("labels").scan().count() == 1


@pytest.mark.parametrize(
    ("kind", "ids", "now"),
    [
        ("string", ["04711", "5"], {"kind": "int64"}),
        ("int64", [4711, 5], {"kind": "string"}),
        ("string", ["4711", "5"], {"name": "who", "formerly": "id"}),
        ("int64", [4711, 5], {"name": "who", "kind": "string", "physical_name": "id"}),
    ],
)
def test_a_version_goes_whose_columns_were_others(
    kind: Any, ids: list[Any], now: dict[str, Any], cloud: Cloud, names: WorkloadNames
) -> None:
    stage, cells = Stage(cloud, names, kind), pa.table({"id": ids, "said": ["a", "b"], "_line": [0, 1]})
    for table in TABLES:
        commit(stage.lake, table, cells, source("a"))
    pin(stage.lake, "t")
    first, said = stage.lake.contract.rows.columns
    rows = replace(stage.lake.contract.rows, columns=(replace(first, **now), said), keys=((now.get("name", "id"),),))
    stage.lake = Lake(names, Contract(rows=rows, labels=rows, digest=""))
    assert rewrite(stage.lake) or all(map(stage.lake.open, TABLES))
    assert stage.erase("4711") == {"lake/iceberg": [2, 0]}
    assert not pins(stage.lake.open("rows").metadata)


def test_a_large_file_is_looked_through_in_pieces(cloud: Cloud, names: WorkloadNames, monkeypatch: Any) -> None:
    stage, others = Stage(cloud, names, "string"), b"".join(b"c-17%d\n" % number for number in range(100, 200))
    monkeypatch.setattr(objects, "MOST_BYTES", 40)
    monkeypatch.setattr(objects, "PIECE", 16)
    named = others + b"c-1783"
    for place, body in enumerate((others, named, gzip.compress(others), gzip.compress(named), b"c-1783," * 9)):
        stage.put(f"lake/monitor/{place}", body)
    assert stage.erase("c-1783") == {"lake/monitor": [0, 3]}, "two name the person, and one has no lines"
