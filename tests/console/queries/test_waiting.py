"""A workload whose drops nobody takes, as the queue's event source mapping says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from millrace.console.doctor.examination import _drops
from millrace.console.environment import Environment
from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.console.queries.waiting import check_taken
from millrace.errors import RunError
from millrace.names import MACHINES, WorkloadNames
from millrace.workload.load import load_workload, workloads_folder

NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")


class Pages:
    """Answers every list with the same mappings or machines."""

    def __init__(self, states: tuple[str, ...]) -> None:
        self._pages = [
            {
                "EventSourceMappings": [{"State": state} for state in states],
                "stateMachines": [
                    {"name": NAMES.machine(name), "stateMachineArn": NAMES.machine_arn(name)} for name in MACHINES
                ],
            }
        ]

    def get_paginator(self, _: str) -> Pages:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return self._pages


@pytest.fixture
def environment() -> Callable[..., Environment]:
    return lambda *states: Environment(platform=PLATFORM, client=lambda _: Pages(states))


@pytest.mark.parametrize("states", [("Enabled",), ("Enabling",), ("Disabled", "Enabled"), ()])
def test_drops_are_taken(environment: Callable[..., Environment], states: tuple[str, ...]) -> None:
    """Also where there is no mapping: a stack that is not whole says so itself."""
    check_taken(environment(*states), NAMES)
    assert list(_drops(environment(*states), [load_workload(workloads_folder() / "electricity")])) == []


@pytest.mark.parametrize("state", ["Disabled", "Disabling"])
def test_drops_are_not_taken(environment: Callable[..., Environment], state: str) -> None:
    with pytest.raises(RunError, match="switched off, by a teardown or by hand; the way back: cdk deploy --all"):
        check_taken(environment(state), NAMES)
    (check,) = _drops(environment(state), [load_workload(workloads_folder() / "electricity")])
    assert (check.verdict, check.found) == ("missing", "switched off")
