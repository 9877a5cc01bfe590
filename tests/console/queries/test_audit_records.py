"""Records of the audit that are not there, and events that are not one."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from millrace.console.environment import Environment
from millrace.console.queries.audit import event_of, find_records
from millrace.errors import EnvironmentNotFoundError
from millrace.messages.audit import AuditEvent
from tests.console.conftest import NAMES
from tests.credentials import set_credentials


def test_a_stage_without_the_table_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    set_credentials(monkeypatch)
    with (
        mock_aws(),
        pytest.raises(EnvironmentNotFoundError, match=f"expected the table {NAMES.platform.audit_table} "),
    ):
        find_records(Environment(platform=NAMES.platform, client=boto3.client), NAMES)


def test_an_event_is_known_by_its_name() -> None:
    assert (event_of("release.live"), event_of("")) == (AuditEvent.RELEASE_LIVE, None)
    with pytest.raises(EnvironmentNotFoundError, match=r"--event: expected one of model\.passed"):
        event_of("live")
