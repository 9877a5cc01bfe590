"""What is said when the cloud does not come up; that it does is seen end to end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.local_cloud.local_cloud import find_cloud
from console.local_cloud.processes import Processes
from millrace.errors import LocalCloudError


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(folder=tmp_path)
    yield processes
    processes.stop()


def find(processes: Processes, program: str) -> str:
    cloud = processes.start("local cloud", ["-c", program], log="cloud.log", program=[sys.executable])
    return find_cloud(cloud).endpoint_url


def test_the_address_is_found_among_other_lines(processes: Processes) -> None:
    line = """print("a warning"); print('{"endpoint_url": "http://localhost:1"}', flush=True)"""
    assert find(processes, f"{line}; import time; time.sleep(60)") == "http://localhost:1"


def test_a_cloud_that_ends_without_an_address_is_told(processes: Processes) -> None:
    with pytest.raises(LocalCloudError, match=r"local cloud: expected its address, got nothing; see .*cloud\.log"):
        find(processes, "raise SystemExit('no port')")
