"""A job that is forked from a process with its libraries is what it would be by itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.kernel import call_tracer
from infra.local.kernel.cloud import Cloud
from infra.local.kernel.processes import Process, signal_group, started_by_itself
from infra.local.sagemaker import fork_server
from infra.local.sagemaker.containers import Image
from infra.local.sagemaker.jobs.forked import Fork, ForkServers
from tests.infra.local.waiting import until

PROBE = """
import json, os, random, sys, tempfile, time
print(json.dumps({
    "name": __name__, "arguments": sys.argv[1:], "cwd": os.getcwd(), "group": os.getpgrp(), "pid": os.getpid(),
    "parent": os.getppid(), "environment": dict(os.environ), "folder": tempfile.gettempdir(), "random": random.random(),
    "path": sys.path[0],
}), flush=True)
if "sleep" in sys.argv:
    time.sleep(600)
raise SystemExit(int(sys.argv[-1]) if sys.argv[-1].isdigit() else 0)
"""


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """With the program `probe`; its path is longer than the address of a socket may be."""
    root = tmp_path / ("deep" * 20) / "image"
    (root / "opt/program").mkdir(parents=True)
    (root / ".isolate").mkdir()
    (root / "opt/program/probe.py").write_text(PROBE)
    for name in {name.partition(".")[0] for name in fork_server.LARGE}:  # it has none of them
        (root / "opt/program" / f"{name}.py").write_text("raise ImportError")
    for module in (call_tracer, fork_server):
        shutil.copy(str(module.__file__), root / ".isolate")
    return Image(
        name=f"probe-{tmp_path.name}",
        root=root,
        entrypoint=("python", "-m", "probe"),
        command=(),
        environment={},
        workdir="/opt/program",
    )


@pytest.fixture
def servers(cloud: Cloud) -> ForkServers:
    return ForkServers(cloud=cloud)


def started(servers: ForkServers, image: Image, root: Path, *words: str, is_forked: bool = True) -> Process:
    """The probe as a job whose `/opt/ml` is `root`."""
    arguments = image.arguments(command=words)
    environment = image.variables(root, {"JOB": root.name})
    address = servers.address(image, arguments, environment)
    assert address is not None
    start = Fork(address=address) if is_forked else started_by_itself
    return servers.cloud.spawn(arguments, environment=environment, cwd=image.cwd, log=root / "log", start=start)


def told(root: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((root / "log").read_text().splitlines()[-1])
    return found


def test_it_has_what_a_process_by_itself_has(servers: ForkServers, image: Image, tmp_path: Path) -> None:
    forked = started(servers, image, tmp_path / "a", "x", "7")
    assert forked.wait(60) == 7
    alone = started(servers, image, tmp_path / "b", "x", "7", is_forked=False)
    assert alone.wait(60) == 7
    one, other = told(tmp_path / "a"), told(tmp_path / "b")
    assert one["pid"] == one["group"] == forked.pid
    assert one["parent"] not in (os.getpid(), other["parent"])
    same = ("name", "arguments", "cwd", "path")
    assert [one[name] for name in same] == [other[name] for name in same]
    environment, its = one["environment"], other["environment"]
    assert isinstance(environment, dict)
    assert isinstance(its, dict)
    assert {**environment, "HOME": 0, "JOB": 0, "TMPDIR": 0, "MILLRACE_ML_ROOT": 0} == {
        **its, "HOME": 0, "JOB": 0, "TMPDIR": 0, "MILLRACE_ML_ROOT": 0,
    }  # fmt: skip
    assert (environment["JOB"], one["folder"]) == ("a", str(tmp_path / "a" / "home" / "tmp"))


def test_jobs_do_not_know_of_one_another(servers: ForkServers, image: Image, tmp_path: Path) -> None:
    names = ("a", "b", "c")
    jobs = [started(servers, image, tmp_path / name, name) for name in names]
    assert [job.wait(60) for job in jobs] == [0, 0, 0]
    found = [told(tmp_path / name) for name in names]
    assert [one["arguments"] for one in found] == [["a"], ["b"], ["c"]]
    assert len({one["random"] for one in found}) == len({one["pid"] for one in found}) == 3
    assert len({json.dumps(one["environment"], sort_keys=True) for one in found}) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_its_group_ends_it(
    servers: ForkServers, image: Image, tmp_path: Path, number: signal.Signals
) -> None:
    job = started(servers, image, tmp_path / "a", "sleep")
    until(lambda: (tmp_path / "a" / "log").stat().st_size or None)
    assert job.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        job.wait(0.01)
    signal_group(job, number)
    assert job.wait(60) == job.poll() == job.returncode == -number


def test_a_server_that_ended_is_begun_anew(servers: ForkServers, image: Image, tmp_path: Path) -> None:
    assert started(servers, image, tmp_path / "a").wait(60) == 0
    [begun] = servers._servers.values()
    assert begun is not None
    signal_group(begun[1], signal.SIGKILL)
    begun[1].wait(60)
    assert started(servers, image, tmp_path / "b").wait(60) == 0


def test_what_could_change_an_import_is_started_by_itself(servers: ForkServers, image: Image, tmp_path: Path) -> None:
    arguments, plain = image.arguments(), image.variables(tmp_path / "a")
    assert servers.address(image, arguments, plain) is not None
    assert servers.address(image, arguments, {**plain, "OMP_NUM_THREADS": "1"}) is None
    assert servers.address(image, arguments, {**plain, "PYTHONUNBUFFERED": ""}) is None
    assert servers.address(image, [sys.executable, "probe.py"], plain) is None
    assert servers.address(image, ["/opt/run", "-m", "probe"], plain) is None


def test_an_image_that_cannot_serve_starts_its_jobs_by_themselves(servers: ForkServers, image: Image) -> None:
    (image.root / ".isolate" / "fork_server.py").write_text("raise SystemExit(3)")
    assert servers.address(image, image.arguments(), image.variables(image.root)) is None
