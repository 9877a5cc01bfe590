"""The versions that were registered in the fourteen months, as a pipeline looks at them before a release."""

from __future__ import annotations

import pytest

from millrace.artefact.artefact import MEMBERS
from millrace.console.environment import local_environment
from millrace.console.queries.documents import verify_version
from millrace.console.queries.model_validation import CHECKS, OPENING, is_valid, validate_package
from millrace.errors import EnvironmentNotFoundError
from tests.end_to_end.conftest import Lived


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_registered_version_passes_every_check(lived: Lived, version: str) -> None:
    findings = validate_package(local_environment(lived.cloud), lived.names, version)
    assert [(one.check, one.passed) for one in findings] == [(name, True) for name in (*OPENING, *CHECKS)], findings
    assert is_valid(findings)


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_released_version_is_as_it_was_signed(lived: Lived, version: str) -> None:
    signed, found = verify_version(local_environment(lived.cloud), lived.names, version)
    assert signed.name.startswith(f"{lived.names.package_group}/")
    assert {one.what for one in found if one.compared_with == "archive"} == set(MEMBERS)


@pytest.mark.parametrize("asked", ["9", "arn:aws:sagemaker:eu-west-1:123456789012:model-package/another/1"])
def test_another_package_is_refused(lived: Lived, asked: str) -> None:
    with pytest.raises(EnvironmentNotFoundError, match="expected a "):
        validate_package(local_environment(lived.cloud), lived.names, asked)
