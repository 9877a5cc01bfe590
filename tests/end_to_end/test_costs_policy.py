"""A workload that says what wrong answers cost: the cheaper answer acts, or a person decides where that costs less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from millrace.aws.objects import read_object
from millrace.console.cli.app import app
from millrace.console.local_cloud.local_cloud import LocalCloud
from millrace.evaluation.report import EVALUATION_FILE, Evaluation
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable
from millrace.workload.policy import Costs
from tests.electricity import changed_electricity, drop
from tests.end_to_end.callers import recorded, typed
from tests.end_to_end.test_decision_policy import ASKED, CLOCK, KNOWN, NAMES, SAMPLE, predict

pytestmark = pytest.mark.night("by day both roads act alike by a cost, and a policy of a promised error is lived")

COSTS = Costs(false_positive=5, false_negative=8, review=1.5, currency="EUR")
POLICY = """
policy:
  automate:
    costs: {false_positive: 5, false_negative: 8, review: 1.5, currency: EUR}
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with changed_electricity(tmp_path_factory.mktemp("costs"), clock=CLOCK, added=POLICY) as cloud:
        drop(cloud, "training/known", pq.read_table(SAMPLE).slice(0, KNOWN))
        yield cloud


def test_the_cheaper_answer_acts_where_it_costs_less_than_a_person(cloud: LocalCloud) -> None:
    live = ReleasePointers(StateTable(cloud.client("dynamodb"), NAMES)).champion()
    assert live is not None
    assert live.costs_digest == COSTS.digest
    said = predict(cloud, "first")
    for one in said:
        by_answer = {1: (1 - one["probability"]) * 5, 0: one["probability"] * 8}
        assert by_answer[one["value"]] == min(by_answer.values())
        assert one["expected_cost"] == pytest.approx(by_answer[one["value"]])
        acts = one["expected_cost"] <= 1.5
        assert (one["action"], one["reason"]) == (("automated", "sure") if acts else ("review", "unsure"))
    assert {one["action"] for one in said} == {"automated", "review"}
    assert any(one["value"] == 1 and one["confidence"] < 0.5 for one in said), "it costs more to miss it"
    # A file's rows are answered by another process, as a table.
    drop(cloud, "scoring/asked", pq.read_table(SAMPLE).slice(KNOWN, ASKED).drop_columns(["class"]))
    kept = recorded(cloud, NAMES)
    by_source = {
        source: sorted((one for one in kept if one.source == source), key=lambda one: one.event_time)
        for source in ("api", "batch")
    }
    assert len(by_source["api"]) == len(by_source["batch"]) == ASKED
    both: list[list[Any]] = [[(one.output, one.action, one.reason) for one in some] for some in by_source.values()]
    assert both[0] == both[1]


def test_people_see_what_the_policy_saves(cloud: LocalCloud, tmp_path: Path) -> None:
    live = ReleasePointers(StateTable(cloud.client("dynamodb"), NAMES)).champion()
    assert live is not None
    content = read_object(cloud.client("s3"), NAMES.run_uri(live.run, "evaluation", EVALUATION_FILE))
    costs = Evaluation.model_validate_json(content).costs
    assert costs is not None
    assert costs.by_policy.expected < min(costs.all_automated.expected, costs.all_reviewed)
    assert costs.all_reviewed == 1500
    assert typed("status")[0]["automated"] == "up to an expected cost of 1.5 EUR"
    done = CliRunner().invoke(app, ["report", "--output", str(tmp_path / "report.html")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "cost of 1,000 rows, EUR" in (tmp_path / "report.html").read_text()
