"""The part `training` of workload.yaml: the family, the split, the initial weights and the machines of a training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from pydantic import ConfigDict, Field, model_validator

from millrace.errors import FieldError
from millrace.models.catalogue import FAMILIES
from millrace.models.parameters import Parameters
from millrace.spelling import one_of
from millrace.workload.places import within
from millrace.workload.prices import gpus_of
from millrace.workload.section import Section, Stage

Precision = Literal["float32", "bfloat16"]


class ByTime(Section):
    """The last `test_days` are for tests, and the `validation_days` before them for validation."""

    by: Literal["time"]


class ByKeyHash(Section):
    """The hash of a row's entity decides, so all rows of an entity are in the same part for ever.

    The entity is the key without the event time."""

    by: Literal["key_hash"]
    validation_share: Annotated[float, Field(gt=0, lt=0.5)]
    """The share of entities for validation, 0 to 0.5."""
    test_share: Annotated[float, Field(gt=0, lt=0.5)]
    """The share of entities for tests, 0 to 0.5."""


class ByGroup(Section):
    """The hash of the entity decides that a column names, so all rows about it are in the same part for ever.

    The column need not be a feature. Example: `split: {by: group, column: patient}`"""

    by: Literal["group"]
    column: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """The column that names what a row is about; a list of columns if it takes several."""
    pieces: Annotated[int, Field(ge=0)] = 0
    """How many first pieces of the column's text name it, such as 1 of `S00123-04`; 0 for the whole cell."""
    validation_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    """The share of entities for validation, 0 to 0.5."""
    test_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.2
    """The share of entities for tests, 0 to 0.5."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,) if isinstance(self.column, str) else self.column


class ByRowOrder(Section):
    """The last rows in the order of event time are for tests, the rows before them for validation.

    It does not matter how many rows fall on one day."""

    by: Literal["row_order"]
    validation_share: Annotated[float, Field(gt=0, lt=0.5)]
    """The share of rows for validation, 0 to 0.5."""
    test_share: Annotated[float, Field(gt=0, lt=0.5)]
    """The share of rows for tests, 0 to 0.5."""


class ByColumn(Section):
    """A column of the contract says which part a row belongs to. A row with any other value is left out.

    Example: `split: {by: column, column: part, validation: dev}`"""

    by: Literal["column"]
    column: str
    train: str = "train"
    """The value of the training rows. `validation` and `test` are the values of the other parts."""
    validation: str = "validation"
    test: str = "test"
    absent: ByKeyHash | None = None
    """How rows without a value are divided, such as rows of decisions with a late label. None: they are left out."""


class InitialWeights(Section):
    """The model whose weights a training starts from.

        weights:
          {from: "s3://bucket/xray/runs/r-7/training/job/output/model.tar.gz", digest: "sha256:9f86…", freeze: trunk}

    The registry has both values of a version: its model data URL, and `model_digest` in its metadata."""

    # `populate_by_name`: `model_dump` writes the field as `source`, and `with_parameters` reads that again.
    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, populate_by_name=True)

    source: Annotated[
        str,
        Field(
            alias="from",
            pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(([^*?$]+/)?model\.tar\.gz|([^*?$]+/)?[^/*?$]+\.safetensors)$",
        ),
    ]
    """The URI of `model.tar.gz` of a training job, of any workload with the same family; or of weights alone.

    Weights alone are a file `*.safetensors`. Its tensors have the names that an archive's `weights.safetensors` has.
    IAM would take `*`, `?` and `$` in it for patterns of many objects."""
    digest: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]
    """For an archive the SHA-256 of its members, as the registry keeps it (`model_digest`). Else that of the file."""
    freeze: Literal["none", "trunk"] = "none"
    """`trunk`: the trunk keeps its weights, and only the layers behind it learn."""

    @property
    def is_archive(self) -> bool:
        """Whether the weights come with the model's description."""
        return not self.source.endswith(".safetensors")


class Pretrained(Section):
    """An encoder that was learnt elsewhere and stays as it is: of texts by `tokens` in `bag`, of an image in `cnn`.

        pretrained: {from: parts/minilm.safetensors, digest: "sha256:9f86…", licence: Apache-2.0}

    The header of the file has what it reads, a name, the source and the licence (`millrace part` writes it)."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, populate_by_name=True)

    source: Annotated[
        str,
        Field(
            alias="from",
            pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/)?([\w-][\w.-]*/)*[\w-][\w.-]*\.safetensors$",
        ),
    ]
    """A file `*.safetensors` in the workload's folder, or the URI of one in S3."""
    digest: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]
    """The SHA-256 of the file."""
    licence: Literal["Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT"]
    """The licence that the file says. Only these are taken: they let a model be sold and changed without a condition
    on its answers."""

    @property
    def is_local(self) -> bool:
        """Whether the file lies in the workload's folder."""
        return not self.source.startswith("s3://")

    @property
    def deployed(self) -> str:
        """The end of the URI of the deployed file: the CDK names an asset by the digest of its given hash."""
        name = hashlib.sha256(self.digest.removeprefix("sha256:").encode()).hexdigest()
        return f"{name}.safetensors" if self.is_local else self.source


class Days(TypedDict):
    """The arguments of a split in time."""

    validation_days: int
    test_days: int
    train_days: NotRequired[int | None]


class Training(Section):
    """How a model is trained."""

    family: str
    """A family of `millrace.models.catalogue`."""
    parameters: Annotated[dict[str, Any], Field(default_factory=dict)]
    """Hyperparameters of the family. A missing one has the family's default."""
    weights: InitialWeights | None = None
    """None: a training starts from random weights."""
    pretrained: Pretrained | None = None
    """None: texts and images are read by what the training learns alone."""
    split: Annotated[ByTime | ByColumn | ByGroup | ByKeyHash | ByRowOrder, Field(discriminator="by")] = ByTime(
        by="time"
    )
    validation_days: Annotated[int, Field(ge=0)] = 0
    """The days for validation, right before the test days. At least 1 for a split by time, 0 for any other split."""
    test_days: Annotated[int, Field(ge=0)] = 0
    """The last days, for tests. At least 1 for a split by time, 0 for any other split."""
    test_rows: Annotated[int, Field(ge=1000)] | None = None
    """About how many of the test rows models are judged on, chosen by the hash of their key. None: all."""
    train_days: Annotated[int, Field(ge=1)] | None = None
    """The days right before the validation days that a model learns from. None: all. Only for a split by time."""
    walk_forward_steps: Annotated[int, Field(ge=0, le=52)] = 4
    """The number of models of earlier days, each `test_days` before the next.

    They show how the error grows if a model is not retrained. Only for a split by time; 0 for any other."""
    first_rows: Annotated[int, Field(ge=1)]
    """The number of rows in the table `rows`, with or without a label, that starts the first training.

    `retrain` starts all later trainings."""
    instance: dict[Stage, str]
    """The instance type, by stage."""
    instances: Annotated[int, Field(ge=1, le=8)] = 1
    """How many instances train together. Each takes a part of every batch."""
    precision: Precision = "float32"
    """The precision of a forward pass on a GPU. `bfloat16` is faster; weights and sums stay float32. CPUs ignore it."""
    compile: bool = False
    """Whether the forward pass on a GPU is compiled first. That takes a minute, too long for a short training."""
    max_runtime_minutes: Annotated[int, Field(ge=1, le=5 * 24 * 60)]
    """The training is stopped then; the budget counts this long."""

    @model_validator(mode="after")
    def _known_family(self) -> Training:
        if self.family not in FAMILIES:
            raise FieldError(field="family", expected=one_of(self.family, sorted(FAMILIES)), came=self.family)
        with within("parameters"):
            self.family_parameters()
        return self

    @model_validator(mode="after")
    def _one_start(self) -> Training:
        if self.weights and self.pretrained:
            raise FieldError(field="pretrained", expected="one of weights and pretrained", came="both")
        return self

    @model_validator(mode="after")
    def _days_are_for_a_split_by_time(self) -> Training:
        days = (self.validation_days, self.test_days)
        if self.split.by == "time" and 0 in days:
            raise ValueError("validation_days and test_days: expected 1 or more for a split by time")
        if self.split.by != "time" and (any(days) or self.train_days or self.walk_forward_steps):
            expected = "no validation_days, test_days and train_days, walk_forward_steps: 0"
            raise ValueError(f"split: expected {expected} for a split by {self.split.by}")
        return self

    @model_validator(mode="after")
    def _batches_can_be_divided(self) -> Training:
        # Each GPU of each instance has a process of its own, and all processes take equal parts of a batch.
        batch = self.family_parameters().batch_size
        for stage, instance in self.instance.items():
            processes = self.instances * gpus_of(instance)
            if batch % processes:
                expected = f"a multiple of {processes} in the stage {stage}, {self.instances} of {instance}"
                raise FieldError(field="parameters.batch_size", expected=expected, came=batch)
        return self

    @property
    def days(self) -> Days:
        """The arguments of a split in time."""
        return {"validation_days": self.validation_days, "test_days": self.test_days, "train_days": self.train_days}

    def with_parameters(self, parameters: Mapping[str, Any]) -> Training:
        """The same training with these hyperparameters. Raises pydantic's ValidationError if it cannot have them."""
        return Training.model_validate({**self.model_dump(), "parameters": parameters})

    def family_parameters(self) -> Parameters:
        """The hyperparameters, with the family's defaults filled in."""
        return FAMILIES[self.family](**self.parameters)
