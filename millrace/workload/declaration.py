"""A workload as its team declares it in `workloads/<name>/workload.yaml`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError, model_validator

from millrace.errors import WorkloadError
from millrace.models.catalogue import FAMILIES, Parameters
from millrace.workload.rollout import Phases

Stage = Literal["local", "dev", "prod"]
Positive = Annotated[float, Field(gt=0)]


class Part(BaseModel):
    """A key that is not supported is refused everywhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Fallback(Part):
    """What is answered while no model answers: a constant, or nothing but the word that it is a fallback."""

    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    """Of the class 1; none leaves value, probability and confidence empty."""


class Prediction(Part):
    kind: Literal["binary"]
    label: str
    positive: StrictStr | StrictBool | StrictInt = 1
    """The label's value that a model's answer 1 stands for."""
    key: tuple[str, ...]
    """The columns that identify an entity at a moment; labels join by them when no prediction id came."""
    event_time: str
    features: tuple[str, ...]
    fallback: Fallback = Fallback()


class Training(Part):
    family: str
    parameters: dict[str, Any] = {}
    validation_days: Annotated[int, Field(ge=1)]
    test_days: Annotated[int, Field(ge=1)]
    walk_forward_steps: Annotated[int, Field(ge=0, le=52)] = 4
    """Models of earlier days, `test_days` apart, that show how the error moves when a model is left alone."""
    first_rows: Annotated[int, Field(ge=1)]
    """Labelled rows in the table that start the first training; later ones are started by `retrain`."""
    instance: dict[Stage, str]
    max_runtime_minutes: Annotated[int, Field(ge=1, le=5 * 24 * 60)]

    @model_validator(mode="after")
    def _known_family(self) -> Training:
        if self.family not in FAMILIES:
            raise ValueError(f"family: expected one of {', '.join(sorted(FAMILIES))}, got {self.family!r}")
        self.family_parameters()
        return self

    def family_parameters(self) -> Parameters:
        """The hyperparameters, complete with the family's defaults."""
        return FAMILIES[self.family](**self.parameters)


class SeasonalNaive(Part):
    """What the label was some hours before, for the same entity."""

    kind: Literal["seasonal_naive"]
    lag_hours: Positive
    margin: Annotated[float, Field(ge=0)]


class BaseRate(Part):
    """The share of positive rows, always: for rows that have no season, and where one class is rare."""

    kind: Literal["base_rate"]
    margin: Annotated[float, Field(ge=0, lt=1)]
    """Share by which the model's log loss must lie below the rule's."""


class Calibration(Part):
    max_ece: Positive


class Latency(Part):
    max_p99_ms: Positive


class Size(Part):
    max_mb: Positive


class NonInferiority(Part):
    recent_days: Annotated[int, Field(ge=1)]
    margin: Annotated[float, Field(gt=0, lt=1)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]


class Gates(Part):
    baseline: Annotated[SeasonalNaive | BaseRate, Field(discriminator="kind")]
    calibration: Calibration
    latency: Latency
    size: Size
    non_inferiority: NonInferiority


class Rollout(Part):
    phases: Phases
    instance: dict[Stage, str]
    min_instances: Annotated[int, Field(ge=1)]
    max_instances: Annotated[int, Field(ge=1)]
    invocations_per_instance: Positive
    """Invocations per instance and minute that target tracking holds."""


class Monitors(Part):
    window_days: Annotated[int, Field(ge=1)]
    schedule: str
    false_alarm_rate: Annotated[float, Field(gt=0, lt=0.5)]
    error_windows: Annotated[int, Field(ge=1)]
    """The error alarm needs this many windows in a row above the bound."""


class Retraining(Part):
    schedule: str
    cool_down_days: Annotated[int, Field(ge=0)]
    minimum_new_labels: Annotated[int, Field(ge=0)]
    maximum_runs_per_month: Annotated[int, Field(ge=1)]


class Budget(Part):
    monthly_usd: Positive


class Workload(Part):
    """The whole declaration; every default is written beside its field."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,23}$")]
    owner: str
    """Who answers for the workload; `millrace validate` shows it, no resource carries it."""
    prediction: Prediction
    training: Training
    gates: Gates
    rollout: Rollout
    monitors: Monitors
    retraining: Retraining
    budget: Budget


def workloads_folder(repository: Path = Path()) -> Path:
    """Where the workloads are: MILLRACE_WORKLOADS, or else the repository's own folder."""
    elsewhere = os.environ.get("MILLRACE_WORKLOADS")
    return Path(elsewhere) if elsewhere else repository / "workloads"


def workload_folders(root: Path) -> list[Path]:
    """The folders of `root` that hold a `workload.yaml`, by name."""
    return sorted(path.parent for path in root.glob("*/workload.yaml"))


def load_workload(folder: Path) -> Workload:
    """The workload declared in `folder/workload.yaml`; the folder bears its name.

    Raises WorkloadError that says file, field, what was expected and what came."""
    path = folder / "workload.yaml"
    workload = read_workload(path)
    if workload.name != folder.name:
        raise WorkloadError(
            where=_where(path), field="name", expected=f"the folder's name {folder.name!r}", came=workload.name
        )
    return workload


def read_workload(path: Path) -> Workload:
    """The workload declared in `path`, wherever it lies (a job's configuration); raises as `load_workload`."""
    where = _where(path)
    try:
        document = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 # nosec B506 # both are safe
    except FileNotFoundError:
        raise WorkloadError(where=where, field="(file)", expected="a file", came="none") from None
    except yaml.YAMLError as error:
        raise WorkloadError(where=where, field="(file)", expected="YAML", came=str(error)) from None
    try:
        return Workload.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(file)"
        if first["type"] == "extra_forbidden":
            raise WorkloadError(where=where, field=field, expected="a supported key", came=first["loc"][-1]) from None
        raise WorkloadError(where=where, field=field, expected=_lower(first["msg"]), came=first["input"]) from None


def _where(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _lower(message: str) -> str:
    """Pydantic's sentence without its lead-in, to follow "expected"."""
    return re.sub(r"^(Value error, |Input should be )", "", message)
