"""A person approves a version, or refuses it: another one than who asked for its training."""

from __future__ import annotations

import pytest

from console.actions.approve import approve, refuse
from console.environment import Environment
from console.queries.versions import registry_of
from millrace.errors import ConfigurationError, ConflictError
from tests.console.actions.test_rollback import NAMES, candidate
from tests.console.actions.test_rollback import environment as environment


def test_a_version_that_waits_is_approved_or_refused_once(environment: Environment) -> None:
    registry = registry_of(environment, NAMES)
    registry.register(candidate("r3"))
    assert approve(environment, NAMES, "3", reason="as good on our wards").version == "3"
    found = registry.describe(NAMES.package_arn("3"))
    assert (found.approval, found.said, found.was_live) == ("Approved", "as good on our wards", False)
    refuse(environment, NAMES, "3", reason="not on the new ward")
    assert registry.describe(NAMES.package_arn("3")).approval == "Rejected"
    with pytest.raises(ConflictError, match="version 3 was refused by"):
        approve(environment, NAMES, "3", reason="yet again")


def test_who_asked_for_the_training_does_not_approve_its_version(environment: Environment) -> None:
    registry_of(environment, NAMES).register(candidate("r3"))
    registry_of(environment, NAMES).register(candidate("r4"))
    with pytest.raises(ConflictError, match="expected another person than who asked"):
        approve(environment, NAMES, "4", reason="mine")
    refuse(environment, NAMES, "4", reason="mine, and it errs")


@pytest.mark.parametrize(
    ("version", "reason", "error", "told"),
    [
        ("2", "again", ConflictError, "it or a newer one is or was live"),
        ("7", "none such", ConfigurationError, "expected a version of"),
        ("2", " ", ConfigurationError, "--reason"),
    ],
)
def test_what_does_not_wait_is_not_decided(
    environment: Environment, version: str, reason: str, error: type[Exception], told: str
) -> None:
    for decide in (approve, refuse):
        with pytest.raises(error, match=told):
            decide(environment, NAMES, version, reason=reason)
