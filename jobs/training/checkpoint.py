"""The state of a training run in one safetensors file, enough to go on as if nothing had happened."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from millrace.errors import ArtefactError

NAME = "training.safetensors"


@dataclass(kw_only=True)
class Progress:
    """The loop's progress; the loop changes it."""

    best: dict[str, Tensor]
    """The weights of the best epoch so far."""
    best_loss: float = float("inf")
    best_epoch: int = 0
    epoch: int = 0
    step: int = 0
    """Steps done in `epoch`."""
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class State:
    """What has tensors of its own to be kept and set again."""

    network: nn.Module
    average: nn.Module | None
    """The network whose weights are the average of the other's."""
    optimiser: Optimizer


def save(path: Path, at: Progress, losses_S: Tensor, state: State, *, identity: str) -> None:
    """Write all of it to `path` at once: a crash in between leaves the file before."""
    # The random state belongs to it: dropout goes on where it was, and the resumed run has the same bits.
    tensors = {"losses": losses_S, "random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    tensors |= {f"network.{name}": value for name, value in state.network.state_dict().items()}
    if state.average:
        tensors |= {f"average.{name}": value for name, value in state.average.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in at.best.items()}
    # safetensors knows tensors by name only: parameter 3's `exp_avg` becomes `optimiser.3.exp_avg`.
    known = state.optimiser.state_dict()
    tensors |= {f"optimiser.{n}.{name}": value for n, held in known["state"].items() for name, value in held.items()}
    words = {
        "identity": identity,
        "groups": known["param_groups"],
        "epoch": at.epoch,
        "step": at.step,
        "best_epoch": at.best_epoch,
        "best_loss": at.best_loss,
        "history": at.history,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # The platform may upload the folder at any moment: an unfinished file must not bear the checkpoint's name.
    unfinished = path.with_suffix(".unfinished")
    save_file(
        {name: value.contiguous() for name, value in tensors.items()}, unfinished, {"progress": json.dumps(words)}
    )
    os.replace(unfinished, path)


def restore(path: Path, state: State, *, identity: str) -> tuple[Progress, Tensor]:
    """Where the loop was and the losses of its epoch; networks, optimiser and random state are set.

    Raises ArtefactError when the file is no checkpoint or another experiment's."""
    device = next(state.network.parameters()).device
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            words = json.loads(file.metadata()["progress"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no mapping
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{path.name}: expected a checkpoint, got {error}") from None
    if words["identity"] != identity:
        raise ArtefactError(
            f"{path.name}: expected a checkpoint of experiment {identity}, got one of {words['identity']}"
        )
    # Nothing is set before the whole file was read and found to be this experiment's.
    state.network.load_state_dict(_part(tensors, "network."))
    if state.average:
        state.average.load_state_dict(_part(tensors, "average."))
    state.optimiser.load_state_dict({"state": _states(_part(tensors, "optimiser.")), "param_groups": words["groups"]})
    torch.set_rng_state(tensors["random.cpu"].cpu())
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"].cpu())
    progress = Progress(
        best=_part(tensors, "best."),
        best_loss=words["best_loss"],
        best_epoch=words["best_epoch"],
        epoch=words["epoch"],
        step=words["step"],
        history=words["history"],
    )
    return progress, tensors["losses"]


def _states(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The optimiser's state of each parameter by its number."""
    states: dict[int, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        number, _, name = path.partition(".")
        states.setdefault(int(number), {})[name] = value
    return states


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
