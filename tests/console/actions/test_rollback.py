"""A rollback as an operator starts it: which version, what the machine is given, and what is refused before."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millrace.console.actions.approve import roll_back
from millrace.console.environment import Environment
from millrace.console.queries.versions import registry_of, state_of
from millrace.errors import ConfigurationError, ConflictError, EnvironmentNotFoundError
from millrace.names import WorkloadNames
from millrace.release.askers import NOBODY, UNKNOWN
from millrace.release.registry import ASKED_BY, Candidate
from millrace.state.holdings import Leases
from millrace.state.pointers import Pointers, ReleasePointers, Version
from tests import builders
from tests.console.conftest import DEV, make_machines, make_stores, stage_of

NAMES = WorkloadNames(platform=DEV, workload="orders")
NOW = datetime(1997, 6, 3, tzinfo=UTC)


def version(number: int) -> Version:
    return builders.version(number, package_arn=NAMES.package_arn(str(number)))


ASKERS = {"r4": {ASKED_BY: "arn:aws:sts::123456789012:user/moto"}, "r5": {ASKED_BY: UNKNOWN}, "r6": {}}


def candidate(run: str) -> Candidate:
    return builders.candidate(run=run, metadata=ASKERS.get(run, {ASKED_BY: NOBODY}))


@pytest.fixture
def environment(account: None) -> Environment:
    """Version 2 is live, version 1 was before it; the registry marks both as live."""
    found = stage_of(DEV)
    make_stores(found)
    make_machines(found, NAMES, "release")
    ReleasePointers(state_of(found, NAMES)).move(Pointers(champion=version(2), previous=version(1)))
    found.client("sagemaker").create_model_package_group(ModelPackageGroupName=NAMES.package_group)
    registry = registry_of(found, NAMES)
    for run in ("r1", "r2"):
        registry.mark_live(registry.register(candidate(run)), execution=run)
    return found


def given(environment: Environment, arn: str) -> Any:
    """What the machine was started with."""
    document = json.loads(environment.client("stepfunctions").describe_execution(executionArn=arn)["input"])
    assert document["rollback"].pop("who") == environment.identity()
    return document


def test_the_previous_version_comes_back(environment: Environment) -> None:
    started = roll_back(environment, NAMES, reason="worse")
    assert (started.version, started.replaced) == ("1", "2")
    assert given(environment, started.execution) == {"cause": "command", "rollback": {"reason": "worse", "to": "1"}}


def test_the_live_version_s_endpoint_is_restored(environment: Environment) -> None:
    started = roll_back(environment, NAMES, reason="endpoint gone", restores=True)
    assert (started.version, started.replaced) == ("2", "2")
    rolled = {"reason": "endpoint gone", "to": "2", "restores": True}
    assert given(environment, started.execution) == {"cause": "command", "rollback": rolled}
    with pytest.raises(ConfigurationError, match="--to: expected no version with --restore"):
        roll_back(environment, NAMES, reason="endpoint gone", to="1", restores=True)


def test_without_a_live_version_there_is_nothing_to_restore(environment: Environment) -> None:
    ReleasePointers(state_of(environment, NAMES)).move(Pointers(revision=1))
    with pytest.raises(ConflictError, match="expected a live version"):
        roll_back(environment, NAMES, reason="endpoint gone", restores=True)


def hold(environment: Environment, holder: str) -> None:
    until = NOW + timedelta(days=1)
    assert Leases(state_of(environment, NAMES)).take("release", holder=holder, as_of=NOW, expires_at=until)


def test_the_sweep_s_lease_is_no_execution_to_look_up(environment: Environment) -> None:
    hold(environment, "sweep 0f1e2d3c-0000-4000-8000-000000000000")
    assert roll_back(environment, NAMES, reason="worse").version == "1"


def test_a_release_that_runs_is_named(environment: Environment) -> None:
    states = environment.client("stepfunctions")
    running = states.start_execution(stateMachineArn=NAMES.machine_arn("release"), input="{}")["executionArn"]
    hold(environment, running)
    with pytest.raises(ConflictError, match=f"expected no release to run, {running} does"):
        roll_back(environment, NAMES, reason="worse")
    states.stop_execution(executionArn=running)
    assert roll_back(environment, NAMES, reason="worse").version == "1", "its lease is cleaned up soon"


@pytest.mark.parametrize(
    ("to", "reason", "told"),
    [
        ("2", "worse", "got 2, which is"),
        ("3", "worse", "version 3 never was"),
        ("9", "worse", "expected a registered version .*, got 9"),
        (None, " ", "^rollback: --reason: expected a sentence .*, got ' '"),
    ],
)
def test_a_rollback_that_cannot_be_starts_nothing(
    environment: Environment, to: str | None, reason: str, told: str
) -> None:
    registry_of(environment, NAMES).register(candidate("r3"))
    with pytest.raises((ConfigurationError, ConflictError, EnvironmentNotFoundError), match=told):
        roll_back(environment, NAMES, reason=reason, to=to)
    machine = NAMES.machine_arn("release")
    assert environment.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"] == []
