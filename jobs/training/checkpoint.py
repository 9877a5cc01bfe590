"""The state of a training run in one safetensors file, enough to go on as if nothing had happened.

Two checkpoints are kept, the last and the one before. A digest tells if the disk or the way to S3 has damaged a file;
then the training goes on from the other one.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from millrace.errors import ArtefactError
from millrace.jobs.training.processes import ALONE, Processes

NAME, BEFORE = "training.safetensors", "training-before.safetensors"
"""The file of the last checkpoint, and of the one before it."""
RANDOM = "random."
"""How the names of random states begin: `random.cpu.1` is that of the processor in process 1."""


@dataclass(kw_only=True)
class Progress:
    """How far the loop has come; the loop changes it."""

    best: dict[str, Tensor]
    """The weights of the best epoch so far."""
    best_loss: float = float("inf")
    best_epoch: int = 0
    epoch: int = 0
    """The epoch under way, counted from 0."""
    step: int = 0
    """Steps done in `epoch`."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """The fields of `loop.Epoch`, one entry for each epoch that is done."""


@dataclass(frozen=True, kw_only=True)
class State:
    """The objects whose tensors a checkpoint keeps and sets again."""

    network: nn.Module
    average: nn.Module | None
    """The network whose weights are the moving average of those of `network`; None without an average."""
    optimiser: Optimizer


def save(folder: Path, at: Progress, losses_S: Tensor, state: State, *, identity: str, of: Processes = ALONE) -> None:
    """Write a checkpoint into `folder`. A crash on the way leaves the files from before.

    `losses_S` are the losses of the steps of the epoch under way. Several processes all call this function, since each
    has a random state of its own; the first one writes."""
    # With the random states dropout goes on where it was, and the resumed run has the same bits.
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    # Every process must come here: a gathering ends only when all have sent.
    random = {name: of.gather(value) for name, value in states.items()}
    if not of.is_first:
        return
    # All tensors in one dictionary, told apart by the first word of their names.
    tensors = {"losses": losses_S}
    tensors |= {f"{RANDOM}{name}.{rank}": value for name, all_ in random.items() for rank, value in enumerate(all_)}
    tensors |= {f"network.{name}": value for name, value in state.network.state_dict().items()}
    if state.average:
        tensors |= {f"average.{name}": value for name, value in state.average.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in at.best.items()}
    # safetensors has no nesting: `exp_avg` of parameter 3 becomes the tensor `optimiser.3.exp_avg`.
    known = state.optimiser.state_dict()
    tensors |= {f"optimiser.{n}.{name}": value for n, held in known["state"].items() for name, value in held.items()}
    # All that is no tensor is JSON in the file's metadata. The learning rate of a captured step is a tensor.
    words = {
        "identity": identity,
        "groups": [group | {"lr": float(group["lr"])} for group in known["param_groups"]],
        "at": {name: value for name, value in vars(at).items() if name != "best"},
    }
    tensors = {name: value.cpu().contiguous() for name, value in tensors.items()}
    metadata = {"progress": (said := json.dumps(words)), "digest": _digest(said, tensors)}
    folder.mkdir(parents=True, exist_ok=True)
    # The platform may upload the folder at any moment, so an unfinished file must not bear the checkpoint's name.
    # Between the two renames there is only the checkpoint before, from which a training can go on too.
    unfinished = folder / f"{NAME}.unfinished"
    save_file(tensors, unfinished, metadata)
    with suppress(FileNotFoundError):
        os.replace(folder / NAME, folder / BEFORE)
    os.replace(unfinished, folder / NAME)


class Checkpoints:
    """The checkpoints of one training. If `folder` is None, none are kept."""

    def __init__(self, folder: Path | None, state: State, *, every_s: float, identity: str, of: Processes) -> None:
        self._folder, self._state, self._every_s = folder, state, every_s
        self._identity, self._of = identity, of
        self._saved_at = time.perf_counter()

    @property
    def is_due(self) -> bool:
        """Whether more than `every_s` seconds have passed since a checkpoint was last written or read."""
        return self._folder is not None and time.perf_counter() - self._saved_at > self._every_s

    def save(self, at: Progress, losses_S: Tensor) -> None:
        """Write a checkpoint, as the function `save` does; do nothing without a folder."""
        if self._folder:
            save(self._folder, at, losses_S, self._state, identity=self._identity, of=self._of)
            self._saved_at = time.perf_counter()

    def restore(self) -> tuple[Progress, Tensor] | None:
        """Go back to the last checkpoint, as the function `restore` does; None without a folder."""
        found = restore(self._folder, self._state, identity=self._identity, of=self._of) if self._folder else None
        self._saved_at = time.perf_counter()
        return found


def remove(folder: Path) -> None:
    """Delete the checkpoints in `folder`."""
    for name in (NAME, BEFORE):
        (folder / name).unlink(missing_ok=True)


def restore(folder: Path, state: State, *, identity: str, of: Processes = ALONE) -> tuple[Progress, Tensor] | None:
    """The progress and the step losses (S) of the last checkpoint, or of the one before if the last is damaged.

    The networks and the optimiser of `state` and the random states are set to those of the checkpoint. Returns None if
    there is no file. Raises ArtefactError if there are files and none is a checkpoint of this training."""
    device = next(state.network.parameters()).device
    # The first file that can be used wins. Only if none can, the refusal of the last checkpoint is raised.
    refusals = []
    for path in (folder / NAME, folder / BEFORE):
        if not path.exists():
            continue
        try:
            words, tensors = _read(path, identity)
        except ArtefactError as error:
            refusals.append(str(error))
            continue
        for refusal in refusals:
            print(f"refused: {refusal}; goes on from the one before", flush=True)
        return _set(words, {name: value.to(device) for name, value in tensors.items()}, state, of)
    if refusals:
        raise ArtefactError(refusals[0])
    return None


def _read(path: Path, identity: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The words and the tensors of a file. Raises ArtefactError for a damaged file or one of another training."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            words = json.loads(metadata["progress"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no mapping
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{path.name}: expected a checkpoint, got {error}") from None
    if (came := _digest(metadata["progress"], tensors)) != metadata.get("digest"):
        raise ArtefactError(f"{path.name}: expected a checkpoint of digest {metadata.get('digest')}, got {came}")
    if words["identity"] != identity:
        raise ArtefactError(
            f"{path.name}: expected a checkpoint of the training {identity}, got one of {words['identity']}"
        )
    return words, tensors


def _digest(words: str, tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of all that a checkpoint holds; safetensors itself checks sizes only."""
    found = hashlib.sha256(words.encode())
    for name, value in sorted(tensors.items()):
        found.update(name.encode())
        found.update(value.contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _set(words: dict[str, Any], tensors: dict[str, Tensor], state: State, of: Processes) -> tuple[Progress, Tensor]:
    """Set the networks, the optimiser and the random states. Returns the progress and the step losses (S)."""
    # By now the whole file was read and is known to be this training's: nothing is set halfway.
    state.network.load_state_dict(_part(tensors, "network."))
    if state.average:
        state.average.load_state_dict(_part(tensors, "average."))
    rates = [group["lr"] for group in state.optimiser.param_groups]
    state.optimiser.load_state_dict({"state": _states(_part(tensors, "optimiser.")), "param_groups": words["groups"]})
    for weights, held in state.optimiser.state.items():
        # The file holds contiguous tensors, the weights may lie channels last. The fused optimiser reads its state in
        # the order of the weights in memory, whatever the strides say: so the state gets the layout of its weights.
        held.update({name: torch.empty_like(weights).copy_(x) for name, x in held.items() if x.shape == weights.shape})
    for group, rate in zip(state.optimiser.param_groups, rates, strict=True):
        # A captured step reads the rate where it lies in memory: the tensor stays, its value changes.
        group["lr"] = rate.fill_(group["lr"]) if isinstance(rate, Tensor) else group["lr"]
    # Each process goes on with its own random state, which a checkpoint of fewer processes does not have.
    mine = {name: tensors.get(f"{RANDOM}{name}.{of.rank}") for name in ("cpu", "cuda")}
    if (drawn := mine["cpu"]) is None:
        raise ArtefactError(f"expected a checkpoint of {of.size} processes, got none of process {of.rank}")
    torch.set_rng_state(drawn.cpu())
    if (drawn := mine["cuda"]) is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(drawn.cpu())
    return Progress(best=_part(tensors, "best."), **words["at"]), tensors["losses"]


def _states(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The optimiser's state by the number of the parameter: `3.exp_avg` becomes `{3: {"exp_avg": …}}`."""
    states: dict[int, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        number, _, name = path.partition(".")
        states.setdefault(int(number), {})[name] = value
    return states


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
