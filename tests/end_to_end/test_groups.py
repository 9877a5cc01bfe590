"""Small drops that come together: one run for all of them, and each has its own outcome.

The rows are those of the sample's January, a year later."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pytest
from pyiceberg.catalog.glue import GlueCatalog

from millrace.console.demo.months import SAMPLE, file_to_score, months
from millrace.names import drop_id_of
from millrace.state.claims import Claims
from millrace.state.table import StateTable
from tests.end_to_end.conftest import Lived
from tests.end_to_end.test_faults import WEEK_ROWS, a_year_later, dead_letters, held, parquet

MANY_ROWS, SMALL_BYTES = 19_000_000, 2**20
SHORT_S = 3
"""For a file of some hundred rows by far enough, for one of MANY_ROWS not."""


def ids_of(lived: Lived, feed: str, uris: Mapping[str, str]) -> dict[str, str]:
    """The drops' ids by name."""
    bucket, prefix = lived.names.platform.bucket("landing"), f"{lived.names.workload}/{feed}/together/"
    return {name: drop_id_of(bucket, f"{prefix}{name}", uri.rpartition("=")[2]) for name, uri in uris.items()}


def test_small_drops_to_score_are_one_transform_job(lived: Lived) -> None:
    """The predictions of each are in a file of its own."""
    lines = file_to_score(months(SAMPLE, "1997-01", "1997-01")[0]).splitlines(keepends=True)
    bodies = {"a.csv": b"".join(lines[:30]), "b.csv": b"\x89PNG\r\n\x1a\n", "c.csv": lines[0] + b"".join(lines[95:110])}
    jobs = lived.cloud.client("sagemaker").get_paginator("list_transform_jobs")

    def job_names() -> set[str]:
        return {job["TransformJobName"] for page in jobs.paginate() for job in page["TransformJobSummaries"]}

    before = job_names()
    uris = lived.put_together("scoring", bodies)
    assert len(job_names() - before) == 1

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


@pytest.mark.night("millions of rows; by day a group whose run fails is split")
def test_a_small_file_with_millions_of_rows_keeps_no_neighbour_out(lived: Lived, catalog: GlueCatalog) -> None:
    """Ingestion runs out of time over it: the run of all three fails, then each has a run of its own."""
    rows = a_year_later("1997-01", "1997-01")
    one, other = rows.slice(2 * WEEK_ROWS, WEEK_ROWS // 2), rows.slice(5 * WEEK_ROWS // 2, WEEK_ROWS // 2)
    large = parquet(rows.slice(0, 1).take([0] * MANY_ROWS))
    assert len(large) < SMALL_BYTES
    bodies = {"x.parquet": parquet(one), "y.parquet": large, "z.parquet": parquet(other)}
    function, lambdas = lived.names.function("ingestion"), lived.cloud.client("lambda")
    usual_s = lambdas.get_function_configuration(FunctionName=function)["Timeout"]
    lambdas.update_function_configuration(FunctionName=function, Timeout=SHORT_S)
    try:
        uris = lived.put_together("training", bodies)
    finally:
        lambdas.update_function_configuration(FunctionName=function, Timeout=usual_s)

    ids = ids_of(lived, "training", uris)
    claims, states = (
        Claims(StateTable(lived.cloud.client("dynamodb"), lived.names)),
        lived.cloud.client("stepfunctions"),
    )
    assert {name: claims.execution_of(each) for name, each in ids.items()} == ids, "each has a run of its own"
    arns = {name: lived.names.execution_arn("ingest", each) for name, each in ids.items()}
    ended = {name: states.describe_execution(executionArn=arn)["status"] for name, arn in arns.items()}
    assert ended == {"x.parquet": "SUCCEEDED", "y.parquet": "FAILED", "z.parquet": "SUCCEEDED"}
    table = catalog.load_table((lived.names.platform.database, lived.names.table("rows")))
    assert held(table, pa.concat_tables([one, other])) == WEEK_ROWS
    assert dead_letters(lived) == {}
