"""What is said when the cloud does not come up; that it does is seen end to end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.local_cloud.local_cloud import LocalCloud, find_cloud
from console.local_cloud.processes import Processes
from millrace.errors import LocalCloudError


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(folder=tmp_path)
    yield processes
    processes.stop()


def find(processes: Processes, program: str) -> LocalCloud:
    cloud = processes.start("local cloud", ["-c", program], log="cloud.log", program=[sys.executable])
    return find_cloud(cloud)


def test_the_address_is_found_among_other_lines(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush")
    announced = json.dumps({"endpoint_url": "http://localhost:1", "secret_file": str(tmp_path / "secret")})
    line = f"""print("a warning"); print({announced!r}, flush=True)"""
    expected = LocalCloud(endpoint_url="http://localhost:1", secret="hush")
    assert find(processes, f"{line}; import time; time.sleep(60)") == expected


def test_a_cloud_that_ends_without_an_address_is_told(processes: Processes) -> None:
    with pytest.raises(LocalCloudError, match=r"local cloud: expected its address, got nothing; see .*cloud\.log"):
        find(processes, "raise SystemExit('no port')")
