"""One engine reads a Parquet file and says which rows break which rule: `validation.py ENGINE FILE RULES.json`.

Prints one line of JSON: CPU seconds of reading and of judging (without imports), wall seconds of both, peak memory, how
many rows are good, and a digest of all lines `row column:reason`. Each engine is used as its documentation does it for
rows with reasons."""

from __future__ import annotations

import datetime
import hashlib
import importlib
import json
import resource
import sys
import time

UTC = datetime.timezone.utc  # noqa: UP017 - whatever Python the environment has
READ = []
"""CPU seconds at which the file was read."""


def has_read(frame):
    READ.append(time.process_time())
    return frame


def moment(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


def polars(file, rules):
    import polars as pl

    frame, col = has_read(pl.read_parquet(file)), pl.col
    found = {f"{name}:required": col(name).is_null() for name in rules["required"]}
    found |= {f"{name}:range": ~col(name).is_between(*bounds) for name, bounds in rules["range"].items()}
    first, last = map(moment, rules["moment"])
    found["ts:range"] = ~col("ts").is_between(first, last)
    found |= {f"{name}:allowed": ~col(name).is_in(words) for name, words in rules["allowed"].items()}
    found |= {f"{name}:pattern": ~col(name).str.contains(text) for name, text in rules["pattern"].items()}
    found[f"{rules['key']}:duplicate_key"] = ~col(rules["key"]).is_first_distinct()
    masks = frame.select([mask.fill_null(False).alias(name) for name, mask in found.items()])
    bad = masks.select(pl.any_horizontal(pl.all())).to_series()
    rows = masks.with_row_index("row").filter(bad).unpivot(index="row", variable_name="reason").filter(col("value"))
    return frame.filter(~bad).height, [(row, reason) for row, reason, _ in rows.iter_rows()]


def duckdb(file, rules):
    import duckdb as db

    found = {f"{name}:required": f"{name} IS NULL" for name in rules["required"]}
    found |= {f"{name}:range": f"{name} NOT BETWEEN {low} AND {high}" for name, (low, high) in rules["range"].items()}
    first, last = rules["moment"]
    found["ts:range"] = f"ts NOT BETWEEN TIMESTAMP '{first}' AND TIMESTAMP '{last}'"
    for name, words in rules["allowed"].items():
        found[f"{name}:allowed"] = f"{name} NOT IN ({', '.join(map(repr, words))})"
    found |= {f"{name}:pattern": f"NOT regexp_matches({name}, '{text}')" for name, text in rules["pattern"].items()}
    key = rules["key"]
    found[f"{key}:duplicate_key"] = f"({key} IN (SELECT {key} FROM twice) AND rowid NOT IN (SELECT first FROM twice))"
    session = db.connect()
    session.sql("SET TimeZone='UTC'")
    session.sql(f"CREATE TABLE t AS SELECT * REPLACE (ts::TIMESTAMP AS ts) FROM read_parquet('{file}')")
    has_read(session)
    session.sql(f"CREATE TABLE twice AS SELECT {key}, min(rowid) AS first FROM t GROUP BY {key} HAVING count(*) > 1")
    reasons = ", ".join(f"CASE WHEN {rule} THEN '{name}' END" for name, rule in found.items())
    broken = " OR ".join(f"coalesce({rule}, false)" for rule in found.values())
    session.sql(f"CREATE TABLE bad AS SELECT rowid AS row, unnest([{reasons}]) AS reason FROM t WHERE {broken}")
    good = session.sql("SELECT * FROM t WHERE rowid NOT IN (SELECT row FROM bad)").to_arrow_table()
    return good.num_rows, session.sql("SELECT row, reason FROM bad WHERE reason IS NOT NULL").fetchall()


def pandera(file, rules):
    import pandas as pd
    import pandera.pandas as pa

    frame = has_read(pd.read_parquet(file))
    columns = {}
    for name in frame.columns:
        checks = [pa.Check.in_range(*rules["range"][name])] if name in rules["range"] else []
        if name == "ts":
            checks = [pa.Check.in_range(*(pd.Timestamp(text, tz="UTC") for text in rules["moment"]))]
        if name in rules["allowed"]:
            checks = [pa.Check.isin(rules["allowed"][name])]
        if name in rules["pattern"]:
            checks = [pa.Check.str_matches(rules["pattern"][name])]
        twice = {"unique": True, "report_duplicates": "exclude_first"} if name == rules["key"] else {}
        columns[name] = pa.Column(frame[name].dtype, checks, nullable=name not in rules["required"], **twice)
    words = {"not_nullable": "required", "in_range": "range", "isin": "allowed", "str_matches": "pattern"}
    words["field_uniqueness"] = "duplicate_key"
    found = []
    try:
        pa.DataFrameSchema(columns).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        for name, check, row in zip(cases["column"], cases["check"], cases["index"]):  # noqa: B905 - also on 3.9
            found.append((int(row), f"{name}:{words[str(check).partition('(')[0]]}"))
    return len(frame.drop(index=sorted({row for row, _ in found}))), found


def great_expectations(file, rules):
    import great_expectations as gx
    import pandas as pd

    frame = has_read(pd.read_parquet(file))
    frame["row"] = range(len(frame))
    expect, context = gx.expectations, gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    asset = context.data_sources.add_pandas("p").add_dataframe_asset("a")
    suite, words = gx.ExpectationSuite("s"), {}

    def add(made, reason):
        suite.add_expectation(made)
        words[made.expectation_type, made.column] = f"{made.column}:{reason}"

    for name in rules["required"]:
        add(expect.ExpectColumnValuesToNotBeNull(column=name), "required")
    for name, (low, high) in rules["range"].items():
        add(expect.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high), "range")
    first, last = map(moment, rules["moment"])
    add(expect.ExpectColumnValuesToBeBetween(column="ts", min_value=first, max_value=last), "range")
    for name, allowed in rules["allowed"].items():
        add(expect.ExpectColumnValuesToBeInSet(column=name, value_set=allowed), "allowed")
    for name, text in rules["pattern"].items():
        add(expect.ExpectColumnValuesToMatchRegex(column=name, regex=text), "pattern")
    add(expect.ExpectColumnValuesToBeUnique(column=rules["key"]), "duplicate_key")
    batch = asset.add_batch_definition_whole_dataframe("b").get_batch({"dataframe": frame})
    wanted = {"result_format": "COMPLETE", "unexpected_index_column_names": ["row"]}
    found, seen = [], set()
    for result in batch.validate(suite, result_format=wanted).results:
        settings = result.expectation_config
        reason = words[settings.type, settings.kwargs["column"]]
        for place in result.result.get("unexpected_index_list") or []:
            if reason.endswith("duplicate_key") and place[rules["key"]] not in seen:
                seen.add(place[rules["key"]])  # it names every copy; the first is right
                continue
            found.append((int(place["row"]), reason))
    return len(frame.drop(index=sorted({row for row, _ in found}))), found


ENGINES = {
    "polars": (polars, "polars"),
    "duckdb": (duckdb, "duckdb,pyarrow"),
    "pandera": (pandera, "pandera.pandas,pyarrow.parquet"),
    "great_expectations": (great_expectations, "great_expectations,pyarrow.parquet"),
}


def main():
    name, file, rules = sys.argv[1:]
    engine, modules = ENGINES[name]
    for module in modules.split(","):
        importlib.import_module(module)
    with open(rules) as text:
        asked = json.load(text)
    wall, cpu = time.perf_counter(), time.process_time()
    good, found = engine(file, asked)
    told = {"read_s": READ[0] - cpu, "judge_s": time.process_time() - READ[0], "wall_s": time.perf_counter() - wall}
    lines = "\n".join(sorted(f"{row} {reason}" for row, reason in found))
    told |= {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "accepted": good}
    print(json.dumps({**told, "refused": len(found), "answers": hashlib.sha256(lines.encode()).hexdigest()}))


if __name__ == "__main__":
    main()
