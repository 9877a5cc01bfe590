"""Rows trained per second on two cores, beside the loop of a textbook: `python -m benchmarks.training_cpu`.

The textbook's: a DataLoader of batches of 32, Adam, the loss read at every step. Ours: the training job's loop with the
family's default batch, early stopping off. Both train the same network on the same rows, in turns; the figure is the
median ratio of their rows per second. A small network's step is mostly overhead, which larger batches and resident rows
save; a convolution's or a recurrence's is arithmetic, of which nothing can be saved.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import conclude
from millrace.features.signature import Signature, TensorSpec
from millrace.jobs.training.loader import Resident
from millrace.jobs.training.loop import TrainingInputs, train
from millrace.models.cnn.declaration import Cnn
from millrace.models.feedforward.declaration import Feedforward
from millrace.models.parameters import Parameters
from millrace.models.predictor import build
from millrace.models.recurrent.declaration import Gru
from millrace.tasks.binary import Binary

CORES, ROUNDS, TEXTBOOK_BATCH = 2, 3, 32
NUMBERS = TensorSpec(name="numbers", dtype="float32", shape=(32,), optional=(False,) * 32)
IMAGE = TensorSpec(name="image", dtype="uint8", shape=(1, 28, 28))
PAST = TensorSpec(name="past", dtype="float32", shape=(24, 8))


@dataclass(frozen=True, kw_only=True)
class Case:
    """A family at its default size, rows to train it on, and how many times the textbook's rate is required."""

    parameters: Parameters
    signature: Signature
    rows: int
    bar: float


CASES = {
    "feedforward": Case(parameters=Feedforward(epochs=4), signature=(NUMBERS,), rows=20_000, bar=3.0),
    "cnn": Case(parameters=Cnn(epochs=1), signature=(IMAGE,), rows=1_500, bar=1.3),
    "gru": Case(parameters=Gru(epochs=1), signature=(PAST,), rows=8_000, bar=1.3),
}


def noise_of(signature: Signature, rows: int, seed: int, *, most: int = 256, classes: int = 2) -> Resident:
    """Noise, and labels that follow nothing: the speed does not depend on them."""
    random = torch.Generator().manual_seed(seed)

    def fill(spec: TensorSpec) -> torch.Tensor:
        shape = (rows, *(size or 1 for size in spec.shape))
        if spec.dtype in ("uint8", "int64"):
            return torch.randint(0, most, shape, generator=random, dtype=getattr(torch, spec.dtype))
        return torch.randn(shape, generator=random)

    target_N = torch.randint(0, classes, (rows,), generator=random).float()
    return Resident(tensors={spec.name: fill(spec) for spec in signature}, target_N=target_N)


def ours(case: Case, rows: Resident, held: Resident) -> float:
    """Rows per second of the job's loop, its epochs' validation included."""
    inputs = TrainingInputs(
        parameters=case.parameters, signature=case.signature, task=Binary(), train=rows, validation=held, identity=""
    )
    seconds = sum(epoch.seconds for epoch in train(inputs).history)
    return case.parameters.epochs * len(rows) / seconds


def textbook(case: Case, rows: Resident, held: Resident) -> float:
    """Rows per second of the loop that most tutorials teach, its epochs' validation included."""
    torch.set_num_threads(CORES)
    torch.manual_seed(0)
    predictor = build(case.parameters, case.signature, Binary().objective)
    predictor.fit(rows.tensors, rows.target_N)
    names = list(rows.tensors)
    batches = DataLoader(TensorDataset(*rows.tensors.values(), rows.target_N), TEXTBOOK_BATCH, shuffle=True)
    optimiser = torch.optim.Adam(predictor.parameters(), lr=1e-3)
    began, total = time.perf_counter(), 0.0
    predictor.train()
    for *tensors, target_B in batches:
        optimiser.zero_grad()
        loss = predictor.loss(predictor.network(**dict(zip(names, tensors, strict=True))), target_B)
        loss.backward()
        optimiser.step()
        total += loss.item()
    predictor.eval()
    with torch.no_grad():
        predictor.loss(predictor.network(**held.tensors), held.target_N).item()
    return len(rows) / (time.perf_counter() - began)


def measured(case: Case) -> list[tuple[float, float]]:
    """Our rate and the textbook's, round by round."""
    rows, held = noise_of(case.signature, case.rows, 0), noise_of(case.signature, case.rows // 10, 1)
    for loop in (ours, textbook):
        loop(case, rows, held)  # once to warm up
    return [(ours(case, rows, held), textbook(case, rows, held)) for _ in range(ROUNDS)]


def verdict(**ratios: float) -> dict[str, Any]:
    """The result: for each family how many times the textbook's rate ours is, against its bar."""
    bars = {name: case.bar for name, case in CASES.items()}
    holds = all(ratios[name] >= bar for name, bar in bars.items())
    return {"name": "training_cpu", "figure": ratios, "unit": "times the textbook's rate", "bar": bars, "holds": holds}


def main() -> None:
    """Measure each family; exits with 1 where a ratio misses its bar."""
    ratios = {}
    for name, case in CASES.items():
        rounds = measured(case)
        ratios[name] = round(median(mine / other for mine, other in rounds), 2)
        rates = [round(median(rates)) for rates in zip(*rounds, strict=True)]
        print(f"{name}: {rates[0]} rows/s, textbook {rates[1]}, ratio {ratios[name]}", flush=True)
    conclude(verdict(**ratios))


if __name__ == "__main__":
    main()
