"""Every published row of the census fits its contract; what the law protects of a person is marked."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from millrace.contract.load import load_contract
from millrace.contract.schema import LINE
from millrace.contract.validate import validate
from millrace.workload.load import load_workload

FOLDER = Path(__file__).resolve().parents[3] / "workloads" / "income"
CONTRACT = load_contract(FOLDER).rows


def rows() -> pa.Table:
    """The sample's, with the time and the line that ingestion gives them."""
    sample = pq.read_table(FOLDER / "sample" / "adult.parquet")
    at, lines = pa.array([0] * len(sample), pa.timestamp("us", "UTC")), pa.array(range(1, len(sample) + 1))
    return sample.append_column("at", at).select(CONTRACT.names).append_column(LINE, lines)


def test_every_published_row_is_accepted() -> None:
    found = validate(rows(), CONTRACT)
    assert (found.accepted.num_rows, found.refused) == (48_842, ())


def test_a_word_that_is_none_of_the_column_is_refused() -> None:
    changed = rows().slice(0, 3)
    place = changed.column_names.index("education")
    changed = changed.set_column(place, "education", pa.array(["Bachelors", "Abitur", "9th"]))
    assert [row.violations[0].column for row in validate(changed, CONTRACT).refused] == ["education"]


def test_features_and_protected_columns_are_those_of_the_readme() -> None:
    protected = {column.name for column in CONTRACT.columns if column.is_protected}
    assert protected == {"age", "marital_status", "relationship", "race", "sex", "native_country"}
    features = {feature.name for feature in load_workload(FOLDER).prediction.features}
    assert set(CONTRACT.names) - features == {"id", "at", "split", "fnlwgt", "income"}
