"""The training loop, read top to bottom.

Axes: N rows, B rows of a step, S steps of an epoch, W numbers of a row's answer.

Every step has the same shape, and no number is read back from the device between two steps, unless a checkpoint is due.
So a GPU can replay the whole step as one captured graph (step.py) without a change here.

On CPU, equal inputs and an equal seed give equal weights, bit by bit, even if the run was stopped and resumed in
between. Small models compute with one thread there: the number of threads changes the order of sums.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from millrace.errors import ArtefactError, TrainingError
from millrace.features.signature import Signature
from millrace.jobs.runtime import Stopped
from millrace.jobs.training import checkpoint, loss
from millrace.jobs.training.arithmetic import SMALL_STEP, multiplications
from millrace.jobs.training.average import Average
from millrace.jobs.training.loader import Resident, place
from millrace.jobs.training.processes import ALONE, Processes
from millrace.jobs.training.step import CudaGraph, Step, set_rate
from millrace.jobs.training.usage import used
from millrace.jobs.training.validation import Validation
from millrace.models.initial_model import InitialModel
from millrace.models.parameters import Parameters
from millrace.models.predictor import Predictor, build
from millrace.models.pretrained import PretrainedEncoder
from millrace.tasks.task import Task
from millrace.workload.training import Precision

MOST_CORRECTED = 200_000
"""The most training rows that the factor of answers on a scale of their own is fitted on."""


@dataclass(frozen=True, kw_only=True)
class TrainingInputs:
    """What is to be trained, and on which rows."""

    parameters: Parameters
    signature: Signature
    task: Task
    train: Resident
    validation: Resident
    identity: str
    """A digest of all that decides the result. A checkpoint with another identity is refused."""
    block_V: npt.NDArray[np.intp] | None = None
    """The block of each validation row for the interval of a choice; None where there is none."""
    initial: InitialModel | None = None
    """The model whose weights the training starts from; None for random weights."""
    pretrained: PretrainedEncoder | None = None
    """The frozen encoder that reads texts too; None if there is none."""
    precision: Precision = "float32"
    """The number format of the forward pass on a GPU. A CPU always computes in float32."""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    """The least and the greatest answer, if it is a number."""
    measures_likeness: bool = False
    """Whether the model shall measure how far a row is from the training rows."""
    is_compiled: bool = False
    """Whether the forward pass is compiled first; on a GPU only."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One point of the training curves."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_error: float
    """The mean error of the answers, as the task counts it."""
    seconds: float
    """Wall-clock seconds of the epoch and its validation. Of a resumed epoch only those after the resume."""
    cpu_s: float = 0.0
    """CPU seconds of the process from its start to the end of the epoch. This field and the two below are 0 in
    histories of former versions."""
    memory_mb: float = 0.0
    """The most memory that the process had until then, in MB."""
    gpu_memory_mb: float = 0.0
    """The most memory of the GPU that tensors took until then, in MB; 0 without a GPU."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The predictor with the weights of its best epoch, on the CPU and in evaluation mode, and its training curves."""

    predictor: Predictor
    history: tuple[Epoch, ...]
    """Every epoch in order, also those after the best one."""


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
    """Train, and return the predictor of the epoch with the lowest validation loss.

    If the folder `checkpoints` holds a checkpoint, the training goes on from it. `room` is how many bytes of rows the
    device may hold; None means a share of what is free. Several processes all call this function with the same
    arguments; the first one saves and reports.

    Raises Stopped once `stop` is true; the state is saved before. Raises ArtefactError if the checkpoint is of another
    training. Raises TrainingError if a loss is not a finite number, or if a step does not fit into the device's memory.
    A single process tries such a step once more without rows on the device; several processes do not."""
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
        # The other processes are in the middle of the same step: they would wait in vain for one that begins again.
        if together.size > 1:
            raise _out_of_memory(inputs, error) from None
        print("out of memory: once more without rows on the device", flush=True)
    # Outside of `except` the error and its frames are gone. Only reference cycles still hold tensors of the first try:
    # collect those, then hand the memory that torch keeps for itself back to the device.
    gc.collect()
    torch.cuda.empty_cache()
    try:
        return once(room=0)
    except torch.OutOfMemoryError as error:
        raise _out_of_memory(inputs, error) from None


def _out_of_memory(inputs: TrainingInputs, error: torch.OutOfMemoryError) -> TrainingError:
    """The error for a person. It quotes torch's first line, which names the device's memory and what is free of it."""
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
    """One try of `train`, which passes torch.OutOfMemoryError on."""
    settings, device = inputs.parameters, together.device
    if device.type == "cuda":
        # On CPU each operation here is deterministic as it is.
        torch.use_deterministic_algorithms(True)
    # Every process draws the same weights: they only differ in the rows that they see.
    torch.manual_seed(settings.seed)

    # All rows go to the device once, so that no step waits for a copy. Rows that do not fit stay where they are, and
    # each batch is fetched a step ahead.
    rows, held = place(inputs.train, device, room=room), place(inputs.validation, device, room=room)
    predictor = build(
        inputs.parameters, inputs.signature, inputs.task.objective, measures_likeness=inputs.measures_likeness
    )
    # Before anything is summed: the number of threads decides the order of sums, and so their last bits.
    torch.set_num_threads(_threads(predictor, inputs, together))
    predictor = _begun(predictor, inputs, rows, device)
    objective = loss.declare(settings, predictor, rows.target_N.to(device))
    if predictor.is_trees_alone:
        judges = [Validation(predictor, objective, inputs.task, part, together) for part in (rows, held)]
        return _trees_alone(predictor, inputs, judges, together)
    average = Average(predictor, settings.ema) if settings.ema else None
    # The predictor whose answers are validated, and whose weights are the result.
    judged = average.predictor if average else predictor
    size = together.step_size(settings.batch_size, len(rows))
    # The rows behind the last full step have no part in this epoch. The shuffle of the next one leaves out others.
    steps = len(rows) // size
    optimiser, take_step = _step(inputs, predictor, objective, together)
    judge = Validation(judged, objective, inputs.task, held, together)

    # Everything that has tensors and changes from step to step; the rest of a checkpoint is `at` and `losses_S`.
    state = checkpoint.State(network=predictor, average=average.predictor if average else None, optimiser=optimiser)
    kept = checkpoint.Checkpoints(checkpoints, state, every_s=checkpoint_every_s, identity=inputs.identity, of=together)
    if together.size > 1:
        # The weights began alike. What is drawn from here on (dropout) differs from process to process.
        torch.manual_seed(settings.seed + together.rank)
    # Last of all: a checkpoint overwrites the weights, the optimiser and the random state that were made above.
    at, losses_S = _start(kept, judged, steps, together)
    began = time.perf_counter()

    # One turn is one epoch. The loop ends early after `patience` epochs without a better validation loss.
    while at.epoch < settings.epochs and at.epoch - at.best_epoch <= settings.patience:
        # The order depends on seed and epoch alone, so a resumed epoch goes on with the very batches that were left.
        # 10,007 is above the most epochs that may be declared: no two seeds share the order of an epoch.
        order_SB = together.part(rows.order(seed=settings.seed * 10_007 + at.epoch, size=size))
        batches = iter(rows.batches(order_SB[at.step :]))
        predictor.train()
        while at.step < steps:
            # Stops and checkpoints come between two steps. A signal may reach one process, and clocks differ: the
            # processes agree, so that all of them save at the same step.
            is_stopped, is_due = together.agree([stop(), kept.is_due])
            if is_stopped or is_due:
                # Weights after a loss that is not finite are worthless: they must not replace a good checkpoint.
                _check_finite(losses_S[: at.step], at.epoch)
                kept.save(at, losses_S)
            if is_stopped:
                raise Stopped(f"in epoch {at.epoch}, after step {at.step} of {steps}")
            batch, step = next(batches), at.epoch * steps + at.step
            # The rate falls from `learning_rate` to 0 along half a cosine, over the steps of all declared epochs.
            if settings.schedule == "cosine":
                falling = (1 + math.cos(math.pi * step / (steps * settings.epochs))) / 2
                set_rate(optimiser, settings.learning_rate * falling)
            # Forward and loss, gradients, update. The loss stays on the device: to read it here would make the
            # processor wait for the GPU at every step.
            losses_S[at.step] = take_step(batch)
            # After the update, so that the average has the newest weights too.
            if average:
                average.follow(step)
            at.step += 1
        # Only now the losses are read, those of the whole epoch at once.
        _check_finite(losses_S, at.epoch)

        # Validation: its loss chooses the best epoch, its error is for people. The entry becomes a point of the curves.
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
        # The best weights are kept beside those that go on learning.
        if validation_loss < at.best_loss:
            at.best_loss, at.best_epoch, at.best = validation_loss, at.epoch, _copied(judged)
        at.epoch, at.step, began = at.epoch + 1, 0, now

    # The epochs after the best one only showed that nothing better comes: go back to its weights, and to the usual
    # layout in memory, which `_begun` may have changed.
    predictor.load_state_dict(at.best)
    _arrange(predictor, torch.contiguous_format)
    predictor = predictor.eval().cpu()
    _correct(predictor, inputs)
    return Trained(predictor=predictor, history=_history(at))


def _trees_alone(
    predictor: Predictor, inputs: TrainingInputs, judges: Sequence[Validation], together: Processes
) -> Trained:
    """The predictor whose trees are fitted already, with the one point of its curves. No network is trained.

    The judges are of the training rows and of the validation rows."""
    train, held = (judge(0) for judge in judges)
    losses = {"train_loss": train[0], "validation_loss": held[0], "validation_error": held[1]}
    predictor = predictor.eval().cpu()
    _correct(predictor, inputs)
    return Trained(predictor=predictor, history=(Epoch(epoch=0, **losses, seconds=0.0, **used(together.device)),))


def _correct(predictor: Predictor, inputs: TrainingInputs) -> None:
    # Rows spread over the training rows are enough for one factor.
    train = inputs.train.spread(MOST_CORRECTED)
    with torch.no_grad():
        predictor.correct((x.tensors, x.target_B) for x in (*train.pieces(), *inputs.validation.pieces()))


def trainings_at_once(inputs: TrainingInputs, together: Processes) -> int:
    """How many trainings like this one can run side by side: one for each processor of this process, or 1.

    It is 1 on a GPU, with several processes, and if one training already uses several threads."""
    if together.size > 1 or together.device.type != "cpu":
        return 1
    predictor = build(inputs.parameters, inputs.signature, inputs.task.objective)
    return together.threads if _threads(predictor, inputs, together) == 1 else 1


def _threads(predictor: Predictor, inputs: TrainingInputs, together: Processes) -> int:
    """The threads to compute with: 1 if dividing a step makes it slower, else the share of this process."""
    rows_B = torch.arange(together.step_size(inputs.parameters.batch_size, len(inputs.train)))
    is_small = multiplications(predictor.network, inputs.train.batch(rows_B).tensors) < SMALL_STEP
    return 1 if is_small else together.threads


def _begun(predictor: Predictor, inputs: TrainingInputs, rows: Resident, device: torch.device) -> Predictor:
    """The predictor on the device, ready for its first step.

    It has random weights or those of the initial model, and the statistics that are counted from the training rows."""
    # The statistics are counted where the rows lie, which is not the device if they are streamed.
    predictor = predictor.to(rows.target_N.device)
    predictor.label.bound(*inputs.bounds)
    predictor.fit(rows.tensors, rows.target_N, (inputs.validation.tensors, inputs.validation.target_N))
    predictor = predictor.to(device)
    # After `fit`: the initial model also sets the statistics that belong to its trunk.
    if inputs.initial:
        inputs.initial.apply(predictor.network, inputs.parameters)
    if inputs.pretrained:
        inputs.pretrained.apply(predictor.network)
    if device.type == "cpu":
        # With the channels of an image side by side in memory, convolutions of a processor are 1.3 times as fast,
        # forward and back.
        _arrange(predictor, torch.channels_last)
    return predictor


def _arrange(predictor: Predictor, form: torch.memory_format) -> None:
    """Lay out the weights of two-dimensional convolutions in memory in this order."""
    # Only their weights have four axes: output channel, input channel, height, width.
    for weights in predictor.parameters():
        if weights.dim() == 4:
            weights.data = weights.data.contiguous(memory_format=form)


def _step(
    inputs: TrainingInputs, predictor: Predictor, objective: loss.Loss, together: Processes
) -> tuple[torch.optim.AdamW, Step]:
    """The optimiser of the weights that learn, and the callable that takes a step with it."""
    settings, device = inputs.parameters, together.device
    # The weights of a frozen trunk do not learn.
    learning = [parameter for parameter in predictor.network.parameters() if parameter.requires_grad]
    # A captured step repeats the same operations on the same memory. So its learning rate is a tensor on the device,
    # and `capturable` keeps the optimiser's count of steps there too.
    is_captured = device.type == "cuda" and together.size == 1
    rate = torch.tensor(settings.learning_rate, device=device) if is_captured else settings.learning_rate
    # Fused: one call updates all weights, in six tenths of the time of one call for each.
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
    """The progress and the losses of the epoch's steps (S): of the checkpoint, or of the beginning if there is none.

    A checkpoint also sets the weights, the optimiser and the random state. It has the losses so that the curve of an
    interrupted epoch is the one it would have been.

    Raises ArtefactError as `checkpoint.restore` does, and if the processes are not at the same step."""
    beginning = checkpoint.Progress(best=_copied(judged)), torch.zeros(steps, device=together.device)
    at, losses_S = kept.restore() or beginning
    # Each process read files for itself. From different steps they would wait for each other or mix their gradients.
    if together.follow_first([at.epoch, at.step]) != [at.epoch, at.step]:
        raise ArtefactError(f"expected the checkpoint of the first process, got epoch {at.epoch}, step {at.step}")
    return at, losses_S


def _copied(predictor: Predictor) -> dict[str, torch.Tensor]:
    """Copies of the predictor's weights and buffers, by name: the optimiser changes the originals in place."""
    return {name: value.clone() for name, value in predictor.state_dict().items()}


def _history(at: checkpoint.Progress) -> tuple[Epoch, ...]:
    return tuple(Epoch(**entry) for entry in at.history)


def _check_finite(losses_S: torch.Tensor, epoch: int) -> None:
    """Raise TrainingError, which names the first step whose loss is not finite: all weights after it are worthless."""
    if not torch.isfinite(losses_S).all():
        step = int((~torch.isfinite(losses_S)).nonzero()[0])
        came = f"got {float(losses_S[step])}; try a lower learning_rate"
        raise TrainingError(f"epoch {epoch}, step {step}: expected a finite training loss, {came}")
