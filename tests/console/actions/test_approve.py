"""A person approves a version, or refuses it: another one than who asked for its training."""

import json

import pytest

from millrace.console.actions.approve import approve, refuse, release
from millrace.console.environment import Environment
from millrace.console.queries.versions import registry_of, state_of
from millrace.errors import ConfigurationError, ConflictError, EnvironmentNotFoundError
from millrace.state.climbing import Climbing
from tests.console.actions.test_rollback import NAMES, NOW, candidate
from tests.console.actions.test_rollback import environment as environment
from tests.console.web.waiting_version import deploy_start_release


@pytest.fixture(autouse=True)
def _a_person_approves(environment: Environment) -> None:
    """As a stack with `rollout.approval: person` deploys the function that starts releases."""
    deploy_start_release(NAMES, approval="person")


def test_where_nobody_has_to_approve_there_is_nothing_to_decide(environment: Environment) -> None:
    deploy_start_release(NAMES, approval="none")
    registry_of(environment, NAMES).register(candidate("r3"))
    with pytest.raises(ConflictError, match="nobody has to approve it"):
        approve(environment, NAMES, "3", reason="all the same")


def test_a_version_that_waits_is_approved_or_refused_once(environment: Environment) -> None:
    registry = registry_of(environment, NAMES)
    registry.register(candidate("r3"))
    assert approve(environment, NAMES, "3", reason="as good on our wards").version == "3"
    found = registry.describe(NAMES.package_arn("3"))
    assert (found.approval, found.said, found.was_live) == ("Approved", "as good on our wards", False)
    for decide in (approve, refuse):
        with pytest.raises(ConflictError, match=r"version 3: Approved by .* already: as good on our wards"):
            decide(environment, NAMES, "3", reason="yet again")


@pytest.mark.parametrize(
    ("run", "told"),
    [
        ("r4", "expected another person than who asked"),
        ("r5", "nobody knows who asked for its training"),
        ("r6", "nobody knows who asked for its training"),
    ],
)
def test_who_asked_for_the_training_or_may_have_does_not_approve_its_version(
    environment: Environment, run: str, told: str
) -> None:
    package = registry_of(environment, NAMES).register(candidate(run))
    with pytest.raises(ConflictError, match=told):
        approve(environment, NAMES, package.version, reason="mine")
    assert registry_of(environment, NAMES).describe(package.arn).approval == "PendingManualApproval"
    refuse(environment, NAMES, package.version, reason="mine, and it errs")


@pytest.mark.parametrize(
    ("version", "reason", "error", "told"),
    [
        ("2", "again", ConflictError, "it or a newer one is or was live"),
        ("7", "none such", EnvironmentNotFoundError, "expected a registered version"),
        ("2", " ", ConfigurationError, "--reason"),
    ],
)
def test_what_does_not_wait_is_not_decided(
    environment: Environment, version: str, reason: str, error: type[Exception], told: str
) -> None:
    for decide in (approve, refuse):
        with pytest.raises(error, match=told):
            decide(environment, NAMES, version, reason=reason)


@pytest.mark.parametrize("approval", ["person", "none"])
def test_a_version_on_a_phase_is_refused_and_released_again(environment: Environment, approval: str) -> None:
    if approval == "none":
        deploy_start_release(NAMES, approval=approval)
    registry, state = registry_of(environment, NAMES), state_of(environment, NAMES)
    package = registry.register(candidate("r3"))
    if approval == "person":
        registry.approve(package, reason="as good on our wards")
    Climbing(execution="arn:x", version="3", phase="shadow", since=NOW).put(state)
    with pytest.raises(ConflictError, match="it is in shadow"):
        release(environment, NAMES, "3", reason="once more")
    refuse(environment, NAMES, "3", reason="its labels are swapped")
    assert registry.describe(package.arn).approval == "Rejected"
    Climbing.remove(state, "arn:x")
    run = release(environment, NAMES, "3", reason="they were not")
    started = environment.client("stepfunctions").describe_execution(executionArn=run.arn)
    assert json.loads(started["input"]) == {"cause": "command", "detail": {"package_arn": package.arn}}
    # It goes through the phases again, and where a person has to approve versions through that first.
    assert registry.describe(package.arn).approval == "PendingManualApproval"
    if approval == "person":
        with pytest.raises(ConflictError, match="millrace approve 3"):
            release(environment, NAMES, "3", reason="now")
