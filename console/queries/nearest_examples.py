"""The training rows that are most like the input of a decision, where the contract lets a person see them.

The version's run pinned them; they are read with the rights of whoever asks, and no job and no endpoint keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from console.environment import Environment
from console.queries.decision_explanation import AnsweredDecision, answered_decision
from console.queries.pinned_rows import pinned_files, read_pinned
from console.queries.same_rows import also_in
from console.queries.table_files import data_files, read_metadata, read_rows
from millrace.contract.kinds import as_json
from millrace.contract.load import load_contract
from millrace.datasets.examples import LABEL, with_label_and_past
from millrace.errors import EnvironmentNotFoundError, WorkloadError
from millrace.explanations.distance import Near, nearest, weights
from millrace.features import catalogue as encoders
from millrace.names import WorkloadNames
from millrace.tasks.answer import in_words
from millrace.workload.load import load_workload, workloads_folder

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.contract.schema import Contract
    from millrace.features.catalogue import Features
    from millrace.features.encoder import Encoder
    from millrace.workload.declaration import Prediction

SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class NearestExample:
    """One training row."""

    distance: float
    """From 0 for a row that the model reads as the same to 1."""
    label: Any
    """As its task counts it; a list of several."""
    row: Mapping[str, Any]
    """Its key and what the model reads, as JSON holds it."""
    apart: Mapping[str, float]
    """The distance of each feature, from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class NearestExamples:
    """The nearest training rows of a decision's input, the nearest first."""

    decision: str
    version: str
    answer: str
    """In words."""
    row: Mapping[str, Any]
    """The decision's input, with the columns of the examples."""
    weights: Mapping[str, float]
    """How much of the distance a feature may make: the share of its contributions to this version's answers."""
    hidden: tuple[str, ...]
    """Features that neither count nor are shown, as the contract protects a column of theirs."""
    images: tuple[str, ...]
    """Columns of images, which JSON holds as base64."""
    compared: int
    """Training rows."""
    examples: tuple[NearestExample, ...]


def nearest_examples(environment: Environment, names: WorkloadNames, wanted: str) -> NearestExamples:
    """For the decision with this id.

    Raises WorkloadError where the contract, as it is in the folder now, does not allow it, and
    EnvironmentNotFoundError as `answered_decision` and where nothing is left to compare."""
    contract = load_contract(workloads_folder() / names.workload)
    if not contract.rows.may_be_shown:
        expected = (
            "the custom property nearestExample: true of the object rows, for its owner to let people see training rows"
        )
        raise WorkloadError(where=f"{names.workload}/contract.yaml", field="schema", expected=expected, came="none")
    return nearest_to(environment, names, answered_decision(environment, names, wanted), contract)


def nearest_to(
    environment: Environment, names: WorkloadNames, found: AnsweredDecision, contract: Contract
) -> NearestExamples:
    """For this decision, where the contract lets people see training rows.

    Raises EnvironmentNotFoundError where nothing is left to compare."""
    prediction = load_workload(workloads_folder() / names.workload).prediction
    description = found.model.description
    shown = tuple(each for each in description.features if _may_be_shown(each, contract))
    if not shown:
        raise EnvironmentNotFoundError("expected a feature that the contract does not protect, got none")
    rows = _training_rows(environment, names, found.package.metadata["run"], description.features, prediction)
    if not rows.num_rows:
        raise EnvironmentNotFoundError("expected training rows that are still in the table, got none")
    weights_F = weights(shown, description.explained)
    names_shown = _columns(shown, rows, contract, prediction)
    shares = (weights_F / weights_F.sum()).tolist()
    return NearestExamples(
        decision=found.decision.id,
        version=found.package.version,
        answer=in_words(found.decision.output),
        row={name: found.row.get(name) for name in names_shown},
        weights={each.name: share for each, share in zip(shown, shares, strict=True)},
        hidden=tuple(each.name for each in description.features if each not in shown),
        images=tuple(each.name for each in shown if each.spec.kind == "image"),
        compared=rows.num_rows,
        examples=tuple(
            _example(rows, near, names_shown) for near in nearest(rows, found.row, shown, weights_F, count=SHOWN)
        ),
    )


def _may_be_shown(feature: Encoder, contract: Contract) -> bool:
    """Whether the contract has each column whose cells the model reads by the feature, and protects none.

    By the entity of a history rows are only found."""
    open_to_people = {column.name for column in contract.rows.columns if not column.is_protected}
    return set(feature.columns) & set(feature.inputs) <= open_to_people


def _columns(shown: Features, rows: pa.Table, contract: Contract, prediction: Prediction) -> list[str]:
    """Of the key and of what the features read, those that the contract does not protect."""
    protected = {column.name for column in contract.rows.columns if column.is_protected}
    named = dict.fromkeys([*prediction.key, *(name for each in shown for name in each.inputs)])
    return [name for name in named if name in rows.column_names and name not in protected]


def _training_rows(
    environment: Environment, names: WorkloadNames, run: str, features: Features, prediction: Prediction
) -> pa.Table:
    """Those of the run that are still as they were: what was withdrawn since is shown to nobody.

    A row shows others too: its label may be a later row's, and its past is of those before it."""
    s3 = environment.client("s3")
    pinned = read_pinned(s3, names, run, features)
    examples = pinned.examples
    train = examples.part(examples.parts.train)
    metadata = read_metadata(environment, names, "rows")
    current = metadata.current_snapshot_id if metadata else None
    if metadata is None or current is None:
        return train.slice(0, 0)
    files = [uri for uri, _ in data_files(s3, metadata, current, is_deleted=False)]
    if set(pinned_files(s3, names, run)) <= set(files):
        return train
    declared = pinned.workload.prediction
    # What is shown of a row, and its label: a withdrawn one may have come back corrected, under the same key.
    wanted = {*prediction.key, *encoders.columns(features), *prediction.label_columns, *declared.label_columns}
    compared = [name for name in pinned.table.column_names if name in wanted]
    still = also_in(pinned.table, (read_rows(s3, uri) for uri in files), key=prediction.key, columns=compared)
    looked_up = with_label_and_past(still, declared, features)
    pasts = [history.name for history in encoders.histories(features)]
    return also_in(train, [looked_up], key=prediction.key, columns=[*prediction.key, LABEL, *pasts])


def _example(rows: pa.Table, near: Near, names: list[str]) -> NearestExample:
    [row] = rows.slice(near.place, 1).to_pylist()
    label = row[LABEL]
    return NearestExample(
        distance=near.distance,
        label=[as_json(each) for each in label] if isinstance(label, list) else as_json(label),
        row={name: as_json(row[name]) for name in names},
        apart=near.apart,
    )
