"""Hyperparameters that every family has, and the inputs it accepts; without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field

from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.errors import WorkloadError
from millrace.features.signature import Signature
from millrace.tasks.answer import has_parts

if TYPE_CHECKING:
    from millrace.tasks.task import Task

CLASS_LOSSES = ("cross_entropy", "binary_cross_entropy_with_logits")
"""The losses of `torch.nn.functional` whose targets are one class per row."""
Int8 = Literal["dynamic", "static"]
"""`dynamic`: the scale of a layer's input is computed in each call; `static`: it is fixed, by rows seen before."""
Schedule = Literal["constant", "cosine"]
"""Of the learning rate, step by step: `cosine` falls to 0 over `epochs`, whenever `patience` ends the training."""


class Parameters(BaseModel):
    """The hyperparameters of a family; each family adds its own."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    network: ClassVar[str]
    """The module with the family's `build`, which imports torch."""
    rows_per_pass: ClassVar[RowsPerPass] = RowsPerPass()
    """How many rows the graph may answer at once, so that an answer's bits do not depend on the others."""
    int8: ClassVar[Int8] = "dynamic"
    """How its graph is made one of eight bits: convolutions are faster with a static scale, all else with a dynamic."""
    behind_trunk: ClassVar[tuple[str, ...]] = ("columns", "hidden", "head")
    """The network's modules that belong to one workload; the others are its trunk, which another one can start from."""
    example: ClassVar[Signature] = ()
    """Tensors that its default hyperparameters take beside `numbers` and `categories`; the tests fill them."""

    epochs: Annotated[int, Field(ge=1, le=1000)] = 30
    batch_size: Annotated[int, Field(ge=8, le=65536)] = 512
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 1e-2
    patience: Annotated[int, Field(ge=1)] = 6
    """Epochs without a better validation loss before training stops."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    schedule: Schedule = "constant"
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay per step of an average of the weights, which validation and the artefact see; 0: the weights themselves."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Share of each training label that is spread over all classes."""
    class_balance: bool = False
    """Whether the rows of each class together weigh as much as those of any other, in training and validation loss."""

    def suits(self, task: Task) -> None:
        """Nothing, where the task has what these hyperparameters change; raises WorkloadError for another one."""
        if (self.label_smoothing or self.class_balance) and task.objective.loss not in CLASS_LOSSES:
            field = "training.parameters." + ("label_smoothing" if self.label_smoothing else "class_balance")
            expected = f"no such parameter for the task {task.kind}, whose loss is {task.objective.loss}"
            raise WorkloadError(where="workload.yaml", field=field, expected=expected, came="one")
        if self.class_balance and has_parts(task):
            field, expected = "training.parameters.class_balance", f"no such parameter for the task {task.kind}"
            raise WorkloadError(where="workload.yaml", field=field, expected=f"{expected}: labels overlap", came="one")

    def accepts(self, signature: Signature, task: Task) -> None:
        """Nothing, where a network of these hyperparameters can take the tensors and serve the task.

        Sizes that only the training rows tell are open in `signature`. Raises WorkloadError with field, expected
        and came."""
        raise NotImplementedError


def refuse(family: str, expected: str, signature: Signature) -> NoReturn:
    """Raise WorkloadError for inputs that the family cannot take."""
    came = ", ".join(f"{spec.name} {spec.dtype} {list(spec.shape)}" for spec in signature)
    expected = f"{expected}, for the family {family}"
    raise WorkloadError(where="workload.yaml", field="prediction.features", expected=expected, came=came)
