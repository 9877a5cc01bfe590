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

from localcloud.kernel import call_tracer, fork_server
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.forks import fork_servers
from localcloud.kernel.processes import Process, signal_group, started_by_itself
from localcloud.sagemaker import loopback
from localcloud.sagemaker.containers import Image, Images, without_network
from localcloud.sagemaker.jobs.forked import LARGE, begin_fork_servers, forked
from tests.localcloud.waiting import until

PROBE = """
import json, os, random, sys, tempfile, time
print(json.dumps({
    "name": __name__, "arguments": sys.argv[1:], "cwd": os.getcwd(), "group": os.getpgrp(), "pid": os.getpid(),
    "parent": os.getppid(), "environment": dict(os.environ), "folder": tempfile.gettempdir(), "random": random.random(),
    "path": sys.path[0], "network": os.readlink("/proc/self/ns/net"),
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
    for name in {name.partition(".")[0] for name in LARGE}:  # it has none of them
        (root / "opt/program" / f"{name}.py").write_text("raise ImportError")
    for module in (call_tracer, fork_server, loopback):
        shutil.copy(str(module.__file__), root / ".isolate")
    return Image(
        name=f"probe-{tmp_path.name}",
        root=root,
        entrypoint=("python", "-m", "probe"),
        command=(),
        environment={},
        workdir="/opt/program",
    )


def started(cloud: Cloud, image: Image, root: Path, *words: str, is_forked: bool = True) -> Process:
    """The probe as a job whose `/opt/ml` is `root`."""
    arguments = image.arguments(command=words)
    environment = image.variables(root, {"JOB": root.name})
    fork = forked(cloud, image, arguments, environment)
    assert fork is not None
    start = fork if is_forked else started_by_itself
    return cloud.spawn(arguments, environment=environment, cwd=image.cwd, log=root / "log", start=start)


def server_of(cloud: Cloud, image: Image) -> Process:
    """The server that the image's jobs are forks of."""
    process = fork_servers(cloud)._begun[image.name].process
    assert process is not None
    return process


def told(root: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((root / "log").read_text().splitlines()[-1])
    return found


def test_the_servers_of_all_images_with_jobs_can_begin_before_a_job(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first job is a fork of the one that is there; the image that only serves has none."""
    monkeypatch.setattr("localcloud.sagemaker.jobs.forked.LARGE", ("json",))
    for name in ("training", "inference"):
        (folder := tmp_path / "repository" / "containers" / name).mkdir(parents=True)
        (folder / "probe.py").write_text(PROBE)
        words = f'COPY containers/{name}/probe.py /opt/program/\nENTRYPOINT ["python", "-m", "probe"]\n'
        (folder / "Dockerfile").write_text(f"FROM python:3.11\nWORKDIR /opt/program\n{words}")
    found = Images(workspace=tmp_path / "workspace", repository=tmp_path / "repository")
    monkeypatch.setattr("localcloud.sagemaker.jobs.forked.images", lambda _: found)
    before = set(fork_servers(cloud)._begun)
    begin_fork_servers(cloud)
    assert set(fork_servers(cloud)._begun) - before == {"training"}
    server = server_of(cloud, found.find("training"))
    assert server.poll() is None
    begin_fork_servers(cloud)
    assert server_of(cloud, found.find("training")) is server


def test_it_has_what_a_process_by_itself_has(cloud: Cloud, image: Image, tmp_path: Path) -> None:
    forked = started(cloud, image, tmp_path / "a", "x", "7")
    assert forked.wait(60) == 7
    alone = started(cloud, image, tmp_path / "b", "x", "7", is_forked=False)
    assert alone.wait(60) == 7
    one, other = told(tmp_path / "a"), told(tmp_path / "b")
    assert one["pid"] == one["group"] == forked.pid
    assert one["parent"] not in (os.getpid(), other["parent"])
    same = ("name", "arguments", "cwd", "path")
    assert [one[name] for name in same] == [other[name] for name in same]
    environment, its = one["environment"], other["environment"]
    assert {**environment, "HOME": 0, "JOB": 0, "TMPDIR": 0, "MILLRACE_ML_ROOT": 0} == {
        **its, "HOME": 0, "JOB": 0, "TMPDIR": 0, "MILLRACE_ML_ROOT": 0,
    }  # fmt: skip
    # Two jobs at once can listen on the same port.
    assert not without_network() or one["network"] != os.readlink(f"/proc/{server_of(cloud, image).pid}/ns/net")
    assert (environment["JOB"], one["folder"]) == ("a", str(tmp_path / "a" / "home" / "tmp"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_its_group_ends_it(cloud: Cloud, image: Image, tmp_path: Path, number: signal.Signals) -> None:
    job = started(cloud, image, tmp_path / "a", "sleep")
    until(lambda: (tmp_path / "a" / "log").stat().st_size or None)
    assert job.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        job.wait(0.01)
    signal_group(job, number)
    assert job.wait(60) == job.poll() == job.returncode == -number


def test_a_server_that_ended_is_begun_anew(cloud: Cloud, image: Image, tmp_path: Path) -> None:
    assert started(cloud, image, tmp_path / "a").wait(60) == 0
    server = server_of(cloud, image)
    signal_group(server, signal.SIGKILL)
    server.wait(60)
    assert started(cloud, image, tmp_path / "b").wait(60) == 0


def test_what_could_change_an_import_is_started_by_itself(cloud: Cloud, image: Image, tmp_path: Path) -> None:
    arguments, plain = image.arguments(), image.variables(tmp_path / "a")
    assert forked(cloud, image, arguments, plain) is not None
    assert forked(cloud, image, arguments, {**plain, "OMP_NUM_THREADS": "1"}) is None
    assert forked(cloud, image, arguments, {**plain, "PYTHONUNBUFFERED": ""}) is None
    assert forked(cloud, image, [sys.executable, "probe.py"], plain) is None
    assert forked(cloud, image, ["/opt/run", "-m", "probe"], plain) is None


def test_an_image_that_cannot_serve_starts_its_jobs_by_themselves(cloud: Cloud, image: Image) -> None:
    (image.root / ".isolate" / "fork_server.py").write_text("raise SystemExit(3)")
    assert forked(cloud, image, image.arguments(), image.variables(image.root)) is None


def test_a_server_whose_parent_is_gone_ends(tmp_path: Path) -> None:
    """As where the cloud was killed: nobody is left who could end it."""
    parent = f"""
import subprocess, sys, time
server = subprocess.Popen([sys.executable, {fork_server.__file__!r}, {str(tmp_path / "socket")!r}, "json"])
print(server.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        until(lambda: (tmp_path / "socket").exists())
        assert is_running(server)
        process.kill()
    until(lambda: not is_running(server), limit_s=30)


def is_running(process: int) -> bool:
    """Not as a zombie: where nothing reaps orphans they stay."""
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
