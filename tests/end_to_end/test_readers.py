"""What lies in the lake is read by other people's readers, without a line of ours."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.table import Table

from millrace.aws.objects import read_object
from millrace.console.demo.months import SAMPLE, months
from millrace.console.environment import local_environment
from millrace.console.queries.query import find_tables, run_query
from millrace.decisions.store import read_days, stored_days
from tests.documentation.pages import PAGES
from tests.end_to_end.conftest import Lived

DOCS = "\n\n".join(PAGES.values())
(BY_MONTH,) = re.findall(r"```sql\n(.*?)```", DOCS, re.S)
RIGHT = """
WITH decided AS (
  SELECT CAST(from_iso8601_timestamp(event_time) AS timestamp) AS timestamp, min_by(value, inferred_at) AS answer
  FROM electricity_every_decision WHERE date >= '1997-01-01' AND run IS NULL AND NOT fallback GROUP BY 1),
labels AS (SELECT timestamp, max_by(class, _arrived) AS class FROM electricity_labels GROUP BY 1)
SELECT date_trunc('month', timestamp) AS month, count(*) AS decisions, avg(IF(answer = class, 1.0, 0.0)) AS accuracy
FROM decided JOIN labels USING (timestamp) GROUP BY 1 ORDER BY 1
"""
"""How often the model was right, by the labels that came later."""
HISTORY, LIVE = months(SAMPLE, "1996-05", "1996-12"), months(SAMPLE, "1997-01", "1997-06")


def load(lived: Lived, catalog: GlueCatalog, name: str) -> Table:
    return catalog.load_table((lived.names.platform.database, lived.names.table(name)))


def test_pyiceberg_reads_the_rows_of_a_pinned_version(lived: Lived, catalog: GlueCatalog) -> None:
    """The version that the first model was trained on is the eight files, row by row."""
    table = load(lived, catalog, "rows")
    (event,) = [event for event in lived.witness.told("model.registered") if event["detail"]["version"] == "1"]
    run = json.loads(lived.read(lived.names.run_uri(event["detail"]["run_name"], "config", "run.json")))
    (tag,) = [name for name, ref in table.refs().items() if ref.snapshot_id == int(run["snapshot_id"])]
    pinned = table.scan(snapshot_id=table.snapshot_by_name(tag).snapshot_id).to_arrow()
    wanted = pa.concat_tables([month.rows for month in HISTORY]).sort_by("timestamp")
    found = pinned.select(wanted.column_names).cast(wanted.schema).sort_by("timestamp")
    assert found.equals(wanted)
    assert set(pinned["_source"].to_pylist()) == {f"electricity/training/{month.name}.parquet" for month in HISTORY}


def test_pyiceberg_reads_the_labels(lived: Lived, catalog: GlueCatalog) -> None:
    """Every half hour of the six months once; of the day that came twice the first copy's classes."""
    labels = load(lived, catalog, "labels").scan().to_arrow().sort_by("timestamp").to_pylist()
    wanted: dict[Any, int] = {}
    for row in (row for month in LIVE for row in month.rows.to_pylist()):
        wanted.setdefault(row["timestamp"], row["class"])
    assert [(row["timestamp"], row["class"]) for row in labels] == sorted(wanted.items())
    assert len(labels) == 181 * 48


def test_the_query_of_the_docs_and_one_over_decisions_and_labels_are_answered(
    lived: Lived, catalog: GlueCatalog
) -> None:
    """By the command's own way: Athena, its workgroup, awswrangler."""
    environment = local_environment(lived.cloud)
    by_month, right = (run_query(environment, sql).rows.to_pylist() for sql in (BY_MONTH, RIGHT))
    assert [(row["month"].isoformat()[:7], row["half_hours"]) for row in by_month] == [
        (month.name, len(set(month.rows["timestamp"].to_pylist()))) for month in (*HISTORY, *LIVE)
    ]
    found = {row["month"].isoformat()[:7]: (row["decisions"], round(row["accuracy"], 6)) for row in right}
    assert found == accuracies(lived, load(lived, catalog, "labels").scan().to_arrow())


def test_the_docs_read_a_delivered_file(lived: Lived) -> None:
    """By the query and from the place that it names, of its workload `mine`."""
    (sql,), (uri,) = (
        re.findall(r'millrace query "(.+)" --output', DOCS),
        re.findall(r"(s3://\S+/mine/predictions/\S+)", DOCS),
    )
    drop = lived.below("predictions/")[0].partition("run=")[2].split("/")[0]
    sql, uri = (text.replace("mine", lived.names.workload).replace("<drop>", drop) for text in (sql, uri))
    file = pq.read_table(io.BytesIO(read_object(lived.cloud.client("s3"), uri)))
    answered = run_query(local_environment(lived.cloud), sql).rows
    assert answered["row_number"].to_pylist() == file["row_number"].to_pylist()
    assert answered.num_rows == 335
    assert {"value", "probability", "confidence", "model_version"} <= set(file.column_names)


def accuracies(lived: Lived, labels: pa.Table) -> dict[str, tuple[int, float]]:
    """The same, counted here: by month, of the first decision of each half hour."""
    s3, bucket = lived.cloud.client("s3"), lived.names.platform.bucket("lake")
    days = list(stored_days(s3, bucket, lived.names.workload))
    truth = dict(zip(labels["timestamp"].to_pylist(), labels["class"].to_pylist(), strict=True))
    answers: dict[Any, Any] = {}
    for one in sorted(
        read_days(s3, bucket, lived.names.workload, days, most_scored=0).decisions, key=lambda one: one.inferred_at
    ):
        if not one.fallback and one.event_time.year == 1997:
            answers.setdefault(one.event_time.replace(tzinfo=None), one.value)
    months: dict[str, list[bool]] = {}
    for at in sorted(answers.keys() & truth.keys()):
        months.setdefault(f"{at:%Y-%m}", []).append(answers[at] == truth[at])
    return {month: (len(hits), round(sum(hits) / len(hits), 6)) for month, hits in months.items()}


def test_every_table_of_the_catalogue_is_queried(lived: Lived) -> None:
    environment, run = local_environment(lived.cloud), lived.below("predictions/")[0].partition("run=")[2].split("/")[0]
    tables = [one.table for one in find_tables(environment, workload="electricity")]
    assert tables == [lived.names.table(name) for name in (
        "decisions", "decisions_absorbed", "decisions_scored", "every_decision", "labels", "predictions", "quarantine",
        "rows")]  # fmt: skip
    for table in tables:
        if table.endswith("_absorbed"):
            continue  # its days have too few objects
        where = f" WHERE run = '{run}'" if table.endswith("_predictions") else ""
        assert run_query(environment, f"SELECT * FROM {table}{where} LIMIT 1").rows.num_rows == 1, table


def test_one_name_has_every_decision_once(lived: Lived) -> None:
    """Of requests and of the rows of a file, as the one reader of decisions has them."""
    s3, lake, workload = lived.cloud.client("s3"), lived.names.platform.bucket("lake"), lived.names.workload
    known = read_days(s3, lake, workload, list(stored_days(s3, lake, workload))).decisions
    fields = "id, event_time, value, probability, model_version, fallback, run, date"
    view = f"SELECT {fields} FROM {lived.names.table('every_decision')}"
    rows = run_query(local_environment(lived.cloud), view).rows.to_pylist()
    found = {row.pop("id"): row for row in rows}
    assert len(found) == len(rows)
    assert len([one for one in known if one.source == "batch"]) == 335
    assert found == {
        one.id: {
            "event_time": f"{one.event_time:%Y-%m-%dT%H:%M:%S.%fZ}",
            "value": one.output["value"],
            "probability": one.output["probability"],
            "model_version": one.model_version,
            "fallback": one.fallback,
            "run": one.id.rpartition("-")[0] if one.source == "batch" else None,
            "date": f"{one.event_time:%Y-%m-%d}",
        }
        for one in known
    }
    some = run_query(local_environment(lived.cloud), f"{view} v WHERE v.date < '1997-01-03'").rows.to_pylist()
    assert {row["id"] for row in some} == {row_id for row_id in found if found[row_id]["date"] < "1997-01-03"} != set()
