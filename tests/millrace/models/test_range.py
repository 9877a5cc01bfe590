"""The answers of a graph stay in the range of their task, whatever the network says: a property over every task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch

from millrace.artefact.int8 import fold
from millrace.features.signature import TensorSpec
from millrace.models.export import export
from millrace.models.predictor import Predictor
from millrace.tasks.catalogue import TASKS
from millrace.tasks.task import Objective
from tests.plant import write_plant

LOWEST, HIGHEST = -3.5, 40.0
"""The bounds of the contract for numbers."""
NEAR_ONE = np.float32(17.84)
"""From here to 17.96 the float32 `Sigmoid` of ONNX Runtime 1.31.1 is above 1 for 12 of 60,000 inputs."""
PASS = 250_000


class Raw(torch.nn.Module):
    """A network, or trees, whose raw numbers are what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(1.0))

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers


def graph(objective: Objective, trees: str) -> bytes:
    predictor = Predictor(Raw(), objective, trees=None if trees == "none" else Raw())  # type: ignore[arg-type]
    predictor.is_trees_alone = trees == "alone"
    predictor.label.bound(LOWEST, HIGHEST)
    return export(predictor, (TensorSpec(name="numbers", dtype="float32", shape=(objective.width,)),))


def drawn(rows: int, width: int, seed: int) -> npt.NDArray[np.float32]:
    """Raw numbers: half of them are neighbours from NEAR_ONE on, the others of any size, and a few are no numbers."""
    rng = np.random.default_rng(seed)
    half = rows // 2
    bits = NEAR_ONE.view(np.int32) + seed * half + np.arange(half, dtype=np.int32)
    near_NW = np.repeat(bits.view(np.float32)[:, None], width, axis=1)
    far_NW = 10.0 ** rng.uniform(-3, 38, (rows - half, width)) * rng.choice([-1, 1], (rows - half, width))
    raw_NW = np.concatenate([near_NW, far_NW.astype(np.float32)])
    raw_NW[:: rows // 7] = np.nan
    return raw_NW


def answers(content: bytes, raw_NW: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found: npt.NDArray[np.float32] = session.run(["output"], {"numbers": raw_NW})[0]
    return found


@pytest.mark.parametrize(
    ("trees", "rows"),
    [
        ("mean", 100_000),
        *(
            pytest.param(trees, 10_000_000, marks=pytest.mark.night("ten million rows of each task take minutes"))
            for trees in ("none", "alone", "mean")
        ),
    ],
)
@pytest.mark.parametrize("task", TASKS)
def test_every_answer_is_in_its_range_or_no_number(task: str, trees: str, rows: int, tmp_path: Path) -> None:
    """Of the served graph and of the folded one of a device, bit for bit. What is no number stays none: it is refused,
    and not answered with a bound."""
    objective = write_plant(tmp_path, task).task.objective
    served = graph(objective, trees)
    folded = fold(served)
    low, high = objective.bounds or (LOWEST, HIGHEST)
    for seed in range(max(1, rows // PASS)):
        raw_NW = drawn(min(rows, PASS), objective.width, seed)
        output_NW = answers(served, raw_NW)
        unknown_N = np.isnan(raw_NW).all(axis=1)
        assert np.isnan(output_NW[unknown_N]).all()
        known_NW = output_NW[~unknown_N]
        assert low <= known_NW.min()
        assert known_NW.max() <= high
        np.testing.assert_array_equal(answers(folded, raw_NW), output_NW)


def test_without_the_clip_an_answer_leaves_its_range(tmp_path: Path) -> None:
    """The negative control: by it the draws above reach the inputs that matter."""
    model = onnx.load_model_from_string(graph(write_plant(tmp_path, "binary").task.objective, "none"))
    for node in model.graph.node:
        if node.op_type == "Clip":
            node.op_type = "Identity"
            del node.input[1:]
    assert np.nanmax(answers(model.SerializeToString(), drawn(100_000, 1, seed=0))) > 1
