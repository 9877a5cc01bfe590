"""The gating function: the report of the run against the workload's gates, and a record of it."""

import json

import pytest

from millrace.messages.audit import AuditEvent
from millrace.messages.train import GatesJudged
from millrace.state.audit import append
from tests import builders
from tests.builders import version
from tests.functions.conftest import REPORT


def put(aws, **changes):
    aws.put(aws.names.run_uri("7c1b2f0e-first", "evaluation", "evaluation.json"), json.dumps(REPORT | changes))


def test_a_good_model_passes(aws, load, event):
    put(aws)
    handler = load("gating")
    answer = handler(event("gating"))
    assert answer["passed"]
    assert handler(event("gating")) == answer, "a retry leaves one record"
    assert [verdict["name"] for verdict in answer["verdicts"]] == [
        "finite_weights", "calibration", "latency", "size", "baseline",
    ]  # fmt: skip
    assert [record["event"] for record in aws.audit()] == ["model.passed"]
    assert (answer["next_step"], answer["advice"]) == (None, "")


def test_a_bad_model_is_refused_with_the_gate_that_did_it(aws, load, event):
    put(aws, finite_weights=False)
    answer = load("gating")(event("gating"))
    assert not answer["passed"]
    assert [sentence for sentence in answer["sentences"] if sentence.startswith("refused")] == [
        "refused: finite_weights: the weights hold NaN or infinity"
    ]
    assert [record["event"] for record in aws.audit()] == ["model.refused"]
    assert answer["next_step"]["kind"] == "lower_rate"
    assert "millrace tune --parameter learning_rate=" in answer["advice"]


CHAMPION = {
    "model_version": "1", "rows": 336, "error": 0.3, "challenger_error": 0.25, "difference": 0.05, "lower_bound": 0.02,
}  # fmt: skip


def live(aws, *numbers):
    for number in numbers:
        aws.pointers.move(aws.pointers.read().with_live(version(number)))


def beside(event, gate):
    asked = event("gating")
    asked["state"]["snapshot"]["answer"]["gate"] = gate
    return asked


@pytest.mark.parametrize(("numbers", "refused"), [(["1"], []), (["1", "2"], ["champion"]), ([], ["champion"])])
def test_a_model_passes_only_beside_the_version_that_is_live(aws, load, event, numbers, refused):
    """One that was compared with none passes only while none is live."""
    put(aws, champion=CHAMPION)
    live(aws, *numbers)
    answer = load("gating")(beside(event, "non_inferiority"))
    assert [verdict["name"] for verdict in answer["verdicts"] if not verdict["passed"]] == refused
    put(aws)
    answer = load("gating")(event("gating"))
    assert [verdict["name"] for verdict in answer["verdicts"] if not verdict["passed"]] == ["champion"] * bool(numbers)


def test_an_external_model_gets_no_step_of_a_training(aws, load, event):
    put(aws, finite_weights=False)
    asked = event("gating")
    asked["state"]["external_model"] = {"uri": "s3://b/external/", "digest": "d"}
    assert load("gating")(asked)["next_step"] is None


@pytest.mark.parametrize(
    ("spans", "number"),
    [
        ([], 1),
        ([("1996-12-04", "1997-01-01")] * 3, 4),
        ([("1996-12-17", "1997-01-14")], 2),
        ([("1996-12-18", "1997-01-15"), ("1996-11-06", "1996-12-04")], 1),
        ([(None, None)], 1),
    ],
    ids=["none", "same days", "more than half", "half", "no days"],
)
def test_candidates_on_the_same_days_are_counted_once_each(aws, load, event, spans, number):
    put(aws, champion=CHAMPION)
    live(aws, "1")
    for place, (begin, end) in enumerate(spans):
        days = {"tested_from": begin and f"{begin}T00:00:00Z", "tested_to": end and f"{end}T00:00:00Z"}
        judged = GatesJudged.model_validate({"passed": False, "verdicts": [], **days})
        run = aws.names.execution_arn("train", f"before-{place}")
        record = builders.record(AuditEvent.MODEL_REFUSED, judged, execution_arn=run)
        append(aws.dynamodb, table=aws.names.platform.audit_table, workload="electricity", record=record)
    handler = load("gating")
    found = [handler(beside(event, "non_inferiority")) for _ in range(2)]
    assert [one["candidates"] for one in found] == [number] * 2
    assert (found[0]["tested_from"], found[0]["tested_to"]) == ("1996-12-04T00:00:00Z", "1997-01-01T00:00:00Z")
    (sentence,) = [one for one in found[0]["sentences"] if "non_inferiority" in one]
    assert f"candidate {number} on these days" in sentence
