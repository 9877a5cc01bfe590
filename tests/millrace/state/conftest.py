"""The table `state` on moto."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from localcloud.dynamodb.install import make_writes_atomic
from localcloud.kernel.patching import undone
from millrace.names import Platform, WorkloadNames
from millrace.state.table import StateTable
from tests.credentials import set_credentials
from tests.state_table import create_table

NAMES = WorkloadNames(
    platform=Platform(stage="local", account="123456789012", region="eu-west-1"), workload="electricity"
)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    set_credentials(monkeypatch)
    with undone(), mock_aws():
        make_writes_atomic()
        found = boto3.client("dynamodb", region_name="eu-west-1")
        create_table(found, NAMES.platform.state_table)
        yield found


@pytest.fixture
def table(client: Any) -> StateTable:
    return StateTable(client, NAMES)
