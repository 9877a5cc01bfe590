"""A training that is killed often ends with the weights of one that never was: `python -m benchmarks.kills`.

A hundred SIGKILLs: every other one at a random moment, the others while a checkpoint is being written, as its
unfinished file shows. After each the training goes on in a new process from what lies in the folder. Every training
that comes to its end is compared bit by bit with the undisturbed one; no kill may take a training back to before an
earlier checkpoint.
"""

from __future__ import annotations

import json
import os
import random
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # torch's optimisers load it, which would take each process a second
from safetensors import safe_open
from safetensors.torch import save_file

from benchmarks import conclude
from millrace.features.signature import TensorSpec
from millrace.jobs.training import checkpoint
from millrace.jobs.training.loader import Resident
from millrace.jobs.training.loop import TrainingInputs, train
from millrace.models.feedforward.declaration import Feedforward
from millrace.tasks.binary import Binary

KILLS, SEED = 100, 5
INTERVAL_S, LONGEST_S = 0.03, 0.6
"""Between checkpoints, and of a life that ends at a random moment."""
RESULT = "result.safetensors"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What many kills have done."""

    in_writes: int
    """Kills that left an unfinished checkpoint."""
    trainings: int
    """That came to their end."""
    different: int
    """Of these, with other weights than the undisturbed one; and lives that went back."""


def made(rows: int, seed: int) -> Resident:
    """Class 1 where the first number is above the second."""
    x_NF = torch.randn(rows, 8, generator=torch.Generator().manual_seed(seed))
    return Resident(tensors={"numbers": x_NF}, target_N=(x_NF[:, 0] > x_NF[:, 1]).float())


def live(folder: Path) -> int:
    """The id of a new process that trains, with what lies in the folder, to its end.

    A fork: this process has loaded torch and computed nothing, so it has no threads that a fork would lose."""
    if child := os.fork():
        return child
    code = 1
    try:
        parameters = Feedforward(hidden=(256, 256), epochs=12, patience=99, batch_size=64, dropout=0.2, ema=0.9)
        inputs = TrainingInputs(
            parameters=parameters,
            signature=(TensorSpec(name="numbers", dtype="float32", shape=(8,), optional=(False,) * 8),),
            task=Binary(),
            train=made(6400, 0),
            validation=made(500, 1),
            identity="kills",
        )
        trained = train(inputs, checkpoints=folder, checkpoint_every_s=INTERVAL_S)
        save_file(trained.predictor.state_dict(), folder / "unfinished", {})
        (folder / "unfinished").rename(folder / RESULT)
        code = 0
    finally:
        os._exit(code)


def kill(child: int, folder: Path, *, after_s: float, in_write: bool) -> bool:
    """Whether the process was killed before its end."""
    end, writing = time.monotonic() + after_s, folder / f"{checkpoint.NAME}.unfinished"
    while not (writing.exists() if in_write else time.monotonic() > end):
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return False
        time.sleep(0 if in_write else 0.002)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def step_of(folder: Path) -> tuple[int, int]:
    """Epoch and step of the newest whole checkpoint; (0, 0) without one."""
    for name in (checkpoint.NAME, checkpoint.BEFORE):
        if (path := folder / name).exists():
            with safe_open(path, "pt") as file:
                words = json.loads(file.metadata()["progress"])
            return words["epoch"], words["step"]
    return 0, 0


def run(kills: int, folder: Path, *, seed: int = SEED) -> Outcome:
    """Kill a training as often; it begins anew each time that it has come to its end."""
    chance, undisturbed, lives = random.Random(seed), folder / "undisturbed", folder / "lives"
    for each in (undisturbed, lives):
        each.mkdir()
    os.waitpid(live(undisturbed), 0)
    expected = (undisturbed / RESULT).read_bytes()
    done, in_writes, trainings, different, at = 0, 0, 0, 0, (0, 0)
    while True:
        unfinished = lives / f"{checkpoint.NAME}.unfinished"
        unfinished.unlink(missing_ok=True)
        child = live(lives)
        if done == kills:
            os.waitpid(child, 0)
        elif kill(child, lives, after_s=chance.uniform(0, LONGEST_S), in_write=done % 2 == 1):
            done, in_writes = done + 1, in_writes + unfinished.exists()
            different += (now := step_of(lives)) < at
            at = now
            continue
        result = lives / RESULT
        trainings, different = trainings + 1, different + (not result.exists() or result.read_bytes() != expected)
        if done == kills:
            return Outcome(in_writes=in_writes, trainings=trainings, different=different)
        result.unlink(missing_ok=True)
        checkpoint.remove(lives)
        at = 0, 0


def verdict(*, different: int, in_writes: int) -> dict[str, Any]:
    """The result: no difference, and at least every tenth kill in the middle of a write."""
    holds, unit = different == 0 and in_writes >= KILLS // 10, f"differences after {KILLS} kills, {in_writes} in writes"
    return {"name": "kills", "figure": different, "unit": unit, "bar": 0, "holds": holds}


def main() -> None:
    """Kill a hundred times; exits with 1 on any difference."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(KILLS, Path(folder))
    conclude(verdict(different=outcome.different, in_writes=outcome.in_writes))


if __name__ == "__main__":
    main()
