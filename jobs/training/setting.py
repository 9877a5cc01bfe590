"""What a training is given: its declaration and its rows.

Axes: N all rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import pyarrow as pa
import torch
from pydantic import ValidationError

from millrace.artefact.artefact import digest
from millrace.contract.load import load_contract
from millrace.contract.rules.range import Range
from millrace.contract.schema import Contract
from millrace.datasets.examples import LABEL, Examples, examples, read_rows
from millrace.datasets.memory import row_files, rows_of
from millrace.datasets.row_files import RowFiles, slices
from millrace.datasets.split import Split
from millrace.errors import TrainingError
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features
from millrace.jobs.runtime import TrainingPlaces
from millrace.jobs.training.choice import stretches_of
from millrace.jobs.training.initial_model import initial_model, pretrained_encoder
from millrace.jobs.training.loader import Resident
from millrace.jobs.training.loop import TrainingInputs
from millrace.messages.training_job import CONFIG_CHANNEL, DATA_CHANNEL
from millrace.messages.training_run import Run, read_run
from millrace.models.catalogue import FAMILIES
from millrace.models.initial_model import InitialModel
from millrace.models.pretrained import PretrainedEncoder, encode
from millrace.tasks import catalogue as tasks
from millrace.tasks.task import Task
from millrace.workload.declaration import Workload
from millrace.workload.load import read_workload
from millrace.workload.training import Training
from millrace.workload.tuning import value_of


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """The pinned rows, and their labels as the network's targets."""

    examples: Examples
    target_N: npt.NDArray[Any]
    files: RowFiles | None
    """The files in which the rows and their tensors lie; None if they are in memory."""
    pretrained: PretrainedEncoder | None

    def part(self, rows: slice) -> pa.Table:
        return self.examples.part(rows)

    def encoded(self, fitted: Features, of: slice) -> Resident:
        """The tensors and targets of some rows, in memory or mapped from files."""
        rows = self.part(of)
        if self.files is None:
            tensors = encode(fitted, rows, self.pretrained)
        else:
            tensors = self.files.write_arrays(encode(fitted, piece, self.pretrained) for piece in slices(rows))
        found = {name: torch.from_numpy(value) for name, value in tensors.items()}
        return Resident(tensors=found, target_N=torch.from_numpy(self.target_N[of]))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a run is given besides its rows."""

    run: Run
    workload: Workload
    contract: Contract
    features: Features
    """The encoders as declared; what they learn from rows is not in them yet."""
    task: Task
    initial: InitialModel | None
    """The model whose weights the training starts from; None if none is declared."""
    pretrained: PretrainedEncoder | None
    """The frozen encoder that reads texts too; None if none is declared."""

    @property
    def unlike_training(self) -> float | None:
        """The policy's share of the farthest rows; None if nobody asks how far a row is from the training rows."""
        return self.workload.policy.unlike_training if self.workload.policy else None

    @property
    def measures_likeness(self) -> bool:
        """Whether the model measures how far a row is from the training rows, and where it lies among them.

        The policy may ask for it. Of images and texts the monitors do: their cells are neither numbers nor words."""
        has_network = self.workload.training.family_parameters().trees != "alone"
        return has_network and (self.unlike_training is not None or bool(encoders.measured(self.features)))

    def fit(self, rows: pa.Table) -> Features:
        """The encoders with what they learn from these training rows.

        Encoders that belong to the trunk of the initial model are as that model has them."""
        fitted = encoders.fit(self.features, rows)
        parameters = self.workload.training.family_parameters()
        return self.initial.encoders(fitted, parameters) if self.initial else fitted

    def read_rows(self, places: TrainingPlaces, *, processes: int, memory: int | None) -> TrainingRows:
        """The pinned rows: in memory, or in files where they do not fit. Each of the machine's `processes` reads them.

        Raises TrainingError if there is room nowhere, and SnapshotError as `read_rows` and `examples` do."""
        data, schema = places.channel(DATA_CHANNEL), places.channel(CONFIG_CHANNEL) / "schema.json"
        # Whether the rows fit is known from the footers of their files, before any row is read.
        needed = rows_of(data, schema, self.workload, self.features)
        files = row_files(needed, places.model, processes=processes, memory=memory)
        found = read_rows(
            data, schema, workload=self.workload, contract=self.contract, features=self.features, files=files
        )
        return self.with_targets(examples(found, workload=self.workload, features=self.features, files=files), files)

    def with_targets(self, examples: Examples, files: RowFiles | None = None) -> TrainingRows:
        target_N = self.task.targets(examples.table[LABEL])
        return TrainingRows(examples=examples, target_N=target_N, files=files, pretrained=self.pretrained)

    def identity(self, fitted: Features, parts: Split) -> str:
        """A digest of everything that decides the weights. No training goes on from a checkpoint with another one."""
        run, parameters = self.run, self.workload.training.family_parameters()
        words = [run.data_digest, run.config_digest, run.code_digest, type(parameters).__qualname__]
        words += [parameters.model_dump_json(), str(parts), torch.__version__, str(fitted), str(self.task)]
        return digest("\n".join(words).encode())

    def inputs(self, rows: TrainingRows, fitted: Features, parts: Split) -> TrainingInputs:
        return TrainingInputs(
            parameters=self.workload.training.family_parameters(),
            signature=encoders.signature(fitted),
            task=self.task,
            train=rows.encoded(fitted, parts.train),
            validation=rows.encoded(fitted, parts.validation),
            block_V=stretches_of(rows.examples, parts, self.workload),
            identity=self.identity(fitted, parts),
            initial=self.initial,
            pretrained=self.pretrained,
            bounds=bounds_of(self.contract),
            precision=self.workload.training.precision,
            is_compiled=self.workload.training.compile,
        )


def read_setting(places: TrainingPlaces) -> Setting:
    """The setting that the config channel describes, with the hyperparameters of the job."""
    config = places.channel(CONFIG_CHANNEL)
    declared, contract = read_workload(config / "workload.yaml"), load_contract(config)
    workload = with_hyperparameters(declared, places.hyperparameters)
    features = encoders.declare(workload.prediction.features, contract.rows)
    pretrained = pretrained_encoder(places, workload.training, features)
    return Setting(
        run=read_run(config / "run.json"),
        workload=workload,
        contract=contract,
        features=pretrained.declare(features) if pretrained else features,
        task=tasks.declare(workload.prediction, contract.label),
        initial=initial_model(places, workload.training),
        pretrained=pretrained,
    )


def with_hyperparameters(workload: Workload, given: Mapping[str, str]) -> Workload:
    """The declaration with the hyperparameters of the job, which a tuning job or a person has chosen.

    Only those that the declared family has are taken. A model with such hyperparameters is compared by its validation
    rows and never registered. So the walk forward, which calibrates monitors, is left out, and so are other seeds.
    Raises TrainingError for a value that the family does not take."""
    training = workload.training
    # A tuning job adds names of its own, such as `_tuning_objective_metric`.
    chosen = {name: value_of(text) for name, text in given.items() if name in FAMILIES[training.family].model_fields}
    if not chosen:
        return workload
    changed = training.model_dump() | {"parameters": {**training.parameters, **chosen}, "walk_forward_steps": 0}
    try:
        gates = workload.gates.model_copy(update={"stability": None})
        return workload.model_copy(update={"training": Training.model_validate(changed), "gates": gates})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]).removeprefix("parameters.")
        raise TrainingError(f"hyperparameters: {where}: {first['msg']}, got {chosen}") from None


def bounds_of(contract: Contract) -> tuple[float, float]:
    """The least and the greatest label that the contract allows, infinite without one."""
    declared = contract.label.find(Range)
    return declared.limits if declared else (-math.inf, math.inf)
