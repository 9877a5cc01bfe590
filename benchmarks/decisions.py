"""What a decision costs after its answer: written as a line, and absorbed by night. CPU, without network.

Run it as `python -m benchmarks.decisions`.

The function `decisions` takes a batch of messages, checks each line and writes an object for each day. The bare way
beside it encodes the same documents and packs them. A night absorbs objects with these lines into Parquet files; beside
it each line is parsed whole, as a table with a column for each field would need. S3 is a dictionary. All in one run, so
that the load of the machine falls on both sides.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from types import SimpleNamespace
from typing import Any

from benchmarks import conclude, peak_mb
from benchmarks.prediction import ENVIRONMENT, EVENT
from tests.functions.cold_start import CONTEXT

TIMES_BARE, SHARE_WHOLE, MOST_MB = 2.0, 0.5, 400.0
"""Bars: the writer beside the bare way, a night beside parsing whole, and the memory that a night adds."""
MESSAGES, LINES = 100, 48
OBJECTS = 100
"""Objects of a night, each as the writer makes it of MESSAGES: 400 MB of lines."""
ROUNDS = 5


def verdict(
    *, written_us: float, bare_us: float, absorbed_us: float, whole_us: float, added_mb: float
) -> dict[str, Any]:
    """The result: CPU µs a line on each side, and MB, against the bars."""
    times, share = round(written_us / bare_us, 2), round(absorbed_us / whole_us, 2)
    return {
        "name": "decisions",
        "figure": times,
        "unit": "CPU of the writer / json.dumps and gzip",
        "bar": TIMES_BARE,
        "absorbed_beside_parsed_whole": share,
        "bar_of_absorbed": SHARE_WHOLE,
        "added_mb": round(added_mb),
        "bar_of_added_mb": MOST_MB,
        "holds": times <= TIMES_BARE and share <= SHARE_WHOLE and added_mb <= MOST_MB,
    }


class Bucket:
    """S3 with OBJECTS objects of the same lines, which keeps nothing but the sizes of what is put."""

    def __init__(self, body: bytes = b"") -> None:
        self.body, self.put = body, dict[str, int]()

    def get_paginator(self, _: str) -> Any:
        folder = "electricity/decisions/date=1997-01-01"
        entries = [{"Key": f"{folder}/{number:032x}.jsonl", "Size": len(self.body)} for number in range(OBJECTS)]
        return SimpleNamespace(paginate=lambda **_: [{"Contents": entries}])

    def get_object(self, **_: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.body)}

    def put_object(self, *, Key: str, Body: Any, **_: Any) -> None:
        self.put[Key] = len(Body) if isinstance(Body, bytes) else Body.seek(0, io.SEEK_END)


def cpu_us(do: Callable[[], object], rows: int) -> float:
    """CPU µs a row of one call."""
    started = time.process_time()
    do()
    return (time.process_time() - started) / rows * 1e6


def lines() -> Iterator[str]:
    """The lines of a batch of messages: a day of `electricity`, again and again."""
    from millrace.decisions.record import Decision, canonical, to_line

    rows = json.loads(EVENT.read_text())["rows"]
    for number in range(MESSAGES * LINES):
        row = rows[number % len(rows)]
        confidence = 0.5 + number / (2 * MESSAGES * LINES)
        yield to_line(
            Decision(
                id=f"0f6aba56-8491-40dd-8c0e-{number // LINES:012d}-{number % LINES}",
                workload="electricity",
                event_time=datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC),
                key={"timestamp": row["timestamp"]},
                input=canonical(row | {"nswprice": number / 1e6}),
                output={"value": 1, "probability": confidence, "confidence": confidence},
                model_version="3",
                phase="live",
                fallback=False,
                latency_ms=number / 7,
                inferred_at=datetime(1997, 1, 2, tzinfo=UTC) + timedelta(milliseconds=number),
            )
        )


def written(sent: list[str]) -> Iterator[tuple[float, float]]:
    """CPU µs a line of the writer and of the bare way, round by round."""
    from millrace.functions.decisions import handler as function

    function.S3 = Bucket()
    event = {
        "Records": [
            {"messageId": f"{number}", "body": "\n".join(sent[number * LINES : (number + 1) * LINES])}
            for number in range(MESSAGES)
        ]
    }
    documents = [json.loads(line) for line in sent]

    def bare() -> bytes:
        return gzip.compress("".join(f"{json.dumps(document)}\n" for document in documents).encode(), 6)

    for _ in range(ROUNDS):
        assert function.handler(event, CONTEXT) == {"batchItemFailures": []}
        yield cpu_us(lambda: function.handler(event, CONTEXT), len(sent)), cpu_us(bare, len(sent))
    assert function.S3.put


def absorbed(sent: list[str]) -> tuple[float, float]:
    """CPU µs a line of a night, and of parsing lines whole."""
    from millrace.decisions.absorption import absorb
    from millrace.decisions.record import from_line

    bucket, done = Bucket("".join(f"{line}\n" for line in sent).encode()), []
    night = datetime(1997, 2, 1, tzinfo=UTC)
    rows = OBJECTS * len(sent)
    took = cpu_us(lambda: done.append(absorb(bucket, "lake", "electricity", as_of=night)), rows)
    assert done[0].rows == rows
    files = sum(size for key, size in bucket.put.items() if key.endswith(".parquet"))
    print(
        f"{done[0].files} files: {files / rows:.0f} bytes a row of {len(bucket.body) / len(sent):.0f} bytes of its line"
    )
    return took, median(cpu_us(lambda: [from_line(line) for line in sent], len(sent)) for _ in range(ROUNDS))


def main() -> None:
    """Print the figures and, as the last line, the result as JSON; exits with 1 where a bar is missed."""
    os.environ.update(ENVIRONMENT)
    from millrace.decisions.absorption import MOST_BYTES

    sent = list(lines())
    rounds = list(written(sent))
    written_us, bare_us = (median(each) for each in zip(*rounds, strict=True))
    before = peak_mb()
    absorbed_us, whole_us = absorbed(sent)
    added = peak_mb() - before
    print(f"writer: {written_us:.1f} CPU µs a line; json.dumps and gzip {bare_us:.1f}")
    print(f"a night: {absorbed_us:.1f} CPU µs a row, {added:.0f} MB more; parsing a line whole {whole_us:.1f}")
    rows = MOST_BYTES / (sum(map(len, sent)) / len(sent) + 1)
    cpu_s, a_second = rows * absorbed_us / 1e6, rows / 86400
    print(f"{rows / 1e6:.1f} million rows a night, {a_second:.0f} a second all day: {cpu_s:.0f} CPU s")
    both = {"written_us": written_us, "bare_us": bare_us, "absorbed_us": absorbed_us, "whole_us": whole_us}
    conclude(verdict(**both, added_mb=added))


if __name__ == "__main__":
    main()
