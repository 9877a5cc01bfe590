"""The hyperparameters that every family has, and the interface of a family's declaration. It needs no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field

from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.errors import WorkloadError
from millrace.features.signature import JOINED, Signature, TensorKind
from millrace.tasks.answer import has_parts
from millrace.tasks.task import Task

TREES_TAKE: tuple[TensorKind, ...] = ("numbers", "categories", "history")
CLASS_LOSSES = ("cross_entropy", "binary_cross_entropy_with_logits")
"""The losses of `torch.nn.functional` for targets that are classes."""
Schedule = Literal["constant", "cosine"]
"""How the learning rate changes from step to step.

`cosine` falls to 0 over `epochs`, whether or not `patience` ends the training before."""

Scale = Literal["identity", "log"]
"""The scale on which a number is learnt. Answers are in the label's unit whatever it is."""
Beside = Literal["none", "mean", "best", "alone"]
"""Whether boosted trees answer too.

`mean`: the answer is the plain mean of the network's and theirs. `best`: the mean, unless one of them or a linear model
alone is certainly better on the validation rows. `alone`: it is theirs, and no network is trained."""


class Parameters(BaseModel):
    """The hyperparameters of a family; each family adds its own."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    network: ClassVar[str]
    """The network of (parameters, signature, width), by name: `<module>:<class>`. That module imports torch.

    It has `width` numbers out per row, and is not trained yet."""
    rows_per_pass: ClassVar[RowsPerPass] = RowsPerPass()
    """How many rows the graph may answer at once, so that an answer's bits do not depend on the other rows."""
    behind_trunk: ClassVar[tuple[str, ...]] = ("columns", "hidden", "head")
    """The network's modules that belong to one workload. All others are its trunk: another model can start from it."""
    takes_one: ClassVar[tuple[TensorKind, ...]] = ()
    """The family takes one tensor of one of these kinds; each other one checks its tensors itself."""
    example: ClassVar[Signature] = ()
    """Tensors that the default hyperparameters take beside `numbers` and `categories`. The tests fill them."""

    epochs: Annotated[int, Field(ge=1, le=1000)] = 30
    batch_size: Annotated[int, Field(ge=8, le=65536)] = 512
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 1e-2
    patience: Annotated[int, Field(ge=1)] = 6
    """Epochs without a better validation loss before training stops."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    schedule: Schedule = "constant"
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The decay per step of a running average of the weights.

    Validation and the artefact use the average. 0 means the weights themselves."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The share of each training label that is spread over all classes."""
    class_balance: bool = False
    """Whether all rows of a class together weigh as much as all rows of any other class.

    It holds in the training loss and in the validation loss."""
    label_scale: Scale = "identity"
    """The scale on which a label that is a number is learnt; answers are in its unit, within its declared bounds."""
    trees: Beside = "none"
    """Whether boosted trees answer too: in the plain mean of both answers, or alone. With `best` the network, the trees
    or a linear model answers alone where that is certainly better on the validation rows. They read columns and
    histories, not texts, images or sequences, and answer one class or numbers."""

    def suits(self, task: Task, signature: Signature) -> None:
        """Check that the task has what these hyperparameters change. Raises WorkloadError if it does not.

        Labels that are no classes cannot be smoothed or balanced, labels with parts cannot be balanced, classes have no
        scale, and trees take columns and histories for one class or numbers."""
        if (self.label_smoothing or self.class_balance) and task.objective.loss not in CLASS_LOSSES:
            field = "training.parameters." + ("label_smoothing" if self.label_smoothing else "class_balance")
            expected = f"no such parameter for the task {task.kind}, whose loss is {task.objective.loss}"
            raise WorkloadError(where="workload.yaml", field=field, expected=expected, came="one")
        if self.class_balance and has_parts(task):
            field, expected = "training.parameters.class_balance", f"no such parameter for the task {task.kind}"
            raise WorkloadError(where="workload.yaml", field=field, expected=f"{expected}: labels overlap", came="one")
        if self.label_scale != "identity" and not task.objective.is_standardised:
            field, expected = "training.parameters.label_scale", f"identity for the task {task.kind}"
            raise WorkloadError(where="workload.yaml", field=field, expected=expected, came=self.label_scale)
        if self.trees != "none" and (expected := self._without_trees(task, signature)):
            field = "training.parameters.trees"
            raise WorkloadError(where="workload.yaml", field=field, expected=f"none {expected}", came=self.trees)

    def _without_trees(self, task: Task, signature: Signature) -> str:
        """Why there can be no trees; empty if there can."""
        if others := [spec.name for spec in signature if spec.kind not in TREES_TAKE]:
            return f"beside {', '.join(others)}"
        if task.kind == "multilabel" or task.objective.activation == "exp":
            return f"for the task {task.kind}"
        return "with class_balance" if self.class_balance else ""

    def accepts(self, signature: Signature, task: Task) -> None:
        """Check that a network with these hyperparameters can take the tensors and serve the task.

        By default it takes one tensor of the kinds `takes_one`, with or without numbers and categories, for every task.
        In `signature` a size is None if only the training rows determine it. Raises WorkloadError with field, expected
        and came if the network cannot."""
        own = [spec.kind for spec in signature if spec.name not in JOINED]
        if len(own) != 1 or own[0] not in self.takes_one:
            expected = f"{' or '.join(f'one {kind}' for kind in self.takes_one)}, and numbers and categories beside it"
            refuse(type(self).__name__.lower(), expected, signature)


def refuse(family: str, expected: str, signature: Signature) -> NoReturn:
    """Raise WorkloadError for inputs that the family cannot take; `expected` says which inputs it could take."""
    came = ", ".join(f"{spec.name} {spec.dtype} {list(spec.shape)}" for spec in signature)
    expected = f"{expected}, for the family {family}"
    raise WorkloadError(where="workload.yaml", field="prediction.features", expected=expected, came=came)
