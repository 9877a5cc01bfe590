"""A file put into the landing bucket: what is refused before, what lies there after."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.console.actions import drop
from millrace.contract.load import load_contract
from millrace.contract.reasons import Reason
from millrace.errors import DropError, RunError
from millrace.files.catalogue import read_drop
from millrace.functions.intake.arrivals import arrival_of
from tests.console.conftest import NAMES


@pytest.fixture
def s3(cloud: Any, landing: str) -> Any:
    return cloud.client("s3")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "week.csv"
    path.write_text("a,b\n1,2\n")
    return path


def test_a_file_lies_there_in_its_version_and_names_its_run(s3: Any, file: Path) -> None:
    key = drop.landing_key(NAMES, "scoring", "north/week.csv")
    dropped = drop.put(s3, NAMES, file, feed="scoring", key=key, said={})
    bucket, version = NAMES.platform.bucket("landing"), dropped.uri.rpartition("=")[2]
    assert dropped.uri == f"s3://{bucket}/electricity/scoring/north/week.csv?versionId={version}"
    assert s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read() == file.read_bytes()
    assert dropped.size == 8
    # The intake function, told of this object, claims exactly this drop.
    told = Path("events/intake.json").read_text()
    assert (dropped.machine, dropped.drop_id) == ("score", _intake_name(told, bucket, key, version))


def _intake_name(told: str, bucket: str, key: str, version: str) -> str:
    import json

    event = json.loads(json.loads(told)["Records"][0]["body"])
    event["detail"]["bucket"]["name"] = bucket
    event["detail"]["object"] |= {"key": key, "version-id": version}
    return arrival_of(json.dumps(event), NAMES).drop_id


@pytest.mark.parametrize(
    ("name", "content", "feed", "told"),
    [
        ("week.csv", b"", "scoring", r"FILE: expected 1 byte to 512 MiB, got .*week.csv of 0 bytes"),
        ("none.csv", None, "scoring", r"FILE: expected a file or a folder, got .*none.csv, which is not there"),
        ("week.csv", b"x", "score", r"--feed: expected one of \['training', 'labels', 'scoring'\], got 'score'"),
    ],
)
def test_what_is_no_drop_is_refused_before_the_upload(
    tmp_path: Path, name: str, content: bytes | None, feed: str, told: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=told):
        drop.check([tmp_path / name], feed, "dev")


def test_a_file_beyond_what_ingestion_reads_is_refused_before_the_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cdk.json").write_text('{"context": {"stages": {"prod": {"bulk": {}}}}}')
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path / "workloads"))
    with (file := tmp_path / "year.csv").open("wb") as opened:
        opened.truncate(512 * 2**20 + 1)
    with pytest.raises(RunError, match=r"512 MiB, got year.csv of 536,870,913 bytes; cut it"):
        drop.check([file], "scoring", "prod")
    with pytest.raises(RunError, match=r"512 MiB, got year.csv"):
        drop.check([file], "training", "dev")
    assert drop.check([file], "training", "prod") == "training"
    (tmp_path / "workloads").symlink_to(Path("workloads").resolve())
    content = drop.Content(path=file, plain=file, name="year.csv")

    def warned(name: str) -> str:
        names = replace(NAMES, platform=replace(NAMES.platform, stage="prod"), workload=name)
        return next(drop.warnings(None, names, load_contract(Path("workloads", name)), "training", content, "key"))

    for name, because in (("air_quality", "known_keys"), ("xray", "images")):
        with pytest.raises(RunError, match=f"512 MiB at most.*{because}"):
            warned(name)
    assert re.search(r"about [1-9]\d* minutes, 0\.\d\d USD at most", warned("electricity"))


@pytest.mark.parametrize("name", ["", "/week.csv", "week/", "../week.csv", "north/./week.csv", "north//week.csv"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(RunError, match="--name: expected a name such as"):
        drop.landing_key(NAMES, "scoring", name)


FILES = {
    "rows.csv": b"timestamp,class,nswprice\n2024-01-01T00:00:00,1,0.1\n",
    "rows.jsonl": b'{"timestamp": "2024-01-01T00:00:00", "class": 1}\n{"a": 1}\n',
}


@pytest.mark.parametrize("name", [*FILES, "rows.parquet"])
def test_a_file_to_score_that_has_the_label_is_told(tmp_path: Path, name: str) -> None:
    """Ingestion takes no such column: the file is refused whole, of JSON lines each row."""
    contract, path = load_contract(Path("workloads/electricity")), tmp_path / name
    if name in FILES:
        path.write_bytes(FILES[name])
    else:
        pq.write_table(pa.table({"timestamp": ["x"], "class": [1]}), path)
    assert drop.labels_in(path, contract, "scoring") == ("class",)
    assert drop.labels_in(path, contract, "training") == drop.labels_in(path, contract, "labels") == ()
    if path.suffix == ".jsonl":
        assert sum(part.rows.num_rows for part in read_drop(path, contract.table("scoring"))) == 0
    else:
        with pytest.raises(DropError, match=f"{Reason.COLUMNS}: .*unknown: 'class'"):
            list(read_drop(path, contract.table("scoring")))


def test_a_bucket_without_versions_is_told(s3: Any, file: Path) -> None:
    s3.put_bucket_versioning(Bucket=NAMES.platform.bucket("landing"), VersioningConfiguration={"Status": "Suspended"})
    try:
        with pytest.raises(RunError, match="expected a bucket that keeps versions"):
            drop.put(s3, NAMES, file, feed="labels", key="electricity/labels/week.csv", said={})
    finally:
        s3.put_bucket_versioning(Bucket=NAMES.platform.bucket("landing"), VersioningConfiguration={"Status": "Enabled"})
