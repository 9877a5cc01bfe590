"""Rows trained per second on one GPU, beside the limit of the hardware: `python -m benchmarks.training`.

Four networks of fixed shape on noise. The limit is the whole step, compiled and captured in one CUDA graph: gather,
forward and backward in bfloat16, fused Adam. Ours is the job's loop with the same network. Both are measured one after
the other in one process; the figure of each network is their ratio. Without a GPU it ends with a sentence and status 1.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import conclude
from benchmarks.training_cpu import noise_of
from millrace.features.signature import Signature, TensorSpec
from millrace.jobs.training.loader import Resident
from millrace.jobs.training.loop import TrainingInputs, train
from millrace.models.parameters import Parameters
from millrace.tasks.multiclass import Multiclass

BAR, SECONDS, EPOCHS = 0.9, 4.0, 4
CLASSES = 10


class Shape(Parameters):
    """One of the networks below, as if it were a family."""

    network: ClassVar[str] = "benchmarks.training:Bare"
    shape: Annotated[str, Field()] = "feedforward"


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a network is trained on: rows of one tensor `x`, and the size of a step."""

    x: TensorSpec
    rows: int
    batch: int


WORDS, STEPS = 30_000, 128
GIVEN = {
    "feedforward": Given(x=TensorSpec(name="x", dtype="float32", shape=(32,)), rows=2_000_000, batch=8192),
    "cnn": Given(x=TensorSpec(name="x", dtype="float32", shape=(3, 32, 32)), rows=50_000, batch=1024),
    "lstm": Given(x=TensorSpec(name="x", dtype="float32", shape=(STEPS, 16)), rows=50_000, batch=1024),
    "transformer": Given(x=TensorSpec(name="x", dtype="int64", shape=(STEPS,)), rows=50_000, batch=512),
}


class Feedforward(nn.Sequential):
    """Three layers of 512."""

    def __init__(self) -> None:
        layers = [nn.Linear(32, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU()]
        super().__init__(*layers, nn.Linear(512, CLASSES))


class Residual(nn.Module):
    """Two convolutions around which the input is added."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.way = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        around = [nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)]
        self.around = nn.Sequential(*(around if stride > 1 else []))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.way(x) + self.around(x))


class Cnn(nn.Sequential):
    """ResNet-18 for images of 32 × 32."""

    def __init__(self) -> None:
        blocks = [Residual(64, 64, 1), Residual(64, 64, 1)]
        for channels in (128, 256, 512):
            blocks += [Residual(channels // 2, channels, 2), Residual(channels, channels, 1)]
        stem, ends = nn.Conv2d(3, 64, 3, 1, 1, bias=False), [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        super().__init__(stem, nn.ReLU(), *blocks, *ends, nn.Linear(512, CLASSES))


class Lstm(nn.Module):
    """Two layers of 256 over 128 steps."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(16, 256, 2, batch_first=True), nn.Linear(256, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.lstm(x)[0][:, -1])
        return found


class Transformer(nn.Module):
    """Four layers of 256 over 128 words."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(256, 8, 1024, 0.0, "gelu", batch_first=True, norm_first=True)
        self.words, self.place = nn.Embedding(WORDS, 256), nn.Parameter(torch.zeros(STEPS, 256))
        self.layers = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(256, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.layers(self.words(x) + self.place).mean(1))
        return found


NETWORKS: Mapping[str, type[nn.Module]] = {
    "feedforward": Feedforward,
    "cnn": Cnn,
    "lstm": Lstm,
    "transformer": Transformer,
}


class Bare(nn.Module):
    """The network of the shape, as the loop makes one by a family's name: nothing is fitted."""

    def __init__(self, parameters: Shape, signature: Signature, width: int) -> None:
        super().__init__()
        self.bare = NETWORKS[parameters.shape]()

    def fit(self, tensors: Mapping[str, Tensor], target_N: Tensor) -> None:
        """Nothing."""

    def forward(self, **tensors: Tensor) -> Tensor:
        found: Tensor = self.bare(tensors["x"])
        return found


def made(given: Given, rows: int, seed: int) -> Resident:
    """Noise, and classes that follow nothing: the speed does not depend on them."""
    noise = noise_of((given.x,), rows, seed, most=WORDS, classes=CLASSES)
    return Resident(tensors=noise.tensors, target_N=noise.target_N.long())


def ours(name: str, *, epochs: int = EPOCHS, rows: int | None = None) -> float:
    """Rows per second of the job's loop, without the first epoch, in which kernels are chosen."""
    given = GIVEN[name]
    count = rows or given.rows
    history = train(
        TrainingInputs(
            parameters=Shape(shape=name, epochs=epochs, batch_size=given.batch, patience=epochs),
            signature=(given.x,),
            task=Multiclass(classes=tuple(range(CLASSES))),
            train=made(given, count, 0),
            validation=made(given, 2 * given.batch if rows is None else rows, 1),
            identity="",
            precision="bfloat16",
            is_compiled=name != "lstm",
        )
    ).history
    steps = max(1, count // given.batch) * min(given.batch, count)
    return steps * (epochs - 1) / sum(epoch.seconds for epoch in history[1:])


def limit(name: str) -> float:
    """Rows per second of the whole step in one CUDA graph; the LSTM's kernels are not compiled, which is slower."""
    given, device = GIVEN[name], torch.device("cuda")
    rows = made(given, given.rows, 0).to(device)
    x, target_N = rows.tensors["x"], rows.target_N
    network = NETWORKS[name]().to(device)
    if name == "cnn":
        network, x = network.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3, fused=True, capturable=True)
    forward = network if name == "lstm" else torch.compile(network)
    chosen_B = torch.arange(given.batch, device=device)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            loss = functional.cross_entropy(forward(x[chosen_B]), target_N[chosen_B])
        loss.backward()
        optimiser.step()

    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):  # a capture needs warm kernels
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return _rate(graph, chosen_B, given)


def _rate(graph: torch.cuda.CUDAGraph, chosen_B: Tensor, given: Given) -> float:
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        order_N = torch.randperm(given.rows, device="cuda")
        for first in range(0, given.rows - given.batch + 1, given.batch):
            chosen_B.copy_(order_N[first : first + given.batch])
            graph.replay()
        torch.cuda.synchronize()
        count += given.rows // given.batch * given.batch
    return count / (time.perf_counter() - began)


def verdict(**ratios: float) -> dict[str, Any]:
    """The result: for each network our rate as a share of the limit's, against the bar."""
    holds = all(ratios[name] >= BAR for name in NETWORKS)
    return {"name": "training", "figure": ratios, "unit": "share of the limit", "bar": BAR, "holds": holds}


def main() -> None:
    """Measure each network; exits with 1 where a share misses the bar, or there is no GPU."""
    if not torch.cuda.is_available():
        raise SystemExit("not measured: expected a GPU that torch finds, got none")
    ratios = {}
    for name in NETWORKS:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        mine, best = ours(name), limit(name)
        ratios[name] = round(mine / best, 3)
        print(f"{name}: {mine:,.0f} rows/s, limit {best:,.0f}, share {ratios[name]}", flush=True)
    conclude(verdict(**ratios))


if __name__ == "__main__":
    main()
