"""How a model is trained, as `training` of workload.yaml declares it: family, split, initial weights, machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from millrace.models.catalogue import FAMILIES
from millrace.models.parameters import Parameters
from millrace.workload.prices import gpus_of
from millrace.workload.section import Section, Stage

Precision = Literal["float32", "bfloat16"]


class ByTime(Section):
    """The last days, as `validation_days` and `test_days` say."""

    by: Literal["time"]


class ByKeyHash(Section):
    """The hash of a row's entity (its key without the event time): an entity is in one part for ever."""

    by: Literal["key_hash"]
    validation_share: Annotated[float, Field(gt=0, lt=0.5)]
    test_share: Annotated[float, Field(gt=0, lt=0.5)]


class ByRowOrder(Section):
    """The last rows in the order of event time, however many fall on one day."""

    by: Literal["row_order"]
    validation_share: Annotated[float, Field(gt=0, lt=0.5)]
    test_share: Annotated[float, Field(gt=0, lt=0.5)]


class ByColumn(Section):
    """A column of the contract says which part a row belongs to; rows of any other value are left out."""

    by: Literal["column"]
    column: str
    train: str = "train"
    validation: str = "validation"
    test: str = "test"
    absent: ByKeyHash | None = None
    """How rows without a value are divided, such as decisions whose label came late; None leaves them out."""


class InitialWeights(Section):
    """The model whose weights a training starts from.

    Example: `{from: "s3://bucket/xray/runs/r-7/training/job/output/model.tar.gz", digest: "sha256:9f86…",
    freeze: trunk}`; the registry keeps both of a version, as its model data and its metadata `model_digest`."""

    # It is written again by field names, too.
    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, populate_by_name=True)

    source: Annotated[
        str,
        Field(
            alias="from",
            pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/((.+/)?model\.tar\.gz|(.+/)?[^/]+\.safetensors)$",
        ),
    ]
    """The archive of a training job, of this workload or of another one of the same family; or weights alone, under the
    names that the network's tensors have in an archive's `weights.safetensors`."""
    digest: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]
    """Of the artefact's members, as the registry keeps it (`model_digest`); of weights alone the file's SHA-256."""
    freeze: Literal["none", "trunk"] = "none"
    """`trunk`: only what is behind the trunk learns."""

    @property
    def is_archive(self) -> bool:
        """Whether the weights come with the model's description."""
        return not self.source.endswith(".safetensors")

    @property
    def file_name(self) -> str:
        """What the source is called in its folder."""
        return self.source.rpartition("/")[2]


class Training(Section):
    family: str
    parameters: Annotated[dict[str, Any], Field(default_factory=dict)]
    weights: InitialWeights | None = None
    """None: a training starts from random weights."""
    split: Annotated[ByTime | ByColumn | ByKeyHash | ByRowOrder, Field(discriminator="by")] = ByTime(by="time")
    validation_days: Annotated[int, Field(ge=0)] = 0
    """For a split by time, as `test_days`; 0 for every other."""
    test_days: Annotated[int, Field(ge=0)] = 0
    walk_forward_steps: Annotated[int, Field(ge=0, le=52)] = 4
    """Models of earlier days, `test_days` apart, that show how the error moves when a model is left alone."""
    first_rows: Annotated[int, Field(ge=1)]
    """Rows in the table `rows`, with a label or without, that start the first training; later ones are started by
    `retrain`."""
    instance: dict[Stage, str]
    instances: Annotated[int, Field(ge=1, le=8)] = 1
    """How many of them train together, each with a part of every batch."""
    precision: Precision = "float32"
    """Of the forward pass on a GPU: `bfloat16` is faster there, its weights and sums stay float32. CPU ignores it."""
    compile: bool = False
    """Whether a GPU's forward pass is compiled first, which takes a minute that a short training does not win back."""
    max_runtime_minutes: Annotated[int, Field(ge=1, le=5 * 24 * 60)]

    @model_validator(mode="after")
    def _known_family(self) -> Training:
        if self.family not in FAMILIES:
            raise ValueError(f"family: expected one of {', '.join(sorted(FAMILIES))}, got {self.family!r}")
        self.family_parameters()
        return self

    @model_validator(mode="after")
    def _days_are_for_a_split_by_time(self) -> Training:
        days = (self.validation_days, self.test_days)
        if self.split.by == "time" and 0 in days:
            raise ValueError("validation_days and test_days: expected 1 or more for a split by time")
        if self.split.by != "time" and (any(days) or self.walk_forward_steps):
            expected = "no validation_days and no test_days, walk_forward_steps: 0"
            raise ValueError(f"split: expected {expected} for a split by {self.split.by}")
        return self

    @model_validator(mode="after")
    def _batches_can_be_divided(self) -> Training:
        batch = self.family_parameters().batch_size
        for stage, instance in self.instance.items():
            processes = self.instances * gpus_of(instance)
            if batch % processes:
                expected = f"a multiple of {processes} in the stage {stage}, {self.instances} of {instance}"
                raise ValueError(f"parameters.batch_size: expected {expected}, got {batch}")
        return self

    def with_parameters(self, parameters: Mapping[str, Any]) -> Training:
        """The same training with these hyperparameters; raises pydantic's ValueError where it could not have them."""
        return Training.model_validate({**self.model_dump(), "parameters": parameters})

    def family_parameters(self) -> Parameters:
        """The hyperparameters, complete with the family's defaults."""
        return FAMILIES[self.family](**self.parameters)
