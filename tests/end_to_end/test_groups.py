"""Small drops that come together: one run for all of them, and each has its own outcome.

The rows are those of the sample's January, a year later."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow.parquet as pq

from millrace.console.demo.months import SAMPLE, file_to_score, months
from millrace.names import drop_id_of
from tests.builders import parquet
from tests.end_to_end.conftest import Lived


def ids_of(lived: Lived, feed: str, uris: Mapping[str, str]) -> dict[str, str]:
    """The drops' ids by name."""
    bucket, prefix = lived.names.platform.bucket("landing"), f"{lived.names.workload}/{feed}/together/"
    return {name: drop_id_of(bucket, f"{prefix}{name}", uri.rpartition("=")[2]) for name, uri in uris.items()}


def transforms(lived: Lived) -> set[str]:
    """The names of all transform jobs."""
    jobs = lived.cloud.client("sagemaker").get_paginator("list_transform_jobs")
    return {job["TransformJobName"] for page in jobs.paginate() for job in page["TransformJobSummaries"]}


def test_small_drops_to_score_are_one_transform_job(lived: Lived) -> None:
    """The predictions of each are in a file of its own."""
    lines = file_to_score(months(SAMPLE, "1997-01", "1997-01")[0]).splitlines(keepends=True)
    bodies = {"a.csv": b"".join(lines[:30]), "b.csv": b"\x89PNG\r\n\x1a\n", "c.csv": lines[0] + b"".join(lines[95:110])}
    before = transforms(lived)
    uris = lived.put_together("scoring", bodies)
    assert len(transforms(lived) - before) == 1

    ids = ids_of(lived, "scoring", uris)
    events = {event["detail"]["drop_id"]: event["detail"] for event in lived.witness.told("scores.delivered")}
    found = {name: events[drop_id] for name, drop_id in ids.items() if drop_id in events}
    assert {name: (event["rows"], event["quarantined"]) for name, event in found.items()} == {
        "a.csv": (29, 0),
        "c.csv": (14, 1),
    }
    numbers = {name: lived.parquet(event["uri"])["row_number"].to_pylist() for name, event in found.items()}
    assert numbers == {"a.csv": list(range(2, 31)), "c.csv": [number for number in range(2, 17) if number != 8]}
    (refused,) = lived.quarantine(ids["c.csv"])
    assert (refused["source"], refused["line"], refused["reason"]) == (uris["c.csv"], 8, "range")
    (foreign,) = lived.quarantine(ids["b.csv"])
    assert (foreign["source"], foreign["reason"]) == (uris["b.csv"], "foreign")


def test_a_large_file_is_scored_by_several_instances_and_delivered_in_order(lived: Lived) -> None:
    """In shards of 4 kB, of which an instance has a hundred; one object for each, and one delivery."""
    functions, name = lived.cloud.client("lambda"), lived.names.function("validation")
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    rows = pq.read_table(SAMPLE).slice(0, 9_000).drop_columns(["class"])
    before = transforms(lived)
    try:
        small = {"Variables": variables | {"MILLRACE_SHARD_BYTES": "4096"}}
        functions.update_function_configuration(FunctionName=name, Environment=small)
        lived.put("scoring", "large.parquet", parquet(rows))
        lived.rest()
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    [job] = transforms(lived) - before
    described = lived.cloud.client("sagemaker").describe_transform_job(TransformJobName=job)
    assert described["TransformResources"]["InstanceCount"] == 3
    [event] = [told["detail"] for told in lived.witness.told("scores.delivered") if told["detail"]["rows"] == 9_000]
    delivered = lived.parquet(event["uri"])
    assert delivered["row_number"].to_pylist() == list(range(1, 9_001))
    assert delivered["timestamp"].equals(rows["timestamp"].cast(delivered["timestamp"].type))
