from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from millrace.errors import TrainingError
from millrace.jobs.runtime import Hosts, TrainingPlaces
from millrace.jobs.training import launch
from millrace.jobs.training.processes import ALONE, Processes
from tests.jobs.conftest import changed

REPOSITORY = Path(__file__).resolve().parents[3]


def test_every_row_of_a_step_is_one_process_s() -> None:
    order_SB = torch.arange(24).view(3, 8)
    parts = [Processes(rank=rank, size=4).part(order_SB) for rank in range(4)]
    assert torch.equal(torch.cat(parts, dim=1), order_SB)
    assert torch.equal(ALONE.part(order_SB), order_SB)


def test_a_step_is_divided_evenly_or_refused() -> None:
    two = Processes(size=2)
    assert two.step_size(64, 1000) == 64
    assert two.step_size(64, 33) == 32
    assert ALONE.step_size(63, 33) == 33
    with pytest.raises(TrainingError, match="expected a multiple of the 2 processes, got 63 of 1000 rows"):
        two.step_size(63, 1000)
    with pytest.raises(TrainingError, match="2 processes, got 64 of 1 rows"):
        two.step_size(64, 1)


@pytest.mark.parametrize("current", ["algo-1", "algo-2"])
def test_torchrun_is_told_what_sagemaker_tells(tmp_path: Path, current: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    said = {"current_host": current, "hosts": ["algo-2", "algo-1"], "network_interface_name": "eth0"}
    (config / "resourceconfig.json").write_text(json.dumps(said))
    monkeypatch.setenv("SM_NUM_GPUS", "4")
    cluster = launch.cluster_of(TrainingPlaces(root=tmp_path).hosts)
    assert cluster == launch.Cluster(
        hosts=Hosts(names=("algo-1", "algo-2"), current=current, interface="eth0"), processes=4
    )
    words = launch.arguments(cluster)
    assert {"--nnodes=2", "--nproc_per_node=4", "--master_addr=algo-1", f"--node_rank={current[-1] == '2':d}"} < set(
        words
    )


def test_without_the_file_a_machine_is_alone(tmp_path: Path) -> None:
    assert launch.cluster_of(TrainingPlaces(root=tmp_path).hosts).size == max(1, torch.cuda.device_count())


@pytest.fixture(scope="module")
def snapshot(snapshot_1996: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of 1996, with a network that draws nothing while it trains: each process would draw of its own."""
    config = tmp_path_factory.mktemp("one-step") / "config"
    return changed(snapshot_1996, config, steps=1, dropout=0.0, epochs=4)


def history_of(root: Path) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads((root / "model" / "history.json").read_text())
    return found


@pytest.fixture(scope="module")
def of_two(snapshot: Any, training_at: Any, run_job: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of a job of two processes."""
    root: Path = training_at(tmp_path_factory.mktemp("two") / "ml", snapshot)
    ended = run_job("millrace.jobs.training", root, "train", SM_NUM_GPUS="2")
    assert ended.code == 0, ended.output
    assert ended.output.count("epoch=0 ") == 1
    return root


@pytest.mark.night("by day one process trains; how rows are divided among two is tested by itself")
def test_two_processes_lose_what_one_loses(
    snapshot: Any, training_at: Any, run_job: Any, of_two: Path, tmp_path: Path
) -> None:
    """At the same batch the losses differ by the order of sums only: float32 has seven digits, of which a few hundred
    steps of AdamW, whose division enlarges the differences of small gradients, leave four at least."""
    root = training_at(tmp_path / "ml", snapshot)
    ended = run_job("millrace.jobs.training", root, "train")
    assert ended.code == 0, ended.output
    for one, two in zip(history_of(root), history_of(of_two), strict=True):
        assert two["train_loss"] == pytest.approx(one["train_loss"], rel=1e-4)
        assert two["validation_loss"] == pytest.approx(one["validation_loss"], rel=1e-4)
    weights, others = (load_file(each / "model" / "weights.safetensors") for each in (root, of_two))
    for name in weights:
        torch.testing.assert_close(weights[name], others[name], rtol=1e-2, atol=1e-3)


@pytest.mark.night("by day the failure of one process is told")
def test_the_first_failure_is_the_one_that_is_told(
    snapshot: Any, training_at: Any, run_job: Any, tmp_path: Path
) -> None:
    """257 rows a step cannot be divided among two."""
    config = tmp_path / "config"
    shutil.copytree(snapshot.config, config)
    text = (config / "workload.yaml").read_text()
    (config / "workload.yaml").write_text(text.replace("batch_size: 256", "batch_size: 257"))
    root = training_at(tmp_path / "ml", type(snapshot)(data=snapshot.data, config=config))
    assert run_job("millrace.jobs.training", root, "train", SM_NUM_GPUS="2").code == 1
    failure = (root / "output" / "failure").read_text()
    assert failure.startswith("TrainingError: batch_size: expected a multiple of the 2 processes, got 257 of")


TEN = """\
import sys
from pathlib import Path
from benchmarks.kills import run
outcome = run(10, Path(sys.argv[1]))
assert outcome.different == 0 and outcome.in_writes >= 5, outcome
"""
FORGETFUL = """\
from millrace.jobs.training import checkpoint
restore = checkpoint.restore
def forgetful(*given, **named):
    if (found := restore(*given, **named)) is not None:
        found[0].step = max(0, found[0].step - 1)
    return found
checkpoint.restore = forgetful
"""


@pytest.mark.night("a hundred kills; by day the loop goes on from one checkpoint")
@pytest.mark.parametrize("fault", ["", FORGETFUL], ids=["as it is", "a step twice"])
def test_ten_kills_leave_the_same_weights(tmp_path: Path, fault: str) -> None:
    """In a process of its own: this one has threads, which a fork loses. A step that is done twice is noticed."""
    command = [sys.executable, "-c", fault + TEN, str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert (done.returncode == 0) is not bool(fault), done.stderr
    assert ("Outcome(" in done.stderr) is bool(fault), done.stderr
