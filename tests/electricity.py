"""The shipped workload `electricity` with a changed declaration, in a cloud of its own, and files for it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.console.local_cloud.local_cloud import PLATFORM, SECRET_VARIABLE, LocalCloud, started

HOME = Path(__file__).resolve().parents[1] / "workloads" / "electricity"
SAMPLE = HOME / "sample" / "elec2.parquet"
REST_S = 300.0


def live_at_once(declared: str) -> str:
    """The text of workload.yaml with a rollout whose versions go live as soon as they have passed their gates."""
    found, count = re.subn(r"  phases: .*?\n(?=  instance:)", "  phases: [live]\n", declared, flags=re.DOTALL)
    assert count == 1
    return found


@contextmanager
def changed_electricity(
    folder: Path, *, clock: datetime, added: str = "", changes: Mapping[str, str] | None = None
) -> Iterator[LocalCloud]:
    """A cloud of the workload, which the commands in the block reach. Its versions go live at once; `changes` are texts
    of that workload.yaml and what stands in their place, `added` stands behind it."""
    own = folder / "workloads" / "electricity"
    shutil.copytree(HOME, own)
    declared = live_at_once((own / "workload.yaml").read_text())
    for before, after in (changes or {}).items():
        assert declared.count(before) == 1
        declared = declared.replace(before, after)
    (own / "workload.yaml").write_text(declared + added)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder / "workloads"))
        with started(folder / "build", clock=clock, workloads=["electricity"]) as cloud:
            patch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)
            patch.setenv(SECRET_VARIABLE, cloud.secret)
            yield cloud


def drop(cloud: LocalCloud, name: str, rows: pa.Table) -> None:
    """Put the rows below the workload's folder as `<name>.parquet`, and wait until all has ended that follows."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    key = f"electricity/{name}.parquet"
    cloud.client("s3").put_object(Bucket=PLATFORM.bucket("landing"), Key=key, Body=sink.getvalue().to_pybytes())
    cloud.wait(timeout_s=REST_S)
