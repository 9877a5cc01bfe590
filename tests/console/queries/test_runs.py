"""Runs listed, found and told, on machines that run."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.kernel.cloud import Cloud
from millrace.console.actions.start import Follower, redrive, start, start_again
from millrace.console.environment import Environment
from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.console.queries.audit import find_records
from millrace.console.queries.runs import Run, describe_run, find_run, short_names
from millrace.console.web.acts import ACTS
from millrace.errors import RunError
from millrace.state.claims import Start
from tests.console.conftest import NAMES, PASS
from tests.state_table import create_table

FAIL = {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}
WAIT = {"Type": "Wait", "Seconds": 300, "End": True}
LISTED = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_run_is_found_by_arn_name_and_beginning(
    states: Any, machine: Callable[..., str], ran: Callable[..., str]
) -> None:
    made = machine("score", {"A": PASS})
    one, other = ran(made, name="twin-a"), ran(made, name="twin-b")
    longer = ran(made, name="twin-a-again")
    assert find_run(states, NAMES, one).arn == find_run(states, NAMES, "twin-a").arn == one
    assert find_run(states, NAMES, "twin-b").arn == find_run(states, NAMES, other).arn == other
    assert find_run(states, NAMES, "twin-a-").arn == longer
    with pytest.raises(RunError, match=r"expected one run, 'twin' fits 3: .*score twin-a-again .*score twin-a "):
        find_run(states, NAMES, "twin")
    for nobody in ("nobody", ""):
        with pytest.raises(RunError, match=f"got '{nobody}'; `millrace runs` lists them"):
            find_run(states, NAMES, nobody)
    with pytest.raises(RunError, match="expected an execution that is there"):
        find_run(states, NAMES, NAMES.execution_arn("score", "nobody"))
    with pytest.raises(RunError, match=r"expected an execution of .*millrace-local-electricity-<machine>"):
        find_run(states, NAMES, one.replace("electricity", "gas"))


def test_names_are_cut_where_they_differ() -> None:
    names = ("0123456789ab", "0123456789cd", "fedcba9876543210", "tiny")  # pragma: allowlist secret
    short = ["0123456789a", "0123456789c", "fedcba98", "tiny"]  # pragma: allowlist secret
    more = {"machine": "train", "status": "FAILED", "started": LISTED, "stopped": None, "redrives": 0}
    assert list(short_names([Run(arn=f"arn:{name}", name=name, **more) for name in names]).values()) == short


def test_children_are_found_by_start_and_by_event(
    states: Any, machine: Callable[..., str], ran: Callable[..., str]
) -> None:
    """EventBridge names an execution after its event; a run by another event is nobody's child."""
    child = machine("train", {"A": PASS})
    given = {"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID.$": "$$.Execution.Id"}
    nested = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn": child, "Name": "nested", "Input": given},
        "ResultPath": None,
        "Next": "P",
    }
    entry = {"Source": "millrace", "DetailType": "test", "Detail": {}}
    put = {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Parameters": {"Entries": [entry]},
        "End": True,
    }
    arn = ran(machine("retrain", {"N": nested, "P": put}))
    event = json.loads(states.describe_execution(executionArn=arn)["output"])["Entries"][0]["EventId"]
    by_event = ran(machine("release", {"A": PASS}), name=f"{event}_rule")
    ran(NAMES.machine_arn("release"), name="another-event")
    told = describe_run(states, NAMES, find_run(states, NAMES, arn))
    assert told.children == [NAMES.execution_arn("train", "nested"), by_event]
    assert describe_run(states, NAMES, find_run(states, NAMES, "nested")).parent == arn
    followed = Follower(states=states, names=NAMES, poll_s=0.01, grace_s=0.1).follow(arn)
    assert [each.run.arn for each in followed] == [arn, *told.children]


def training(reason: str, refusal: str | None) -> dict[str, Any]:
    """As the input of a machine that passes it on: a training that started, or why it did not."""
    budgeted = {"accepted": refusal is None, "reason": refusal, "projected_usd": 1, "monthly_usd": 2, "champion": None}
    return {"reason": reason, "budget": {"answer": budgeted}}


@pytest.mark.parametrize(
    ("reason", "refusal", "is_followed"),
    [("first", "busy", True), ("first", "release", True), ("first", "champion_exists", False),
     ("first", "budget", False), ("command", "busy", False)],
)  # fmt: skip
def test_a_first_training_that_was_needless_is_followed_by_the_one_that_runs(
    reason: str, refusal: str, is_followed: bool, states: Any, machine: Callable[..., str], ran: Callable[..., str]
) -> None:
    made = machine("train", {"W": {"Type": "Wait", "SecondsPath": "$.wait", "Next": "A"}, "A": PASS})
    machine("release", {"A": PASS})
    first = start(states, NAMES, "train", more=training("first", None) | {"wait": 2})
    ran(made, training("first", "busy") | {"wait": 0}, f"another-{reason}-{refusal}")
    needless = ran(made, training(reason, refusal) | {"wait": 0}, f"needless-{reason}-{refusal}")
    said: list[str] = []
    follower = Follower(states=states, names=NAMES, poll_s=0.01, grace_s=0.1, said=said.append)
    found = [(each.run.arn, each.run.status) for each in follower.follow(needless)]
    assert found == [(needless, "SUCCEEDED"), *([(first.arn, "SUCCEEDED")] if is_followed else [])]
    assert said == [f"follows train {first.name[:8]}, whose model is the first"] * is_followed


def test_of_a_drop_whose_run_with_others_failed_its_own_run_is_followed(
    states: Any, machine: Callable[..., str], ran: Callable[..., str]
) -> None:
    ran(machine("ingest", {"F": FAIL}), name="group")
    group, own = (Start(machine="ingest", pool="ingest-training", name=name, input="{}") for name in ("group", "drop"))
    follower = Follower(states=states, names=NAMES, poll_s=0.01)
    with pytest.raises(RunError, match="expected a run within 0 s, got none"):
        follower.run_of_drop(lambda: group, "drop", limit_s=0.05)
    ran(machine("ingest", {"A": PASS}), name="drop")
    found = iter([group, group, own])
    assert follower.run_of_drop(lambda: next(found), "drop", limit_s=5).name == "drop"
    assert follower.run_of_drop(lambda: own, "drop", limit_s=5).name == "drop"
    ran(NAMES.machine_arn("ingest"), name="good")
    good = Start(machine="ingest", pool="ingest-training", name="good", input="{}")
    assert follower.run_of_drop(lambda: good, "drop", limit_s=5).name == "good"


def test_a_failed_run_goes_on_and_a_good_one_does_not(
    states: Any, machine: Callable[..., str], ran: Callable[..., str]
) -> None:
    arn = ran(machine("ingest", {"F": FAIL}))
    done = redrive(states, find_run(states, NAMES, arn))
    assert (done.arn, done.how, done.notes) == (arn, "redriven", [])
    assert states.describe_execution(executionArn=arn)["redriveCount"] == 1
    good = find_run(states, NAMES, ran(machine("ingest", {"A": PASS})))
    with pytest.raises(RunError, match=r"Execution is SUCCEEDED and cannot be redriven: .*`millrace rerun \w+ --new`"):
        redrive(states, good)
    again = start_again(states, good)
    assert (again.how, again.arn == good.arn) == ("started", False)


def test_a_rerun_from_the_page_is_in_the_audit_or_does_not_happen(
    cloud: Cloud, states: Any, machine: Callable[..., str], ran: Callable[..., str]
) -> None:
    environment, arn = Environment(platform=PLATFORM, client=cloud.client), ran(machine("ingest", {"F": FAIL}))
    create_table(cloud.client("dynamodb"), PLATFORM.audit_table)

    def deny(model: Any, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "ann may not"}}, model.name)

    for service, denied in (("dynamodb", "PutItem"), ("stepfunctions", "RedriveExecution"), ("", "")):
        events = cloud.client(service or "dynamodb").meta.events
        events.register(f"before-call.*.{denied}", deny)
        with pytest.raises(ClientError, match="may not") if denied else nullcontext():
            ACTS["rerun"].do(environment, NAMES, arn, "the table was unlocked")
        events.unregister(f"before-call.*.{denied}", deny)
        told = [one.details.model_dump() for one in find_records(environment, NAMES)]
        assert (states.describe_execution(executionArn=arn)["redriveCount"], len(told)) == (
            (0, 0) if denied else (1, 1)
        )
    details = {"machine": "ingest", "run": arn.rpartition(":")[2], "reason": "the table was unlocked"}
    assert told == [{**details, "by": environment.identity()}]


@pytest.mark.parametrize(("name", "kept"), [("release", set()), ("train", {"as_of"})])
def test_only_a_release_that_begins_anew_is_of_another_moment(
    states: Any, machine: Callable[..., str], name: str, kept: set[str]
) -> None:
    machine(name, {"A": PASS})
    given = {"cause": "event", "as_of": "1997-05-15T00:00:00Z"}
    arn = states.start_execution(stateMachineArn=NAMES.machine_arn(name), input=json.dumps(given))["executionArn"]
    Follower(states=states, names=NAMES, poll_s=0.01).end_of(arn)
    again = start_again(states, find_run(states, NAMES, arn))
    new = json.loads(states.describe_execution(executionArn=again.arn)["input"])
    assert new == {key: value for key, value in given.items() if key in {"cause", *kept}}


def test_a_running_one_is_left_alone(states: Any, machine: Callable[..., str]) -> None:
    run = start(states, NAMES, machine("score", {"W": WAIT}) and "score")
    with pytest.raises(RunError, match="Execution is RUNNING and cannot be redriven: wait for its end, or stop it"):
        redrive(states, run)
    with pytest.raises(RunError, match="Execution is RUNNING"):
        start_again(states, run)
    follower = Follower(states=states, names=NAMES, poll_s=0.01, limit_s=0.05)
    with pytest.raises(RunError, match="expected its end within 0 s, it still runs"):
        follower.end_of(run.arn)
    states.stop_execution(executionArn=run.arn)
    assert follower.end_of(run.arn).run.status == "ABORTED"
