"""The training loop, read top to bottom.

N rows, B rows per step, W numbers per row. Every step has the same shape, and nothing of a step is read back before
the epoch ends: so the step may be compiled or captured whole without a change here.
Equal inputs and seed give equal weights, bit by bit, also when the run was stopped and resumed in between (on CPU;
one thread for small models, since the number of threads changes the order of sums).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from jobs.runtime import Stopped
from jobs.training import checkpoint, loss
from jobs.training.arithmetic import SMALL_STEP, multiplications
from jobs.training.average import Average
from jobs.training.loader import Resident
from millrace.errors import TrainingError
from millrace.features.signature import Signature
from millrace.models.initial_model import InitialModel
from millrace.models.parameters import Parameters
from millrace.models.predictor import Predictor, build
from millrace.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What is to be trained, on which rows."""

    parameters: Parameters
    signature: Signature
    task: Task
    train: Resident
    validation: Resident
    identity: str
    """A digest of all that decides the result; a checkpoint of another experiment is refused."""
    initial: InitialModel | None = None
    """None: random weights."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One point of the training curves."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_error: float
    """The mean error of the answers, as the task counts it."""
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The predictor with the weights of its best epoch, in evaluation mode, and how it got there."""

    predictor: Predictor
    history: tuple[Epoch, ...]


def train(
    experiment: Experiment,
    *,
    checkpoints: Path | None = None,
    checkpoint_every_s: float = 10.0,
    stop: Callable[[], bool] = lambda: False,
    report: Callable[[Epoch], None] = lambda _: None,
) -> Trained:
    """The predictor of the epoch with the lowest validation loss.

    Goes on from the checkpoint in `checkpoints` if there is one. Raises Stopped, the state saved, once `stop` is true;
    ArtefactError when the checkpoint is another experiment's; TrainingError when a loss is not a finite number."""
    settings, task = experiment.parameters, experiment.task
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        # On CPU each operation here is deterministic as it is.
        torch.use_deterministic_algorithms(True)
    torch.manual_seed(settings.seed)

    # All rows go to the device once: no step waits for a copy.
    rows, held = experiment.train.to(device), experiment.validation.to(device)
    predictor = build(settings, experiment.signature, task.objective).to(device)
    predictor.fit(rows.tensors, rows.target_N)
    if experiment.initial:
        experiment.initial.apply(predictor.network, settings)
    network, objective = predictor.network, loss.declare(settings, predictor, rows.target_N)
    average = Average(predictor, settings.ema) if settings.ema else None
    # Whose answers are judged, and whose weights are the result.
    judged = average.predictor if average else predictor
    size = min(settings.batch_size, len(rows))
    # The rows left over by the last full step are left out of this epoch; the shuffle leaves out others in the next.
    steps = len(rows) // size
    is_small = multiplications(network, rows.batch(torch.arange(size)).tensors) < SMALL_STEP
    torch.set_num_threads(1 if is_small else os.cpu_count() or 1)
    # Fused: one call for all weights, six tenths of the time of one call for each.
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)

    # `at` is all that a checkpoint has to say besides tensors. The losses of the epoch's steps are part of it, so that
    # the curve of an interrupted epoch is the one it would have been.
    at = checkpoint.Progress(best={name: value.clone() for name, value in judged.state_dict().items()})
    history: list[Epoch] = []
    losses_S = torch.zeros(steps, device=device)
    state = checkpoint.State(network=predictor, average=average.predictor if average else None, optimiser=optimiser)
    path = checkpoints / checkpoint.NAME if checkpoints else None
    if path and path.exists():
        at, losses_S = checkpoint.restore(path, state, identity=experiment.identity)
        history = [Epoch(**entry) for entry in at.history]
    saved_at = began = time.perf_counter()

    while at.epoch < settings.epochs and at.epoch - at.best_epoch <= settings.patience:
        # The order depends on seed and epoch alone: a resumed epoch goes on with the very batches that were left.
        order_SB = rows.order(seed=settings.seed * 10_007 + at.epoch, size=size)
        predictor.train()
        while at.step < steps:
            if stop() or (path and time.perf_counter() - saved_at > checkpoint_every_s):
                _check_finite(losses_S[: at.step], at.epoch)
                if path:
                    checkpoint.save(path, at, losses_S, state, identity=experiment.identity)
                    saved_at = time.perf_counter()
                if stop():
                    raise Stopped(f"in epoch {at.epoch}, after step {at.step} of {steps}")
            # One step: forward and loss, gradients, update. The loss stays on the device: reading it would make the
            # processor wait for the GPU at every step.
            batch, step = rows.batch(order_SB[at.step]), at.epoch * steps + at.step
            if settings.schedule == "cosine":
                falling = (1 + math.cos(math.pi * step / (steps * settings.epochs))) / 2
                optimiser.param_groups[0]["lr"] = settings.learning_rate * falling
            step_loss = objective.training(network(**batch.tensors), batch.target_B)
            optimiser.zero_grad()
            step_loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if average:
                average.follow(step)
            losses_S[at.step] = step_loss.detach()
            at.step += 1
        _check_finite(losses_S, at.epoch)

        # The epoch is judged on the validation rows: its loss chooses the best epoch, its error is for people.
        judged.eval()
        with torch.no_grad():
            raw_NW = judged.network(**held.tensors)
            validation_loss = float(objective.validation(raw_NW, held.target_N))
            errors_N = task.errors(judged.answer(raw_NW).cpu().numpy(), held.target_N.cpu().numpy())
        if not math.isfinite(validation_loss):
            raise TrainingError(f"epoch {at.epoch}: expected a finite validation loss, got {validation_loss}")
        now = time.perf_counter()
        entry = Epoch(
            epoch=at.epoch,
            train_loss=float(losses_S.mean()),
            validation_loss=validation_loss,
            validation_error=float(errors_N.mean()),
            seconds=round(now - began, 4),
        )
        report(entry)
        history.append(entry)
        at.history.append(asdict(entry))
        # A copy, not a reference: the optimiser changes the weights in place.
        if validation_loss < at.best_loss:
            at.best_loss, at.best_epoch = validation_loss, at.epoch
            at.best = {name: value.clone() for name, value in judged.state_dict().items()}
        at.epoch, at.step, began = at.epoch + 1, 0, now

    # The last epochs were only there to see that nothing better comes.
    predictor.load_state_dict(at.best)
    return Trained(predictor=predictor.eval().cpu(), history=tuple(history))


def _check_finite(losses_S: torch.Tensor, epoch: int) -> None:
    """Raise TrainingError at the first step whose loss is not a finite number: all weights after it are worthless."""
    if not torch.isfinite(losses_S).all():
        step = int((~torch.isfinite(losses_S)).nonzero()[0])
        came = f"got {float(losses_S[step])}; try a lower learning_rate"
        raise TrainingError(f"epoch {epoch}, step {step}: expected a finite training loss, {came}")
