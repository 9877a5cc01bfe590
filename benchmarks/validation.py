"""Validation of 1M rows x 31 columns with every row's reasons, beside polars, duckdb, pandera, Great Expectations.

`python -m benchmarks.validation`; the last line is JSON. Each engine reads the same Parquet file in a process of
its own, in turns, and must refuse the same rows for the same reasons. CPU seconds of judgement count; with reading they
are told too. The others hold the good rows in the end, ours come by part after part, as the function takes them; nobody
writes. The peak memory is that of the function's own path, from file to files, at 1M and 4M rows.

The others live in build/bench/validation, an environment that is made at the first run.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import conclude, last_line, peak_mb
from benchmarks.peers import PEERS, environment
from millrace.contract.rules.allowed import Allowed
from millrace.contract.rules.pattern import Pattern
from millrace.contract.rules.range import Range
from millrace.contract.schema import LINE, Column, Table, parsed_schema

ROWS, MORE_ROWS, GROUP_ROWS = 1_000_000, 4_000_000, 62_500
ROUNDS = 3
BAR_GREAT_EXPECTATIONS, BAR_MB = 10.0, 512
EQUALS = ("polars", "duckdb", "pandera")
"""At least as good as the best of these."""

LAST = datetime(2026, 1, 31)  # noqa: DTZ001 - a contract's bounds on times without a zone
FIRST = LAST - timedelta(days=30)
FLOATS = [f"f{place}" for place in range(20)]
WORDS = {f"c{place}": [f"c{place}_{word:03}" for word in range(size)] for place, size in enumerate((5, 20, 100))}
CODES = [f"SKU-{chr(65 + code % 26)}{chr(65 + code // 26 % 26)}{code:04}" for code in range(1000)]
RULES: dict[str, Any] = {
    "required": [*FLOATS, "i0", "i1", "i2", "i3", "i4", "c0", "c1", "c2", "c3", "ts"],
    "range": {
        **dict.fromkeys(FLOATS, (-8.0, 8.0)),
        "i1": (0, 100),
        "i2": (0, 10_000),
        "i3": (0, 2_000_000_000),
        "i4": (-5, 5),
        "nf": (0.0, 1.0),
    },
    "moment": (FIRST.isoformat(), LAST.isoformat()),
    "allowed": WORDS,
    "pattern": {"c3": "^SKU-[A-Z]{2}[0-9]{4}$"},
    "key": "i0",
}
COLUMNS = [*FLOATS, "i0", "i1", "i2", "i3", "i4", "c0", "c1", "c2", "c3", "ts", "nf"]


def contract() -> Table:
    """The rules as a contract has them."""

    def column(name: str) -> Column:
        kinds = {"i": "int64", "c": "string", "t": "timestamp"}
        low, high = (FIRST, LAST) if name == "ts" else RULES["range"].get(name, (None, None))
        declared = (
            Range(minimum=low, maximum=high) if low is not None else None,
            Allowed(tuple(WORDS[name])) if name in WORDS else None,
            Pattern(RULES["pattern"][name]) if name in RULES["pattern"] else None,
        )
        return Column(
            name=name,
            kind=kinds.get(name[0], "float64"),  # type: ignore[arg-type]
            required=name in RULES["required"],
            rules=tuple(filter(None, declared)),
        )

    return Table(name="rows", columns=tuple(map(column, COLUMNS)), keys=(("i0",),))


def groups(rows: int) -> Iterator[pa.Table]:
    """Rows by groups, one in a thousand with one of eight things wrong; keys in no order."""
    for start in range(0, rows, GROUP_ROWS):
        yield _group(start, np.random.default_rng(start))


def _group(start: int, random: np.random.Generator) -> pa.Table:
    n = GROUP_ROWS
    bad = random.choice(np.arange(10, n), n // 1000 // 8 * 8, replace=False).reshape(8, -1)
    cells: dict[str, Any] = {}
    for place, name in enumerate(FLOATS):
        shape = (random.normal(0, 1, n), random.exponential(0.5, n), random.uniform(-3, 3, n))[place % 3]
        cells[name] = np.clip(np.round(shape, 6), -7.99, 7.99)
    # An odd factor maps the whole range of 64 bits onto itself: unique, and in no order.
    cells["i0"] = (np.arange(start, start + n, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)).view(np.int64)
    for name, (low, high) in {"i1": (0, 100), "i2": (0, 10_000), "i3": (0, 2_000_000_000), "i4": (-5, 5)}.items():
        cells[name] = random.integers(low, high + 1, n)
    words = {name: [*kept, "wrong"] for name, kept in {**WORDS, "c3": CODES}.items()}
    codes = {name: random.integers(0, len(kept) - 1, n).astype(np.int32) for name, kept in words.items()}
    span = int((LAST - FIRST) / timedelta(microseconds=1))
    moments = int(FIRST.replace(tzinfo=UTC).timestamp() * 1e6) + random.integers(1, span - 1, n)
    cells["nf"] = np.round(random.random(n), 6)
    empty = {"nf": random.random(n) < 0.1, "f7": np.isin(np.arange(n), bad[1])}
    cells["f3"][bad[0]], cells["i2"][bad[7]] = 999.0, -1
    codes["c1"][bad[2]], codes["c3"][bad[3]] = len(words["c1"]) - 1, len(words["c3"]) - 1
    cells["i0"][bad[4]] = cells["i0"][np.arange(bad.shape[1]) % 10]
    moments[bad[5]] -= 40 * 86_400_000_000
    moments[bad[6]] += 40 * 86_400_000_000
    columns = {name: pa.array(cells[name], mask=empty.get(name)) for name in cells}
    for name, kept in words.items():
        columns[name] = pa.DictionaryArray.from_arrays(pa.array(codes[name]), pa.array(kept)).cast(pa.string())
    columns["ts"] = pa.array(moments, pa.timestamp("us"))
    columns[LINE] = pa.array(np.arange(start + 1, start + n + 1))
    return pa.table({name: columns[name] for name in (*COLUMNS, LINE)})


def write(rows: int, file: Path, *, with_lines: bool) -> None:
    """The rows as a file: with their lines as ingestion writes them, without and in UTC as others read them."""
    writer: pq.ParquetWriter | None = None
    for group in groups(rows):
        part = group if with_lines else _for_peers(group)
        writer = writer or pq.ParquetWriter(file, part.schema, compression="zstd", write_page_checksum=True)
        writer.write_table(part)
    assert writer is not None
    writer.close()


def _for_peers(group: pa.Table) -> pa.Table:
    place = group.schema.get_field_index("ts")
    return group.set_column(place, "ts", group["ts"].cast(pa.timestamp("us", tz="UTC"))).drop_columns([LINE])


def ours(file: Path) -> dict[str, Any]:
    """What our validator says of the file, batch by batch, and what it took."""
    import pyarrow.compute  # noqa: F401 - before the clock starts, as with the others

    pa.array(np.zeros(1))  # imports pandas where it is installed; it is not in the function
    from millrace.contract.validate import Validator
    from millrace.datasets.new_rows import parts

    table, accepted, refused = contract(), 0, []
    validator = Validator(table)
    wall, begin, judge_s = time.perf_counter(), time.process_time(), 0.0
    for part in parts(file, table):
        read = time.process_time()
        verdict = validator.judge(part)
        accepted += verdict.accepted.num_rows
        refused += verdict.refused
        judge_s += time.process_time() - read
    told: dict[str, Any] = {"read_s": time.process_time() - begin - judge_s, "judge_s": judge_s}
    told["wall_s"] = time.perf_counter() - wall
    lines = [f"{(row.line or 0) - 1} {row.violations[0].column}:{row.reason}" for row in refused]
    told |= {"accepted": accepted, "refused": len(lines)}
    return told | {"answers": hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()}


def screened(file: Path, rows: int) -> dict[str, Any]:
    """The function's own path from file to files: seconds and the peak memory of this process."""
    from millrace.datasets.new_rows import screen
    from millrace.datasets.quarantine import QuarantineFile

    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        with (
            QuarantineFile(out / "refused", drop_id="r", source="s", as_of=LAST.replace(tzinfo=UTC)) as refused,
            pq.ParquetWriter(out / "accepted", parsed_schema(contract())) as writer,
        ):
            accepted = screen(file, contract(), writer.write_table, refused)
        assert accepted + refused.rows == rows
    seconds = time.perf_counter() - begin
    return {"wall_s": seconds, "peak_mb": peak_mb()}


def compare(scratch: Path) -> dict[str, list[dict[str, Any]]]:
    """What each engine took in each round; exits where two differ in their answers."""
    peers, rules, python = PEERS / "validation.py", scratch / "rules.json", environment("validation")
    rules.write_text(json.dumps(RULES))
    write(ROWS, scratch / "ours.parquet", with_lines=True)
    write(ROWS, scratch / "peers.parquet", with_lines=False)
    commands = {name: (python, peers, name, scratch / "peers.parquet", rules) for name in EQUALS}
    commands["ours"] = (sys.executable, "-m", "benchmarks.validation", "ours", scratch / "ours.parquet")  # type: ignore[assignment]
    rounds = [{name: last_line(*map(str, command)) for name, command in commands.items()} for _ in range(ROUNDS)]
    slow = last_line(*map(str, (python, peers, "great_expectations", scratch / "peers.parquet", rules)))
    found = {name: [one[name] for one in rounds] for name in commands} | {"great_expectations": [slow]}
    answers = {
        name: {(one["accepted"], one["refused"], one["answers"]) for one in told} for name, told in found.items()
    }
    if len(set.union(*answers.values())) != 1:
        sys.exit(f"expected the same rows refused for the same reasons, came {answers}")
    return found


def main() -> None:
    """The whole benchmark, or one of its processes."""
    if sys.argv[1:2] == ["ours"]:
        print(json.dumps(ours(Path(sys.argv[2]))))
    elif sys.argv[1:2] == ["screened"]:
        print(json.dumps(screened(Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        measure()


def verdict(*, judge_s: Mapping[str, float], whole_s: Mapping[str, float], peak_mb: float) -> dict[str, Any]:
    """The result: CPU seconds of each engine, to judge and with reading, and the peak memory, against their bars."""
    best = min(EQUALS, key=lambda name: judge_s[name])
    figure = round(judge_s[best] / judge_s["ours"], 2)
    with_reading = round(min(whole_s[name] for name in EQUALS) / whole_s["ours"], 2)
    over = round(judge_s["great_expectations"] / judge_s["ours"], 1)
    holds = figure > 1 and over >= BAR_GREAT_EXPECTATIONS and peak_mb < BAR_MB
    result = {"name": "validation", "figure": figure, "unit": f"x {best} (CPU to judge)", "bar": 1.0, "holds": holds}
    told = {"with_reading": with_reading, "great_expectations": over, "peak_mb": round(peak_mb)}
    return {**result, **told, "judge_s": dict(judge_s), "whole_s": dict(whole_s)}


def measure() -> None:
    """Print the figures; the last line says whether the bars hold, and the exit status is 1 where one is missed."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        found = compare(scratch)
        peaks = {}
        for rows in (ROWS, MORE_ROWS):
            write(rows, scratch / "large.parquet", with_lines=True)
            told = last_line(sys.executable, "-m", __spec__.name, "screened", str(scratch / "large.parquet"), str(rows))
            peaks[rows] = told["peak_mb"]
            print(f"from file to files, {rows:,} rows: {told['wall_s']:.1f} s, peak {told['peak_mb']:.0f} MB")
    judge_s, whole_s = {}, {}
    for name, told in found.items():
        judge_s[name] = median(one["judge_s"] for one in told)
        whole_s[name] = median(one["judge_s"] + one["read_s"] for one in told)
        wall_s = median(one["wall_s"] for one in told)
        print(
            f"{name}: judged in {judge_s[name]:.2f} CPU s, with reading {whole_s[name]:.2f}, {wall_s:.2f} s on the wall"
        )
    conclude(verdict(judge_s=judge_s, whole_s=whole_s, peak_mb=max(peaks.values())))


if __name__ == "__main__":
    main()
