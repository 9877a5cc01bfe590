"""An operator asks the live model, finds it worse, and brings the version before back while callers go on asking."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from millrace.console.cli.app import app
from millrace.console.demo.months import SAMPLE, months
from millrace.console.environment import Environment, local_environment
from millrace.console.local_cloud.local_cloud import SECRET_VARIABLE
from millrace.console.queries.versions import audit_of, state_of
from millrace.state.pointers import Pointers, ReleasePointers
from tests.end_to_end.callers import meanwhile
from tests.end_to_end.conftest import Lived

ROW = {
    "day_of_week": 3,
    "period": 0.25,
    "nswprice": 0.056443,
    "nswdemand": 0.439155,
    "vicprice": 0.003467,
    "vicdemand": 0.422915,
    "transfer": 0.414912,
}
PAUSE_S = 0.1
"""Between two requests: the release's alarm on latency is to watch the version and not the load of this machine."""
ATTEMPTS = 3
REASON = "worse since Tuesday"


@dataclass
class Caller:
    """Somebody who asks the endpoint all the time."""

    lived: Lived
    endpoint: str = ""
    """The live one, unless another is named."""
    versions: list[str] = field(default_factory=list)
    """As they answered, each change of them once."""
    answers: int = 0
    failures: list[str] = field(default_factory=list)

    def ask(self) -> str:
        answer = self.lived.cloud.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.endpoint or self.lived.names.endpoint,
            ContentType="application/json",
            Body=json.dumps({"rows": [ROW]}),
        )
        version: str = json.load(answer["Body"])["model_version"]
        return version

    def asking(self) -> AbstractContextManager[None]:
        return meanwhile(self._ask_once, pause_s=lambda: PAUSE_S)

    def _ask_once(self) -> None:
        try:
            version = self.ask()
        except Exception as error:
            self.failures.append(repr(error))
        else:
            self.answers += 1
            self.versions += [version] if self.versions[-1:] != [version] else []


@pytest.fixture
def run(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", lived.cloud.endpoint_url)
    monkeypatch.setenv(SECRET_VARIABLE, lived.cloud.secret)
    return lambda *words: CliRunner().invoke(app, words)


@pytest.fixture(scope="module")
def place(lived: Lived) -> Environment:
    return local_environment(lived.cloud)


def pointers_of(place: Environment, lived: Lived) -> Pointers:
    return ReleasePointers(state_of(place, lived.names)).read()


def numbers(pointers: Pointers) -> tuple[str, str]:
    """Of the live version and the one before."""
    assert pointers.champion is not None
    assert pointers.previous is not None
    return pointers.champion.version, pointers.previous.version


def test_a_file_is_asked_and_each_answer_has_its_decision(
    lived: Lived, place: Environment, run: Callable[..., Result], tmp_path: Path
) -> None:
    """Two calls' worth of labelled rows; the row out of range is told and has none."""
    rows = months(SAMPLE, "1997-06", "1997-06")[0].rows
    spoilt = rows.to_pylist()
    spoilt[7]["nswdemand"] = 17.5
    drop, answers = tmp_path / "rows.jsonl", tmp_path / "answers.parquet"
    drop.write_text("\n".join(json.dumps({**row, "timestamp": row["timestamp"].isoformat()}) for row in spoilt))
    result = run("predict", str(drop), "--output", str(answers))
    assert result.exit_code == 0, result.output
    found = pq.read_table(answers).to_pylist()
    assert [row["line"] for row in found] == list(range(1, len(spoilt) + 1))
    assert [(row["line"], row["reason"], row["column"], row["came"]) for row in found if row["reason"]] == [
        (8, "range", "nswdemand", "17.5")
    ]
    predicted = [row for row in found if not row["reason"]]
    assert {row["model_version"] for row in predicted} == {numbers(pointers_of(place, lived))[0]}
    assert len({row["id"] for row in predicted}) == len(spoilt) - 1
    lived.rest()
    last = predicted[-1]["id"]
    (kept,) = map(json.loads, run("decisions", "--id", last, "--json").stdout.splitlines())
    assert kept["probability"] == predicted[-1]["probability"]
    assert "model version" in run("why", last).output


def brought_back(lived: Lived, run: Callable[..., Result]) -> dict[str, Any]:
    """What the command says of a rollback that came to its end.

    On a busy machine the release's alarm may bring the live version back first: then it is told so, and asked again."""
    for _ in range(ATTEMPTS):
        result = run("rollback", "--reason", REASON, "--wait", "--json")
        if result.exit_code == 0:
            return dict(json.loads(result.stdout))
        assert "serves on" in str(result.exception), result.output
        assert newest_release(lived)["error"] == "RolledBack"
    raise AssertionError(f"expected one of {ATTEMPTS} rollbacks to succeed")


def newest_release(lived: Lived) -> dict[str, Any]:
    states = lived.cloud.client("stepfunctions")
    listed = states.list_executions(stateMachineArn=lived.names.machine_arn("release"))["executions"]
    newest = max(listed, key=lambda one: one["startDate"])
    return dict(states.describe_execution(executionArn=newest["executionArn"]))


def test_a_caller_notices_a_request_that_fails(lived: Lived) -> None:
    caller = Caller(lived=lived, endpoint="nothing-of-this-name")
    with caller.asking():
        threading.Event().wait(5 * PAUSE_S)
    assert caller.answers == 0
    assert len(caller.failures) > 0


def test_the_version_before_answers_again_and_nobody_notices(
    lived: Lived, place: Environment, run: Callable[..., Result]
) -> None:
    live, previous = numbers(pointers_of(place, lived))
    caller = Caller(lived=lived)
    assert caller.ask() == live
    with caller.asking():
        told = brought_back(lived, run)
        assert caller.ask() == previous
    assert caller.failures == []
    assert caller.answers > 10
    assert (caller.versions[0], caller.versions[-1]) == (live, previous)
    assert (told["version"], told["replaced"], told["live"]) == (previous, live, True)
    assert numbers(pointers_of(place, lived)) == (previous, live)
    (record,) = [one for one in audit_of(place, lived.names) if one.execution_arn.endswith(told["execution"])]
    assert record.event == "release.rolled_back"
    assert (record.details.version, record.details.replaced) == (previous, live)
    assert (record.details.reason, record.details.by) == (REASON, caller_identity(place))
    now = json.loads(run("live", "--json").stdout)
    assert (now["version"], now["until"], now["execution"]) == (previous, None, record.run)
    assert (now["rolled_back_by"], now["rollback"]) == (caller_identity(place), REASON)
    released = lived.witness.told("model.released")[-1]["detail"]
    assert (released["version"], released["previous_version"]) == (previous, live)
    assert lived.cloud.client("sagemaker").list_endpoints(NameContains="challenger")["Endpoints"] == []


def caller_identity(place: Environment) -> str:
    return str(place.client("sts").get_caller_identity()["Arn"])
