"""`python -m millrace.jobs.bulk <plan>`: judges the drop of the plan, whose URI is the argument.

Spark runs the tasks and brings equal keys together; it reads and writes nothing by itself. In the account the session
is EMR Serverless's own, elsewhere that of the server in SPARK_REMOTE."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from millrace.aws.objects import read_object
from millrace.contract.schema import LINE
from millrace.datasets.bulk.job import client
from millrace.datasets.bulk.run import answer, judge, keys
from millrace.datasets.bulk.steps import FIRST
from millrace.messages.bulk import BulkPlan

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


class SparkTasks:
    """Runs tasks by Spark, one in each of its partitions."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def each(self, plan: str, tasks: Sequence[str]) -> list[str]:
        """The answers to the tasks, in their order."""

        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            import pyarrow as pa

            for number in numbers(batches):
                yield pa.RecordBatch.from_pydict(
                    {"number": pa.array([number], pa.int64()), "answer": [answer(plan, tasks[number])]}
                )

        found = self._tasks(len(tasks)).mapInArrow(run, "number long, answer string").toArrow().to_pylist()
        return [row["answer"] for row in sorted(found, key=lambda row: row["number"])]

    def shared(self, plan: str, items: Sequence[str]) -> pa.Table:
        """The lines whose key another line has, each with the lowest line of its key."""
        from pyspark.sql import Window
        from pyspark.sql import functions as sql

        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for number in numbers(batches):
                yield from keys(plan, items[number])

        same = Window.partitionBy("key")
        found = (
            self._tasks(len(items))
            .mapInArrow(run, "key binary, line long")
            .select("line", sql.min("line").over(same).alias(FIRST), sql.count("line").over(same).alias("rows"))
            .where("rows > 1 and line > 0")
            .select("line", FIRST)
        )
        return found.toArrow().rename_columns([LINE, FIRST])

    def _tasks(self, count: int) -> DataFrame:
        return self._spark.range(0, count, 1, max(1, count))


def numbers(batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
    """The numbers of a partition's tasks."""
    return (number for batch in batches for number in batch.column(0).to_pylist())


def main(uri: str) -> None:
    """Judge the drop of the plan."""
    from pyspark.sql import SparkSession

    plan = BulkPlan.model_validate_json(read_object(client(), uri))
    result = judge(plan, SparkTasks(SparkSession.builder.getOrCreate()))
    print(result.model_dump_json(exclude={"files"}))


if __name__ == "__main__":
    main(sys.argv[1])
