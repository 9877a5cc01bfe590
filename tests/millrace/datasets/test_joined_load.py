"""A training, and a batch of labels before it is learnt, hold at a small business's load: 16 decisions a second."""

from __future__ import annotations

import pytest

from localcloud.kernel.cloud import Cloud
from millrace.functions.snapshot.declaration import DECLARED as SNAPSHOT
from millrace.functions.validation.declaration import DECLARED as VALIDATION
from millrace.names import WorkloadNames
from tests.millrace.datasets import joined_load
from tests.state_table import create_table

ROWS = 2_000_000
JUDGED = 5 * 285_000


@pytest.mark.night("some minutes; by day no decision becomes an object")
def test_two_million_decisions_and_labels_are_joined_in_the_functions_memory(
    names: WorkloadNames, cloud: Cloud
) -> None:
    """A third of the days are lines, a third absorbed ones and a third scored files. What counts is the most memory
    that the process had at a time (its resident set), with Python and all libraries."""
    stage = names.platform.stage
    joined_load.fill(cloud.client("s3"), joined_load.lake_of(stage), ROWS)
    found = joined_load.done_in_a_process(stage, "join")
    assert (found["rows"], found["unmatched"]) == (ROWS, 0)
    assert found["peak_mb"] <= SNAPSHOT.memory_mb


@pytest.mark.night("some minutes; by day answers are read in parts")
def test_the_labels_of_five_days_are_judged_in_the_functions_memory(names: WorkloadNames, cloud: Cloud) -> None:
    stage = names.platform.stage
    create_table(cloud.client("dynamodb"), names.platform.state_table)
    joined_load.fill(cloud.client("s3"), joined_load.lake_of(stage), JUDGED, ["absorbed", "lines"])
    found = joined_load.done_in_a_process(stage, "judge")
    assert (found["labels"], found["error"]) == (JUDGED, JUDGED)
    assert found["parts"]
    assert found["peak_mb"] <= VALIDATION.memory_mb
