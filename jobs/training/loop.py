"""The training loop, read top to bottom.

N rows, F features, B rows per step. All rows lie on the device, every step has the same shape, and nothing of a step
is read back before the epoch ends: so the step may be compiled or captured whole without a change here.
Equal inputs and seed give equal weights, bit by bit, also when the run was stopped and resumed in between (on CPU;
one thread for small models, since the number of threads changes the order of sums).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from jobs.runtime import Stopped
from jobs.training import checkpoint
from jobs.training.adamw import AdamW
from millrace.models.catalogue import Parameters

SMALL_STEP = 2**27
"""Multiplications per step below which one thread is faster than several."""


class Network(Protocol):
    """What a family's network offers besides being a module."""

    mean_F: Tensor
    temperature: Tensor

    def standardise(self, x_NF: Tensor) -> None: ...
    def probability(self, x_NF: Tensor) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Rows to learn from, float32."""

    x_NF: Tensor
    y_N: Tensor


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be trained."""

    family: str
    parameters: Parameters
    train: Examples
    validation: Examples
    may_miss: bool = False
    """Whether the rows may hold NaN where a number is missing."""
    identity: str
    """A digest of all that decides the result; a checkpoint of another task is refused."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One point of the training curves."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The network with the weights of its best epoch, in evaluation mode, and how it got there."""

    network: nn.Module
    history: tuple[Epoch, ...]


def train(
    task: Task,
    *,
    checkpoints: Path | None = None,
    checkpoint_every_s: float = 10.0,
    stop: Callable[[], bool] = lambda: False,
    report: Callable[[Epoch], None] = lambda _: None,
) -> Trained:
    """The network of the epoch with the lowest validation loss.

    Goes on from the checkpoint in `checkpoints` if there is one. Raises Stopped, the state saved, once `stop` is true;
    ArtefactError when the checkpoint is another task's."""
    settings = task.parameters
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        # On CPU each operation here is deterministic as it is, and the call imports a compiler: a second of CPU.
        torch.use_deterministic_algorithms(True)
    torch.manual_seed(settings.seed)

    x_NF, y_N = task.train.x_NF.to(device), task.train.y_N.to(device)
    held_x_NF, held_y_N = task.validation.x_NF.to(device), task.validation.y_N.to(device)
    network = build(task.family, settings, features=x_NF.shape[1], may_miss=task.may_miss).to(device)
    cast("Network", network).standardise(x_NF)
    size = min(settings.batch_size, len(x_NF))
    steps = len(x_NF) // size
    weights = sum(parameter.numel() for parameter in network.parameters())
    torch.set_num_threads(1 if size * weights < SMALL_STEP else os.cpu_count() or 1)
    optimiser = AdamW(network.parameters(), learning_rate=settings.learning_rate, weight_decay=settings.weight_decay)

    at = checkpoint.Progress(best={name: value.clone() for name, value in network.state_dict().items()})
    history: list[Epoch] = []
    loss_sum = torch.zeros((), device=device)
    path = checkpoints / checkpoint.NAME if checkpoints else None
    if path and path.exists():
        at, loss_sum = checkpoint.restore(path, network, optimiser, identity=task.identity)
        history = [Epoch(**entry) for entry in at.history]
    saved_at = began = time.perf_counter()

    while at.epoch < settings.epochs and at.epoch - at.best_epoch <= settings.patience:
        # The rows left over by the last full step differ from epoch to epoch.
        order = torch.randperm(len(x_NF), generator=torch.Generator().manual_seed(settings.seed * 10_007 + at.epoch))
        batches_SB = order[: steps * size].view(steps, size).to(device)
        network.train()
        while at.step < steps:
            if stop() or (path and time.perf_counter() - saved_at > checkpoint_every_s):
                if path:
                    checkpoint.save(path, at, loss_sum, network, optimiser, identity=task.identity)
                    saved_at = time.perf_counter()
                if stop():
                    raise Stopped(f"in epoch {at.epoch}, after step {at.step} of {steps}")
            rows_B = batches_SB[at.step]
            loss = binary_cross_entropy_with_logits(network(x_NF[rows_B]), y_N[rows_B])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            loss_sum += loss.detach()
            at.step += 1

        network.eval()
        with torch.no_grad():
            logit_N = network(held_x_NF)
            validation_loss = float(binary_cross_entropy_with_logits(logit_N, held_y_N))
            accuracy = float(((logit_N >= 0) == (held_y_N > 0)).float().mean())
        now = time.perf_counter()
        entry = Epoch(
            epoch=at.epoch,
            train_loss=float(loss_sum) / steps,
            validation_loss=validation_loss,
            validation_accuracy=accuracy,
            seconds=round(now - began, 4),
        )
        report(entry)
        history.append(entry)
        at.history.append(asdict(entry))
        if validation_loss < at.best_loss:
            at.best_loss, at.best_epoch = validation_loss, at.epoch
            at.best = {name: value.clone() for name, value in network.state_dict().items()}
        at.epoch, at.step, began = at.epoch + 1, 0, now
        loss_sum.zero_()

    network.load_state_dict(at.best)
    return Trained(network=network.eval().cpu(), history=tuple(history))


def build(family: str, parameters: Parameters, *, features: int, may_miss: bool = False) -> nn.Module:
    """The untrained network of a family."""
    network = import_module(f"millrace.models.{family}.network").build(parameters, features, may_miss=may_miss)
    assert isinstance(network, nn.Module)
    return network
