"""`python -m millrace.jobs.bulk <plan>`: judges a drop, or joins small files, by the plan at the URI.

Spark runs the tasks; it reads and writes nothing by itself, and brings no rows together. In the account the session
is EMR Serverless's own, elsewhere that of the server in SPARK_REMOTE."""

from __future__ import annotations

import os
import pickle  # nosec B403 - of our own tasks' answers
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from millrace.datasets.bulk.run import do

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession


def each(spark: SparkSession, most: int, task: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """The task's answers to the items, in their order; Spark runs it in so many partitions at most.

    EMR Serverless runs as many at once as its executors have cores. Sail runs all at once, each in memory."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for number in (number for batch in batches for number in batch.column(0).to_pylist()):
            answer = pickle.dumps(task(items[number]))
            yield pa.RecordBatch.from_pydict({"number": pa.array([number], pa.int64()), "answer": [answer]})

    tasks = spark.range(0, len(items), 1, max(1, min(len(items), most)))
    rows = tasks.mapInArrow(run, "number long, answer binary").toArrow().sort_by("number")
    return [pickle.loads(answer) for answer in rows.column("answer").to_pylist()]  # noqa: S301 # nosec B301


def main(uri: str) -> None:
    """Do what the plan says."""
    from pyspark.sql import SparkSession

    most = (os.cpu_count() or 1) if "SPARK_REMOTE" in os.environ else sys.maxsize
    result = do(uri, partial(each, SparkSession.builder.getOrCreate(), most))
    print(result.model_dump_json(exclude={"files"}))


if __name__ == "__main__":
    main(sys.argv[1])
