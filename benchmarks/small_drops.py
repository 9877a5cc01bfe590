"""How long 1,000 small files into one table take, and a drop of another feed beside them.

`python -m benchmarks.small_drops`, or with another number of files behind it. They are dropped at once into the
local cloud, whose clock goes at the speed of the wall's; the other drop comes when the first of them are committed.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks import conclude
from benchmarks.burst import Outcome
from millrace.console.demo.electricity import STORY
from millrace.console.demo.months import SAMPLE, months
from millrace.console.local_cloud.local_cloud import LocalCloud, started
from millrace.names import drop_id_of
from millrace.state.holdings import Slots
from millrace.state.table import StateTable

FILES = 1000
SECONDS_PER_FILE = 0.3
"""1,000 files take five minutes."""
BESIDE_S = 10.0
"""From the drop to the end of its execution."""
MOST_S = 1800.0


def run(files: int) -> dict[str, Any]:
    """The figures of `verdict`, of a cloud of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="millrace-small-drops-") as folder,
        started(Path(folder), clock=STORY.start, workloads=[STORY.workload]) as cloud,
    ):
        begun = time.monotonic()
        put_rows(cloud, files)
        until_ended(cloud, 1)
        beside_s = drop_labels(cloud)
        while cloud.running() and time.monotonic() < begun + MOST_S:
            print(f"{time.monotonic() - begun:.0f} s: {dict(count(cloud))}", flush=True)
            time.sleep(5)
        took_s = time.monotonic() - begun
        outcome = look(cloud, hours=took_s / 3600)
        print(outcome, flush=True)
    whole = (outcome.effects, outcome.repeated, outcome.dead, outcome.held) == (files, 0, 0, 0)
    return {"files": files, "took_s": took_s, "beside_s": beside_s, "executions": outcome.executions, "is_whole": whole}


def put_rows(cloud: LocalCloud, drops: int) -> None:
    """Drop the first rows of the sample, each as a file."""
    (month,) = months(SAMPLE, "1996-05", "1996-05")
    s3, bucket = cloud.client("s3"), STORY.names.platform.bucket("landing")

    def put(number: int) -> None:
        sink = io.BytesIO()
        pq.write_table(month.rows.slice(number, 1), sink)
        s3.put_object(Bucket=bucket, Key=f"{STORY.workload}/training/{number}.parquet", Body=sink.getvalue())

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, range(drops)))


def executions(cloud: LocalCloud) -> list[dict[str, Any]]:
    pages = cloud.client("stepfunctions").get_paginator("list_executions")
    listed = pages.paginate(stateMachineArn=STORY.names.machine_arn("ingest"))
    return [one for page in listed for one in page["executions"]]


def count(cloud: LocalCloud) -> Counter[str]:
    return Counter(one["status"] for one in executions(cloud))


def look(cloud: LocalCloud, *, hours: float) -> Outcome:
    """What is there at the end; an effect is a drop whose row is in the table, by its execution's own words."""
    states, sqs = cloud.client("stepfunctions"), cloud.client("sqs")
    ends = [states.describe_execution(executionArn=one["executionArn"]) for one in executions(cloud)]
    for end in ends:
        if end["status"] != "SUCCEEDED":
            print(f"{end['status']}: {end.get('error')}: {end.get('cause', '')[:300]}", flush=True)
    outputs = [json.loads(end["output"]) for end in ends if end["status"] == "SUCCEEDED"]
    of_all = [answer for output in outputs if "validation" in output for answer in drops_in(output)]
    answers = [answer for answer in of_all if answer["feed"] == "training"]
    dead = 0
    for url in sqs.list_queues()["QueueUrls"]:
        if url.endswith("-dead"):
            found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
            dead += int(found["Attributes"]["ApproximateNumberOfMessages"])
    committed = [answer for answer in answers if answer["rows_accepted"] == 1]
    in_table = max((answer["rows_total"] for answer in answers), default=0)
    held = Slots(StateTable(cloud.client("dynamodb"), STORY.names)).holdings()
    sources = {answer["source"] for answer in committed}
    return Outcome(
        effects=min(len(sources), in_table),
        repeated=max(len(committed), in_table) - len(sources),
        executions=len(ends),
        dead=dead,
        held=len(held),
        hours=hours,
    )


def drops_in(output: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(output["validation"]["answer"]["drops"])


def until_ended(cloud: LocalCloud, number: int) -> None:
    while count(cloud)["SUCCEEDED"] < number:
        time.sleep(0.1)


def drop_labels(cloud: LocalCloud) -> float:
    """The seconds until a drop of labels has ended."""
    (month,) = months(SAMPLE, "1997-01", "1997-01")
    s3, states = cloud.client("s3"), cloud.client("stepfunctions")
    begun = time.monotonic()
    key = f"{STORY.workload}/labels/beside.csv"
    version = s3.put_object(Bucket=STORY.names.platform.bucket("landing"), Key=key, Body=month.labels())["VersionId"]
    name = drop_id_of(STORY.names.platform.bucket("landing"), key, version)
    arn = STORY.names.execution_arn("ingest", name)
    while time.monotonic() < begun + MOST_S:
        try:
            if states.describe_execution(executionArn=arn)["status"] == "SUCCEEDED":
                break
        except states.exceptions.ExecutionDoesNotExist:
            pass
        time.sleep(0.1)
    return time.monotonic() - begun


def verdict(
    *, files: int = FILES, took_s: float, beside_s: float, executions: int = 0, is_whole: bool = True
) -> dict[str, Any]:
    """The result: every file has one effect, all of them and the other drop in their time."""
    bar_s = files * SECONDS_PER_FILE
    return {
        "name": "small_drops",
        "figure": round(took_s, 1),
        "unit": f"s for {files} files",
        "bar": bar_s,
        "executions": executions,
        "beside_s": round(beside_s, 1),
        "holds": is_whole and took_s <= bar_s and beside_s <= BESIDE_S,
    }


def main() -> None:
    """Print the figures; exits with 1 if a file has no effect or two, or if it takes too long."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    conclude(verdict(**run(files)))


if __name__ == "__main__":
    main()
