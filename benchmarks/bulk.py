"""A drop of 50 million rows as a job judges it: the wall's seconds, CPU seconds, and the memory of server and driver.

`python -m benchmarks.bulk [rows]`; the last line is JSON. The job is the image's program beside a Sail server, as in
the local cloud, with one worker for each core. Rows have three keys, a time, a number and a text, in no order and
without quotes; of a thousand one repeats the keys of another and one breaks a rule. Memory is the sum of both peaks and
must not grow with the rows. A TB in the account is on paper, by the rates that `millrace drop` names.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from moto.s3 import models

from benchmarks import conclude
from localcloud.emr_serverless.runs import SERVER
from localcloud.kernel.cloud import ACCOUNT
from localcloud.kernel.server import running
from localcloud.sagemaker.endpoints.serving import free_port
from millrace.aws.objects import put_object, read_object, split_uri
from millrace.contract.load import contract_of
from millrace.datasets.tables import Lake
from millrace.functions.ingestion.large import MOST_RANGES, RANGE_BYTES
from millrace.messages.bulk import BulkPlan, BulkResult
from millrace.workload.bulk import USUAL_VCPUS, job_minutes, job_usd
from tests.credentials import KEYS
from tests.millrace.datasets.conftest import make_places
from tests.millrace.datasets.test_bulk import DOCUMENT, NAMES, Place
from tests.millrace.state.conftest import NAMES as WORKLOAD

ROWS, AT_ONCE = 50_000_000, 500_000
MOST_S, MOST_GB, RARE = 1500.0, 4.0, 0.001
FIRST, PRIME = np.datetime64("1996-06-01", "us"), 67_108_859


def write(rows: int, file: Path) -> None:
    plain = pyarrow.csv.WriteOptions(quoting_style="none")  # the reader takes a block with a quote row by row
    with pyarrow.csv.CSVWriter(file, group_of(0, 1).schema, write_options=plain) as writer:
        for start in range(0, rows, AT_ONCE):
            writer.write(group_of(start, min(AT_ONCE, rows - start)))


def group_of(start: int, rows: int) -> pa.Table:
    random = np.random.default_rng(start)
    number = np.where(random.random(rows) < RARE, random.integers(start + 1, size=rows), np.arange(start, start + rows))
    number = number * 7_368_787 % PRIME  # other numbers stay different, in no order
    cells: dict[str, Any] = {name: random.random(rows).round(4) for name in NAMES}
    cells["nswprice"][random.random(rows) < RARE] = 7.0
    cells |= {"timestamp": FIRST + number * 1_000_003, "serial": number, "tag": np.char.mod("t%d", number)}
    cells |= {"day_of_week": random.integers(7, size=rows), "class": random.integers(2, size=rows)}
    return pa.table({name: pa.array(cells[name]) for name in NAMES})


def planned(s3: Any, file: Path) -> BulkPlan:
    """The plan for the file, which is the drop: moto would copy a whole object for each range of it."""
    with file.open("rb") as opened:
        content = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    lake = Lake(WORKLOAD, contract_of(DOCUMENT, where="contract.yaml"))
    size = len(content)
    plan = Place(lake, s3, file.parent).plan(b"drop", range_bytes=max(RANGE_BYTES, size // MOST_RANGES))
    drop = models.s3_backends[ACCOUNT]["aws"].get_object(*split_uri(plan.source.partition("?")[0]))
    drop.__class__ = type("Mapped", (models.FakeKey,), {"value": content, "size": size, "__module__": models.__name__})
    return plan.model_copy(update={"size": size})


def run(plan: BulkPlan, s3: Any) -> dict[str, Any]:
    """What the job took, with its result."""
    uri, port = f"{plan.staging}plan.json", str(free_port())
    put_object(s3, uri, plan.model_dump_json().encode())
    server = subprocess.Popen([sys.executable, "-c", SERVER, "spark", "server", "--port", port])
    began, variables = time.monotonic(), os.environ | {"SPARK_REMOTE": f"sc://localhost:{port}"}
    driver = subprocess.Popen([sys.executable, "-m", "millrace.jobs.bulk", uri], env=variables)
    of_driver, wall_s = os.wait4(driver.pid, 0)[2], time.monotonic() - began
    server.kill()
    both = of_driver, os.wait4(server.pid, 0)[2]
    cpu_s, peak_gb = sum(one.ru_utime + one.ru_stime for one in both), sum(one.ru_maxrss for one in both) / 2**20
    # Without a result the job has said why.
    result = BulkResult.model_validate_json(read_object(s3, plan.result))
    again = result.quarantined["duplicate_key"] / result.rows
    return {"wall_s": wall_s, "cpu_s": cpu_s, "peak_gb": peak_gb, "again": again, "digest": result.digest}


def verdict(*, wall_s: float, peak_gb: float, again: float, **more: Any) -> dict[str, Any]:
    """The result; `again` is the share of rows that were refused for a key."""
    holds = wall_s <= MOST_S and peak_gb <= MOST_GB and 0.9 * RARE < again < 1.1 * RARE
    result = {"name": "bulk", "figure": round(peak_gb, 2), "unit": "GB", "bar": MOST_GB, "wall_s": round(wall_s)}
    tb = {"tb_hours": round(job_minutes(10**12, USUAL_VCPUS) / 60, 1), "tb_usd": round(job_usd(10**12), 2)}
    return {**result, **more, **tb, "again": again, "holds": holds}


def main() -> None:
    """Print the figures; exits with 1 where a bar is missed."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "cloud") as cloud:
        os.environ |= {**KEYS, "AWS_ENDPOINT_URL": cloud.endpoint_url}
        make_places(cloud, WORKLOAD.platform)
        write(rows, Path(folder) / "drop")
        plan = planned(cloud.client("s3"), Path(folder) / "drop")
        conclude(verdict(rows=rows, bytes=plan.size, **run(plan, cloud.client("s3"))))


if __name__ == "__main__":
    main()
