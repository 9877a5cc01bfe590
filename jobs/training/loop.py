"""The training loop, read top to bottom.

N rows, B rows per step, W numbers per row. Every step has the same shape, and nothing of a step is read back before
the epoch ends: so the step is captured whole on a GPU (see step.py) without a change here.
Equal inputs and seed give equal weights, bit by bit, also when the run was stopped and resumed in between (on CPU;
one thread for small models, since the number of threads changes the order of sums).
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from jobs.runtime import Stopped
from jobs.training import checkpoint, loss
from jobs.training.arithmetic import SMALL_STEP, multiplications
from jobs.training.average import Average
from jobs.training.loader import Resident, place
from jobs.training.processes import ALONE, Processes
from jobs.training.step import CudaGraph, Step, set_rate
from jobs.training.usage import used
from jobs.training.validation import Validation
from millrace.errors import ArtefactError, TrainingError
from millrace.features.signature import Signature
from millrace.models.initial_model import InitialModel
from millrace.models.parameters import Parameters
from millrace.models.predictor import Predictor, build
from millrace.tasks.task import Task
from millrace.workload.training import Precision


@dataclass(frozen=True, kw_only=True)
class TrainingInputs:
    """What is to be trained, on which rows."""

    parameters: Parameters
    signature: Signature
    task: Task
    train: Resident
    validation: Resident
    identity: str
    """A digest of all that decides the result; a checkpoint of another training is refused."""
    initial: InitialModel | None = None
    """None: random weights."""
    precision: Precision = "float32"
    """Of a GPU's forward pass; CPU computes in float32."""
    is_compiled: bool = False
    """Whether a GPU's forward pass is compiled first."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One point of the training curves."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_error: float
    """The mean error of the answers, as the task counts it."""
    seconds: float
    cpu_s: float = 0.0
    """Of the process until then; as the next two, 0 in histories of former versions."""
    memory_mb: float = 0.0
    """The most that the process had until then,"""
    gpu_memory_mb: float = 0.0
    """and of the GPU's; 0 without one."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The predictor with the weights of its best epoch, in evaluation mode, and how it got there."""

    predictor: Predictor
    history: tuple[Epoch, ...]


def train(
    inputs: TrainingInputs,
    *,
    checkpoints: Path | None = None,
    checkpoint_every_s: float = 10.0,
    stop: Callable[[], bool] = lambda: False,
    report: Callable[[Sequence[Epoch]], None] = lambda _: None,
    together: Processes = ALONE,
    room: int | None = None,
) -> Trained:
    """The predictor of the epoch with the lowest validation loss.

    Goes on from the checkpoint in `checkpoints` if there is one. Raises Stopped, the state saved, once `stop` is true;
    ArtefactError when the checkpoint is another training's; TrainingError when a loss is not a finite number, or a step
    does not fit into the device's memory though no rows lie there.
    Of several processes all call it, with the same words; the first one saves and reports. `room` is the device's for
    rows, in bytes, where it is not to be what is free."""
    once = partial(
        _train,
        inputs,
        checkpoints=checkpoints,
        checkpoint_every_s=checkpoint_every_s,
        stop=stop,
        report=report,
        together=together,
    )
    try:
        return once(room=room)
    except torch.OutOfMemoryError as error:
        # Of several processes the others are in the middle of a step, and would wait for this one.
        if together.size > 1:
            raise _out_of_memory(inputs, error) from None
        print("out of memory: once more without rows on the device", flush=True)
    # Now that the error is gone, nothing but cycles holds what the first try had on the device.
    gc.collect()
    torch.cuda.empty_cache()
    try:
        return once(room=0)
    except torch.OutOfMemoryError as error:
        raise _out_of_memory(inputs, error) from None


def _out_of_memory(inputs: TrainingInputs, error: torch.OutOfMemoryError) -> TrainingError:
    """With torch's first line, which has the device's memory and what is free of it."""
    came, size = str(error).partition("\n")[0], inputs.parameters.batch_size
    return TrainingError(f"batch_size {size}: expected steps that fit into the device's memory, got {came}")


def _train(
    inputs: TrainingInputs,
    *,
    checkpoints: Path | None,
    checkpoint_every_s: float,
    stop: Callable[[], bool],
    report: Callable[[Sequence[Epoch]], None],
    together: Processes,
    room: int | None,
) -> Trained:
    """As `train`; raises torch.OutOfMemoryError."""
    settings, device = inputs.parameters, together.device
    if device.type == "cuda":
        # On CPU each operation here is deterministic as it is.
        torch.use_deterministic_algorithms(True)
    torch.manual_seed(settings.seed)

    # All rows go to the device once, so that no step waits for a copy; what does not fit is fetched a step ahead.
    rows, held = place(inputs.train, device, room=room), place(inputs.validation, device, room=room)
    predictor = build(inputs.parameters, inputs.signature, inputs.task.objective)
    torch.set_num_threads(_threads(predictor, inputs, together))
    predictor = _begun(predictor, inputs, rows, device)
    objective = loss.declare(settings, predictor, rows.target_N.to(device))
    average = Average(predictor, settings.ema) if settings.ema else None
    # Whose answers are judged, and whose weights are the result.
    judged = average.predictor if average else predictor
    size = together.step_size(settings.batch_size, len(rows))
    # The rows left over by the last full step are left out of this epoch; the shuffle leaves out others in the next.
    steps = len(rows) // size
    optimiser, take_step = _step(inputs, predictor, objective, together)
    judge = Validation(judged, objective, inputs.task, held, together)

    state = checkpoint.State(network=predictor, average=average.predictor if average else None, optimiser=optimiser)
    kept = checkpoint.Checkpoints(checkpoints, state, every_s=checkpoint_every_s, identity=inputs.identity, of=together)
    if together.size > 1:
        # The weights began alike; what is drawn from here on (dropout) differs from process to process.
        torch.manual_seed(settings.seed + together.rank)
    at, losses_S = _start(kept, judged, steps, together)
    began = time.perf_counter()

    while at.epoch < settings.epochs and at.epoch - at.best_epoch <= settings.patience:
        # The order depends on seed and epoch alone: a resumed epoch goes on with the very batches that were left.
        order_SB = together.part(rows.order(seed=settings.seed * 10_007 + at.epoch, size=size))
        batches = iter(rows.batches(order_SB[at.step :]))
        predictor.train()
        while at.step < steps:
            is_stopped, is_due = together.agree([stop(), kept.is_due])
            if is_stopped or is_due:
                _check_finite(losses_S[: at.step], at.epoch)
                kept.save(at, losses_S)
            if is_stopped:
                raise Stopped(f"in epoch {at.epoch}, after step {at.step} of {steps}")
            # One step: forward and loss, gradients, update. The loss stays on the device: reading it would make the
            # processor wait for the GPU at every step.
            batch, step = next(batches), at.epoch * steps + at.step
            if settings.schedule == "cosine":
                falling = (1 + math.cos(math.pi * step / (steps * settings.epochs))) / 2
                set_rate(optimiser, settings.learning_rate * falling)
            losses_S[at.step] = take_step(batch)
            if average:
                average.follow(step)
            at.step += 1
        _check_finite(losses_S, at.epoch)

        validation_loss, validation_error = judge(at.epoch)
        now = time.perf_counter()
        entry = Epoch(
            epoch=at.epoch,
            train_loss=float(losses_S.mean()),
            validation_loss=validation_loss,
            validation_error=validation_error,
            seconds=round(now - began, 4),
            **used(together.device),
        )
        at.history.append(asdict(entry))
        report(_history(at))
        if validation_loss < at.best_loss:
            at.best_loss, at.best_epoch, at.best = validation_loss, at.epoch, _copied(judged)
        at.epoch, at.step, began = at.epoch + 1, 0, now

    # The last epochs were only there to see that nothing better comes.
    predictor.load_state_dict(at.best)
    _arrange(predictor, torch.contiguous_format)
    return Trained(predictor=predictor.eval().cpu(), history=_history(at))


def trainings_at_once(inputs: TrainingInputs, together: Processes) -> int:
    """How many trainings like this one the processors are there for: several where each keeps one busy, and no GPU."""
    if together.size > 1 or together.device.type != "cpu":
        return 1
    predictor = build(inputs.parameters, inputs.signature, inputs.task.objective)
    return together.threads if _threads(predictor, inputs, together) == 1 else 1


def _threads(predictor: Predictor, inputs: TrainingInputs, together: Processes) -> int:
    """One where a step is so small that it is slower when it is divided."""
    rows_B = torch.arange(together.step_size(inputs.parameters.batch_size, len(inputs.train)))
    is_small = multiplications(predictor.network, inputs.train.batch(rows_B).tensors) < SMALL_STEP
    return 1 if is_small else together.threads


def _begun(predictor: Predictor, inputs: TrainingInputs, rows: Resident, device: torch.device) -> Predictor:
    """On the device: random weights, or those of the initial model, and what is counted from the training rows."""
    predictor = predictor.to(rows.target_N.device)
    predictor.fit(rows.tensors, rows.target_N)
    predictor = predictor.to(device)
    if inputs.initial:
        inputs.initial.apply(predictor.network, inputs.parameters)
    if device.type == "cpu":
        # A processor's convolutions are 1.3 times as fast with an image's channels side by side, forward and back.
        _arrange(predictor, torch.channels_last)
    return predictor


def _arrange(predictor: Predictor, form: torch.memory_format) -> None:
    """Lay the weights of two-dimensional convolutions in memory in this order."""
    for weights in predictor.parameters():
        if weights.dim() == 4:
            weights.data = weights.data.contiguous(memory_format=form)


def _step(
    inputs: TrainingInputs, predictor: Predictor, objective: loss.Loss, together: Processes
) -> tuple[torch.optim.AdamW, Step]:
    """The optimiser of the weights that learn, and what takes a step with it."""
    settings, device = inputs.parameters, together.device
    learning = [parameter for parameter in predictor.network.parameters() if parameter.requires_grad]
    # Fused: one call for all weights, six tenths of the time of one call for each. In a captured step its learning rate
    # and its count of steps are read from the device.
    is_captured = device.type == "cuda" and together.size == 1
    rate = torch.tensor(settings.learning_rate, device=device) if is_captured else settings.learning_rate
    optimiser = torch.optim.AdamW(
        learning, lr=rate, weight_decay=settings.weight_decay, fused=True, capturable=is_captured
    )
    take_step = Step(
        predictor.network,
        objective,
        optimiser,
        together,
        precision=inputs.precision,
        is_compiled=inputs.is_compiled and device.type == "cuda",
        capture=CudaGraph() if is_captured else None,
    )
    return optimiser, take_step


def _start(
    kept: checkpoint.Checkpoints, judged: Predictor, steps: int, together: Processes
) -> tuple[checkpoint.Progress, torch.Tensor]:
    """All that a checkpoint has to say besides the weights, of the one that is there, else of the beginning.

    The losses of an epoch's steps (S) are part of it, so that the curve of an interrupted epoch is the one it would
    have been. Raises ArtefactError as `checkpoint.restore`, and where the processes are not at one place."""
    beginning = checkpoint.Progress(best=_copied(judged)), torch.zeros(steps, device=together.device)
    at, losses_S = kept.restore() or beginning
    if together.follow_first([at.epoch, at.step]) != [at.epoch, at.step]:
        raise ArtefactError(f"expected the checkpoint of the first process, got epoch {at.epoch}, step {at.step}")
    return at, losses_S


def _copied(predictor: Predictor) -> dict[str, torch.Tensor]:
    """Its weights; copies, since the optimiser changes them in place."""
    return {name: value.clone() for name, value in predictor.state_dict().items()}


def _history(at: checkpoint.Progress) -> tuple[Epoch, ...]:
    return tuple(Epoch(**entry) for entry in at.history)


def _check_finite(losses_S: torch.Tensor, epoch: int) -> None:
    """Raise TrainingError at the first step whose loss is not a finite number: all weights after it are worthless."""
    if not torch.isfinite(losses_S).all():
        step = int((~torch.isfinite(losses_S)).nonzero()[0])
        came = f"got {float(losses_S[step])}; try a lower learning_rate"
        raise TrainingError(f"epoch {epoch}, step {step}: expected a finite training loss, {came}")
