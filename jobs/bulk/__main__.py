"""`python -m millrace.jobs.bulk <plan>`: judges the drop of the plan, whose URI is the argument.

Spark runs the tasks and brings equal keys together; it reads and writes nothing by itself. In the account the session
is EMR Serverless's own, elsewhere that of the server in SPARK_REMOTE."""

from __future__ import annotations

import os
import pickle  # nosec B403 - of our own tasks' answers
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from millrace.contract.schema import LINE
from millrace.datasets.bulk.run import FIRST, KEY, judge, plan_at

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


class SparkTasks:
    """Runs tasks by Spark, one in each of its partitions, of which `most` are made.

    EMR Serverless runs as many at once as its executors have cores. Sail runs all at once, each in memory."""

    def __init__(self, spark: SparkSession, most: int = sys.maxsize) -> None:
        self._spark, self._most = spark, most

    def each(self, task: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """The task's answers to the items, in their order."""

        def run(number: int) -> Iterator[pa.RecordBatch]:
            import pyarrow as pa

            answer = pickle.dumps(task(items[number]))
            yield pa.RecordBatch.from_pydict({"number": pa.array([number], pa.int64()), "answer": [answer]})

        rows = self._tasks(run, len(items), "number long, answer binary").toArrow().sort_by("number")
        return [pickle.loads(answer) for answer in rows.column("answer").to_pylist()]  # noqa: S301 # nosec B301

    def shared(self, keys: Callable[[Any], Iterator[pa.RecordBatch]], items: Sequence[Any]) -> pa.Table:
        """The rows that share a key with another one, each with the lowest line of its key."""
        from pyspark.sql import Window
        from pyspark.sql import functions as sql

        same = Window.partitionBy(KEY, "value")
        found = (
            self._tasks(lambda number: keys(items[number]), len(items), f"{KEY} long, value binary, line long")
            .select(KEY, "line", sql.min("line").over(same).alias(FIRST), sql.count("line").over(same).alias("rows"))
            .where("rows > 1 and line > 0")
            .select(KEY, "line", FIRST)
        )
        return found.toArrow().rename_columns([KEY, LINE, FIRST])

    def _tasks(self, run: Callable[[int], Iterator[pa.RecordBatch]], count: int, columns: str) -> DataFrame:
        """What the tasks with the numbers from 0 on yield."""

        def each(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for number in batch.column(0).to_pylist():
                    yield from run(number)

        return self._spark.range(0, count, 1, max(1, min(count, self._most))).mapInArrow(each, columns)


def main(uri: str) -> None:
    """Judge the drop of the plan."""
    from pyspark.sql import SparkSession

    most = (os.cpu_count() or 1) if "SPARK_REMOTE" in os.environ else sys.maxsize
    result = judge(plan_at(uri), SparkTasks(SparkSession.builder.getOrCreate(), most))
    print(result.model_dump_json(exclude={"files"}))


if __name__ == "__main__":
    main(sys.argv[1])
