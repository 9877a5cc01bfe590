"""Runs of the stored report with other answers of their functions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from millrace.console.queries.executions import Execution
from millrace.console.queries.report import WorkloadReport
from millrace.contract.reasons import Reason
from millrace.messages.ingest import Ingested, RejectedDrop
from millrace.messages.release import ReleaseStarted

RELEASED = ReleaseStarted(
    outcome="done",
    label="v2-1f0e4a",
    has_canary=False,
    package_arn="arn:p/2",
    version="2",
    run_name="r",
    image="i",
    model_data_url="s3://b/m",
    previous_version="1",
    has_live=True,
    has_challenger=False,
).model_dump()


def answering(run: Execution, state: str, **facts: Any) -> Execution:
    """The run with other facts in the answer of a state."""
    step = run.output.get(state, {})
    return replace(run, output={**run.output, state: {**step, "answer": {**step.get("answer", {}), **facts}}})


def only(run: Execution, state: str, answer: dict[str, Any], **given: Any) -> Execution:
    """The run as if it had ended after this state, with more in its input."""
    return replace(run, input={**run.input, **given}, output={state: {"answer": answer}})


def validated(run: Execution, *, state: str = "validation", **facts: Any) -> Execution:
    """The run of one drop with other facts in the validation's answer, or in that of another state."""
    (drop,) = run.output[state]["answer"]["drops"]
    return answering(run, state, drops=[drop | facts])


def rejected(run: Execution, **facts: str) -> Execution:
    """The run of one drop that could not become rows."""
    drop = RejectedDrop(
        drop_id=run.name,
        feed="training",
        source="s3://b/k",
        source_digest="",
        reason=Reason.FOREIGN,
        **{"expected": "", "got": "", **facts},
    )
    return replace(run, output={"ingestion": {"answer": Ingested(outcome="rejected", rejected=(drop,)).model_dump()}})


def scored(run: Execution, *changes: dict[str, Any]) -> Execution:
    """The run with these changes of what was delivered, one for each of its drops."""
    (delivered,) = run.output["delivery"]["answer"]["drops"]
    objects = [{"key": f"electricity/scoring/{at}.csv", "drop_id": str(at)} for at in range(len(changes))]
    drops = [delivered | {"drop_id": str(at)} | change for at, change in enumerate(changes)]
    run = replace(run, input={**run.input, "detail": {"feed": "scoring", "objects": objects}})
    return answering(run, "delivery", drops=drops)


def grouped(report: WorkloadReport, *changes: dict[str, Any], keys: Sequence[str] = ()) -> Execution:
    """A run of several drops, with changes of what was committed of each."""
    run = report.of("ingest")[-1]
    names = keys or [str(at) for at in range(len(changes))]
    objects = [{"key": f"electricity/training/{key}.csv", "drop_id": str(at)} for at, key in enumerate(names)]
    (committed,) = run.output["validation"]["answer"]["drops"]
    drops = [committed | {"drop_id": str(at)} | change for at, change in enumerate(changes)]
    return replace(
        run,
        input={**run.input, "detail": {"feed": "training", "objects": objects}},
        output={"ingestion": {"answer": {"outcome": "parsed"}}, "validation": {"answer": {"drops": drops}}},
    )


def together(report: WorkloadReport) -> Execution:
    """A run of two drops, of which one became rows."""
    run = report.of("ingest")[-1]
    objects = [{"key": f"electricity/training/{name}.csv", "drop_id": name} for name in ("a", "b")]
    (committed,) = run.output["validation"]["answer"]["drops"]
    (refused,) = rejected(run).output["ingestion"]["answer"]["rejected"]
    answers = {
        "ingestion": {"outcome": "parsed", "parsed": [], "rejected": [refused | {"drop_id": "b"}]},
        "validation": {"drops": [committed | {"drop_id": "a"}]},
    }
    return replace(
        run,
        input={**run.input, "detail": {"feed": "training", "objects": objects}},
        output={name: {"answer": answer} for name, answer in answers.items()},
    )
