"""A training holds at a small business's load: 16 decisions a second for a day and a half, each with its label."""

from __future__ import annotations

import pytest

from infra.local.kernel.cloud import Cloud
from infra.stacks.training import SNAPSHOT_MEMORY_MB
from millrace.names import WorkloadNames
from tests.millrace.datasets import joined_load

ROWS = 2_000_000


@pytest.mark.night("some minutes; by day no decision becomes an object")
def test_two_million_decisions_and_labels_are_joined_in_the_functions_memory(
    names: WorkloadNames, cloud: Cloud
) -> None:
    """A third of the days are lines, a third absorbed ones and a third scored files. What counts is the most memory
    that the process had at a time (its resident set), with Python and all libraries."""
    stage = names.platform.stage
    joined_load.fill(cloud.client("s3"), joined_load.lake_of(stage), ROWS)
    found = joined_load.joined_in_a_process(stage)
    assert (found["rows"], found["unmatched"]) == (ROWS, 0)
    assert found["peak_mb"] <= SNAPSHOT_MEMORY_MB
