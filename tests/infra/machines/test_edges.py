"""Every retrier, catcher and branch of every machine is taken; a caught error is kept, and somebody sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from millrace.infra.machines.jobs import QUOTA_ERROR
from millrace.infra.machines.states import TRANSIENT
from millrace.names import QUERY, Platform
from millrace.operations.dead_letters import EVENTS, dead
from millrace.operations.notices import NOTICES
from tests.infra.machines import edges
from tests.infra.machines.contexts import all_states
from tests.infra.machines.edges import Edge
from tests.infra.test_cold_starts import machines

PLATFORM = Platform(stage="prod", account="123456789012", region="eu-west-1")
DEAD_EVENTS = PLATFORM.queue_url(PLATFORM.queue(dead(EVENTS)))
EDGES = edges.all_edges()
CHOICES = sorted({(edge.machine, edge.state) for edge in EDGES if edge.kind == "Choice"})
SEEN_LATER = {
    ("train", "Training"): "another job goes on from the last checkpoint; its failure fails the run",
    ("release", "Stop scaling"): "the update of a fleet that is still scaled is refused, and fails the release",
    ("release", "Delete challenger"): "the sweep deletes it within the hour",
    ("release", "Delete what was stopped"): "the sweep deletes it within the hour",
}
"""Catchers whose error no later state reads, and what becomes of its cause. It stays in the execution's output."""
LONGEST_BACKOFF_S = 15 * 60
"""Of all retries of one error of a task: what lasts longer is for a person to see."""
LONGEST_WAITS_S = {"EndpointChangingError": 8 * 3600, QUOTA_ERROR: 3600, "AskerUnknownError": 30 * 60}
"""For what ends by itself: an endpoint's change, and another job that has the instance, an event of CloudTrail."""


def test_what_aws_says_to_retry_of_a_function_is_retried() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html, and a worker that was killed:
    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""
    named = {"ClientExecutionTimeoutException", "ServiceException", "AWSLambdaException", "SdkClientException"}
    others = {"Lambda.TooManyRequestsException", "Lambda.Unknown", "Runtime.ExitError"}
    assert set(TRANSIENT) == {f"Lambda.{name}" for name in named} | others


def of(kind: str) -> list[Any]:
    return [pytest.param(edge, id=str(edge)) for edge in EDGES if edge.kind == kind]


def state_of(edge: Edge) -> Mapping[str, Any]:
    found: Mapping[str, Any] = all_states(edges.definitions()[edge.machine])[edge.state]
    return found


@pytest.fixture(scope="module")
def states(cloud: Any) -> Any:
    return cloud.client("stepfunctions")


@pytest.mark.parametrize("edge", of("Retry"))
def test_an_error_is_retried(states: Any, edge: Edge) -> None:
    taken = edges.raise_on(states, edge, state_of(edge))
    assert taken, f"{edge}: no error of the service takes it"
    assert taken.handler["retryBackoffIntervalSeconds"] == state_of(edge)["Retry"][edge.index]["IntervalSeconds"]


@pytest.mark.parametrize("edge", of("Catch"))
def test_an_error_is_caught(states: Any, edge: Edge) -> None:
    state = state_of(edge)
    taken = edges.raise_on(states, edge, state)
    assert taken, f"{edge}: no error of the service takes it"
    catcher = state["Catch"][edge.index]
    assert taken.answer["nextState"] == catcher["Next"]
    output, given = json.loads(taken.answer["output"]), edges.input_for(state)
    kept = output.pop(catcher["ResultPath"].removeprefix("$."))
    assert kept == {"Error": taken.by, "Cause": "a cause"}
    assert output == given, "the state's input goes on"


@pytest.mark.parametrize(("machine", "state"), CHOICES, ids=map("/".join, CHOICES))
def test_every_branch_is_taken(states: Any, machine: str, state: str) -> None:
    branches = edges.branches_taken(states, edges.definitions()[machine]["States"][state])
    assert set(branches) == {edge.index for edge in EDGES if (edge.machine, edge.state) == (machine, state)}


def retriers() -> list[Any]:
    """An edge of each of the different ones."""
    found = {json.dumps(state_of(edge)["Retry"][edge.index]): edge for edge in EDGES if edge.kind == "Retry"}
    return [pytest.param(edge, id=str(edge)) for edge in found.values()]


@pytest.mark.parametrize("edge", retriers())
def test_a_retrier_waits_longer_each_time_and_comes_to_an_end(states: Any, edge: Edge) -> None:
    retrier = state_of(edge)["Retry"][edge.index]
    first, rate, attempts = (retrier[key] for key in ("IntervalSeconds", "BackoffRate", "MaxAttempts"))
    waits = [first * rate**retries for retries in range(attempts)]
    # Of a retrier that looks each minute for hours, the first and the last.
    for retries in range(attempts) if attempts < 20 else (0, attempts - 1):
        taken = edges.raise_on(states, edge, state_of(edge), retries=retries)
        assert taken
        assert taken.handler["retryBackoffIntervalSeconds"] == waits[retries]
    assert edges.raise_on(states, edge, state_of(edge), retries=attempts) is None
    assert sum(waits) <= LONGEST_WAITS_S.get(edge.listed, LONGEST_BACKOFF_S)


@pytest.mark.parametrize("stage", ["local", "dev"])
def test_every_stage_has_the_same_edges(stage: str) -> None:
    assert edges.all_edges(stage) == EDGES


def test_the_templates_have_these_edges(templates: dict[str, dict[str, dict[str, Any]]]) -> None:
    deployed = machines(templates["prod"]).items()
    found = [edge for name, one in deployed for edge in edges.edges_of(name.rpartition("-")[2], one)]
    assert sorted(map(str, found)) == sorted(str(edge) for edge in EDGES if edge.machine != QUERY)


def catchers() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for machine, definition in edges.definitions().items():
        for name, state in all_states(definition).items():
            yield from ((machine, name, catcher) for catcher in state.get("Catch", ()))


def following(state: Mapping[str, Any]) -> list[str]:
    named = [*state.get("Choices", ()), *state.get("Catch", ()), state, {"Next": state.get("Default")}]
    return [one["Next"] for one in named if one.get("Next")]


def after(definition: Mapping[str, Any], start: str) -> set[str]:
    """The states that can come after `start`, itself included."""
    found, waiting = set(), [start]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += following(all_states(definition)[name])
    return found


def is_told(definition: Mapping[str, Any], catcher: Mapping[str, Any]) -> bool:
    """Whether the error becomes a notice or a dead letter at once, or a later choice finds it and ends the execution as
    failed."""
    state = all_states(definition)[catcher["Next"]]
    if is_notice(state, of=catcher) or is_letter(state, of=catcher):
        return True
    states = definition["States"]
    for name in after(definition, catcher["Next"]):
        for rule in states[name].get("Choices", ()):
            is_read = rule.get("Variable") == catcher.get("ResultPath") and rule.get("IsPresent")
            if is_read and states[rule["Next"]]["Type"] == "Fail":
                return True
    return False


def is_notice(state: Mapping[str, Any], *, of: Mapping[str, Any]) -> bool:
    """Whether the state puts the caught error into an event that goes to the topic of alarms."""
    sent = {detail for notice in NOTICES.values() for detail in notice.pattern(PLATFORM)["detail-type"]}
    return any(
        entry["DetailType"] in sent and f"{of['ResultPath']}.Error" in entry["Detail"].values()
        for entry in state.get("Parameters", {}).get("Entries", ())
    )


def is_letter(state: Mapping[str, Any], *, of: Mapping[str, Any]) -> bool:
    """Whether the state puts the caught error with the dead letters of the stage's events, which have an alarm."""
    given = state.get("Parameters", {})
    said = given.get("MessageAttributes", {}).get("ERROR_CODE", {}).get("StringValue.$")
    return given.get("QueueUrl") == DEAD_EVENTS and said == f"{of['ResultPath']}.Error"


def test_a_caught_error_fails_the_execution_or_is_a_notice_or_is_seen_to_later() -> None:
    silent = {
        (machine, name) for machine, name, catcher in catchers() if not is_told(edges.definitions()[machine], catcher)
    }
    assert silent == set(SEEN_LATER)
    release = edges.definitions()["release"]
    assert "Catch" not in release["States"]["Update live"], SEEN_LATER["release", "Stop scaling"]
    assert "Update live" in after(release, release["States"]["Stop scaling"]["Catch"][0]["Next"])


def test_nothing_on_the_way_overwrites_a_caught_error() -> None:
    """Several states may keep theirs at one path: the last one is enough to find that there was one."""
    for machine, _, catcher in catchers():
        definition = edges.definitions()[machine]
        writers = [
            name
            for name in after(definition, catcher["Next"])
            if all_states(definition)[name].get("ResultPath") == catcher["ResultPath"]
        ]
        assert catcher["ResultPath"] not in (None, "$")
        assert not writers, f"{machine}: {writers} write over {catcher['ResultPath']}"


def longest_s(state: Mapping[str, Any]) -> float:
    """All retries of every error, and as many jobs as they start."""
    waits = sum(
        retrier["IntervalSeconds"] * retrier["BackoffRate"] ** number
        for retrier in state.get("Retry", ())
        for number in range(retrier["MaxAttempts"])
    )
    stop = state.get("Parameters", {}).get("StoppingCondition", {})
    return waits + stop.get("MaxWaitTimeInSeconds", stop.get("MaxRuntimeInSeconds", 0))


def longest_path_s(definition: Mapping[str, Any], name: str, seen: frozenset[str] = frozenset()) -> float:
    """The longest way from this state to an end that comes by each state once."""
    rest = set(following(definition["States"][name])) - (seen | {name})
    following_s = (longest_path_s(definition, each, seen | {name}) for each in rest)
    return longest_s(definition["States"][name]) + max(following_s, default=0)


@pytest.mark.parametrize("machine", sorted(edges.definitions()))
def test_all_retries_of_a_run_fit_into_the_machine_s_time(machine: str) -> None:
    """Of the states that no choice excludes; a loop that waits has its own bound, the history's."""
    definition = edges.definitions()[machine]
    assert longest_path_s(definition, definition["StartAt"]) < definition["TimeoutSeconds"]
