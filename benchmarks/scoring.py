"""What batch scoring costs from Parquet to Parquet, in CPU µs a row, beside read, one forward pass and write alone.

`python -m benchmarks.scoring [rows]`; the last line is JSON. Ours is the whole way of the machine `score` without
network: shards as Arrow streams, the container's application, answers joined and written. The limit does no more than
must be done: it reads the same file, stacks the features, asks the same model and writes the same table. Both take
turns in one process. The container itself, a process of its own, is asked the same shards for its peak memory.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import conclude
from benchmarks.serving import FEATURES, container, post, write_model
from localcloud.sagemaker.endpoints.serving import free_port
from millrace.artefact.artefact import read_folder
from millrace.artefact.batch import CONTENT_TYPE, read_answers
from millrace.artefact.inference import Model
from millrace.console.demo.electricity import STORY
from millrace.console.demo.months import SAMPLE
from millrace.contract.load import load_contract
from millrace.contract.schema import LINE
from millrace.decisions.scored import rows_by_day
from millrace.functions.delivery.joining import join
from millrace.functions.validation.shards import Shards
from millrace.messages.score import delivered_schema
from millrace.serving.application import Application
from millrace.serving.settings import Settings
from millrace.tasks.binary import EVEN, Binary
from tests.builders import invocation

ROWS, ROUNDS, BATCH_ROWS, SHARD_BYTES = 200_000, 5, 65_536, 5 * 2**20
BAR_RATIO, BAR_MB = 1.5, 500
VERSION = "1"
CONTRACT = load_contract(STORY.folder)
SCHEMA = delivered_schema(CONTRACT, Binary())


def write_rows(rows: int, file: Path) -> None:
    """Accepted rows: the workload's real ones, again and again."""
    sample = pq.read_table(SAMPLE).drop_columns([CONTRACT.label.name])
    whole = pa.concat_tables([sample] * (rows // sample.num_rows + 1)).slice(0, rows)
    whole = whole.append_column(LINE, pa.array(np.arange(1, rows + 1)))
    pq.write_table(whole, file, row_group_size=BATCH_ROWS, write_page_checksum=True)


def batches(file: Path) -> Iterator[pa.RecordBatch]:
    return pq.ParquetFile(file, page_checksum_verification=True).iter_batches(BATCH_ROWS)


def application(folder: Path) -> Application:
    artefact = read_folder(folder)
    variables = {"MILLRACE_MODEL_VERSION": VERSION, "MILLRACE_MODEL_DIGEST": artefact.digest, "SAGEMAKER_BATCH": "true"}
    return Application(Model(artefact), Settings.read(variables))


def cut(file: Path) -> list[bytes]:
    """The accepted rows as shards."""
    pieces: list[bytes] = []
    shards = Shards(lambda _, body: pieces.append(body), FEATURES, limit=SHARD_BYTES)
    for batch in batches(file):
        shards.add(pa.Table.from_batches([batch]))
    shards.finish()
    return pieces


def answered(application: Application, shard: bytes) -> bytes:
    (answer,) = application.answer([invocation(shard, CONTENT_TYPE)])
    assert answer.status == 200, answer.body
    return answer.body


def none_is_refused(rows: pa.Table) -> None:
    raise AssertionError(rows)


def ours(model: Application, file: Path, out: Path) -> dict[str, float]:
    """CPU seconds of each step."""
    begin = time.process_time()
    pieces = cut(file)
    sharded = time.process_time()
    bodies = [answered(model, piece) for piece in pieces]
    transformed = time.process_time()
    days = Counter[date]()
    answers = (read_answers(body, model_version=VERSION, fields=Binary().answer) for body in bodies)
    with pq.ParquetWriter(out, SCHEMA, compression="zstd", write_page_checksum=True) as writer:
        joined = join(
            batches(file), answers, fields=Binary().answer, schema=SCHEMA, model_version=VERSION, refuse=none_is_refused
        )
        for batch in joined:
            writer.write_batch(batch)
            days.update(rows_by_day(batch.column("timestamp")))
    delivered = time.process_time()
    return {"sharding": sharded - begin, "container": transformed - sharded, "delivery": delivered - transformed}


def limit(model: Model, file: Path, out: Path) -> float:
    """CPU seconds of read, forward and write."""
    begin = time.process_time()
    with pq.ParquetWriter(out, SCHEMA, compression="zstd", write_page_checksum=True) as writer:
        for batch in batches(file):
            features = [batch.column(name).to_numpy().astype(np.float32) for name in FEATURES]
            probability = model.outputs({"numbers": np.stack(features, axis=1)})[:, 0].astype(np.float64)
            value = probability >= EVEN
            found = {
                "value": pa.array(value.astype(np.int32)),
                "probability": pa.array(probability),
                "confidence": pa.array(np.where(value, probability, 1 - probability)),
                "model_version": pa.repeat(VERSION, batch.num_rows),
                SCHEMA.names[-1]: batch.column(LINE),
            }
            columns = [found[name] if name in found else batch.column(name) for name in SCHEMA.names]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))
    return time.process_time() - begin


def same(one: Path, other: Path) -> None:
    """Both deliver the same, bit for bit."""
    found, expected = pq.read_table(one), pq.read_table(other)
    for name in SCHEMA.names:
        assert found[name].equals(expected[name]), name


def peak_mb(root: Path, pieces: list[bytes]) -> float:
    """Of the container, one worker, when it has answered the shards; `root` stands for /opt/ml."""
    port = free_port()
    with container(root, port, SAGEMAKER_BATCH="true") as process:
        for piece in pieces:
            post(port, piece, CONTENT_TYPE)
        status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def verdict(*, ratio: float, peak_mb: float) -> dict[str, Any]:
    """The result: CPU over that of the limit, and the container's peak memory, against their bars."""
    figure = round(ratio, 2)
    result = {"name": "scoring", "figure": figure, "unit": "x read + forward + write (CPU)", "bar": BAR_RATIO}
    return {**result, "holds": figure <= BAR_RATIO and peak_mb < BAR_MB, "container_peak_mb": round(peak_mb)}


def main() -> None:
    """Print the figures; the last line says whether the bars hold, and the exit status is 1 where one is missed."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        file = scratch / "accepted.parquet"
        write_rows(rows, file)
        write_model(scratch / "model")
        model, plain = application(scratch / "model"), Model(read_folder(scratch / "model"))
        rounds = []
        for _ in range(ROUNDS):
            rounds.append((ours(model, file, scratch / "ours"), limit(plain, file, scratch / "limit")))
        same(scratch / "ours", scratch / "limit")
        peak = peak_mb(scratch, cut(file))
    for step in rounds[0][0]:
        print(f"{step}: {median(one[step] for one, _ in rounds) / rows * 1e6:.2f} CPU µs a row")
    least = median(other for _, other in rounds)
    print(f"read, forward, write: {least / rows * 1e6:.2f} CPU µs a row")
    conclude(verdict(ratio=median(sum(one.values()) / other for one, other in rounds), peak_mb=peak))


if __name__ == "__main__":
    main()
