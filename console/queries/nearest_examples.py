"""The training rows that are most like the input of a decision, if the contract lets people see them.

The rows are those that the version's run has pinned. They are read with the caller's own rights. No job and no endpoint
keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from console.environment import Environment
from console.queries.decision_explanation import AnsweredDecision, answered, answered_decision
from console.queries.pinned_rows import pinned_files, read_pinned
from console.queries.table_files import data_files, read_metadata, read_rows
from millrace.aws.objects import split_uri
from millrace.contract.deduplicate import key_of
from millrace.contract.kinds import as_json
from millrace.contract.load import load_contract
from millrace.datasets.examples import LABEL, with_label_and_past
from millrace.errors import EnvironmentNotFoundError, SnapshotError, WorkloadError
from millrace.explanations.distance import Near, nearest, weights
from millrace.features import catalogue as encoders
from millrace.names import WorkloadNames
from millrace.tasks.answer import in_words
from millrace.workload.load import load_workload, workloads_folder

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.contract.schema import Contract
    from millrace.decisions.store import LocatedDecision
    from millrace.features.catalogue import Features
    from millrace.features.encoder import Encoder
    from millrace.workload.declaration import Prediction

SHOWN = 3
"""How many rows are shown."""
MOST_BYTES = 2**28
"""The largest size of the pinned files: nobody waits for a page that fetches more."""
UNREADABLE = {"NoSuchKey", "404", "AccessDenied", "403"}
"""Errors of S3 for a file that has expired, or that the caller may not read."""


@dataclass(frozen=True, kw_only=True)
class NearestExample:
    """One training row."""

    distance: float
    """From 0, for a row that the model reads as the same, to 1."""
    label: Any
    """The label as the task counts it; a list if a row has several labels."""
    row: Mapping[str, Any]
    """The key and what the model reads, as JSON holds it."""
    apart: Mapping[str, float]
    """The distance of each feature, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class NearestExamples:
    """The training rows nearest to a decision's input, the nearest first."""

    decision: str
    """The decision's id."""
    version: str
    answer: str
    """The decision's answer in words."""
    row: Mapping[str, Any]
    """The decision's input, with the same columns as the examples."""
    weights: Mapping[str, float]
    """The most that each feature may add to the distance: its share of the contributions to this version's answers."""
    hidden: tuple[str, ...]
    """Features that are neither compared nor shown, since the contract protects one of their columns."""
    images: tuple[str, ...]
    """Columns with images, which JSON holds as base64."""
    compared: int
    """How many training rows were compared."""
    examples: tuple[NearestExample, ...]


def nearest_examples(environment: Environment, names: WorkloadNames, wanted: str) -> NearestExamples:
    """The nearest training rows of the decision with this id.

    Raises WorkloadError if the contract, as it is in the folder now, does not allow it. Raises EnvironmentNotFoundError
    as `answered_decision` does, and if nothing is left to compare."""
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
    """The same for a decision that was read already; the contract must let people see training rows.

    Raises EnvironmentNotFoundError if nothing is left to compare."""
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
    """Whether the contract has every column whose cells the feature gives to the model, and protects none of them.

    The entity of a history only serves to find rows, so it does not count."""
    open_to_people = {column.name for column in contract.rows.columns if not column.is_protected}
    return set(feature.columns) & set(feature.inputs) <= open_to_people


def _columns(shown: Features, rows: pa.Table, contract: Contract, prediction: Prediction) -> list[str]:
    """The columns of the key and of the features' inputs that the contract does not protect."""
    protected = {column.name for column in contract.rows.columns if column.is_protected}
    named = dict.fromkeys([*prediction.key, *(name for each in shown for name in each.inputs)])
    return [name for name in named if name in rows.column_names and name not in protected]


def _training_rows(
    environment: Environment, names: WorkloadNames, run: str, features: Features, prediction: Prediction
) -> pa.Table:
    """The training rows of the run that are still as they were: rows that were withdrawn since are shown to nobody.

    A row also shows other rows: its label may be that of a later row, and its past consists of the rows before it."""
    s3 = environment.client("s3")
    pinned = read_pinned(s3, names, run, features)
    examples = pinned.examples
    train = examples.part(examples.parts.train)
    metadata = read_metadata(environment, names, "rows")
    current = metadata.current_snapshot_id if metadata else None
    if metadata is None or current is None:
        return train.slice(0, 0)
    files = [uri for uri, _ in data_files(s3, metadata, current, is_deleted=False)]
    # As long as every pinned file is still in the table, no row of it was changed or withdrawn.
    if set(pinned_files(s3, names, run)) <= set(files):
        return train
    declared = pinned.workload.prediction
    # What is shown of a row, and its label: a withdrawn one may have come back corrected, under the same key.
    wanted = {*prediction.key, *encoders.columns(features), *prediction.label_columns, *declared.label_columns}
    compared = [name for name in pinned.table.column_names if name in wanted]
    # First all pinned rows that are still in the table; then label and past are looked up among these alone. A training
    # row counts only if it gets the same label and the same past as in its training.
    still = also_in(pinned.table, (read_rows(s3, uri) for uri in files), key=prediction.key, columns=compared)
    looked_up = with_label_and_past(still, declared, features)
    pasts = [history.name for history in encoders.histories(features)]
    return also_in(train, [looked_up], key=prediction.key, columns=[*prediction.key, LABEL, *pasts])


def _example(rows: pa.Table, near: Near, names: list[str]) -> NearestExample:
    """The row as the report and the commands show it."""
    [row] = rows.slice(near.place, 1).to_pylist()
    label = row[LABEL]
    return NearestExample(
        distance=near.distance,
        label=[as_json(each) for each in label] if isinstance(label, list) else as_json(label),
        row={name: as_json(row[name]) for name in names},
        apart=near.apart,
    )


def examples_of_newest(
    environment: Environment, names: WorkloadNames, decision: LocatedDecision | None, run: str
) -> NearestExamples | None:
    """The nearest training rows of the decision, whose version the train execution `run` has made.

    None if the contract does not allow it, if a file is gone or may not be read, if nothing is left to compare, and if
    the files are larger than MOST_BYTES."""
    if decision is None or not run:
        return None
    try:
        contract = load_contract(workloads_folder() / names.workload)
        if not contract.rows.may_be_shown or _pinned_bytes(environment, names, run) > MOST_BYTES:
            return None
        return nearest_to(environment, names, answered(environment, names, decision), contract)
    except (EnvironmentNotFoundError, SnapshotError, WorkloadError):
        return None
    except ClientError as error:
        if error.response["Error"]["Code"] in UNREADABLE:
            return None
        raise


def _pinned_bytes(environment: Environment, names: WorkloadNames, run: str) -> int:
    """The size in bytes of all data files that the run has pinned."""
    s3 = environment.client("s3")
    places = [split_uri(uri) for uri in pinned_files(s3, names, run)]
    return sum(s3.head_object(Bucket=bucket, Key=key)["ContentLength"] for bucket, key in places)


def also_in(rows: pa.Table, there: Iterable[pa.Table], *, key: tuple[str, ...], columns: Sequence[str]) -> pa.Table:
    """The rows, in their order, that one of the tables `there` has with the same cells in these columns. The key is one
    of them.

    A table may lack a column that is younger than its rows, and its numbers may have another width. All lists of a
    column have the same length."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # One table of both, so that Arrow brings types and missing columns into line. The first rows are `rows`.
    both = pa.concat_tables(
        [rows.select(columns), *(one.select([name for name in columns if name in one.column_names]) for one in there)],
        promote_options="permissive",
    ).combine_chunks()
    own, now = both.slice(0, rows.num_rows), both.slice(rows.num_rows)
    # For each row the place of its key in the other tables; null if it is not there.
    places = pc.index_in(key_of(own, key), value_set=key_of(now, key), skip_nulls=True)
    is_there = places.is_valid()
    rows, own, now = rows.filter(is_there), own.filter(is_there), now.take(places.drop_null())
    is_same = pa.repeat(True, rows.num_rows)
    for name in columns:
        is_same = pc.and_(is_same, _is_same(own[name].combine_chunks(), now[name].combine_chunks()))
    return rows.filter(is_same).combine_chunks()


def _is_same(own: Any, now: Any) -> Any:
    """For each row, whether both cells are equal or both are missing."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    # No table has any value in this column.
    if pa.types.is_null(own.type):
        return pa.repeat(True, len(own))
    if not pa.types.is_nested(own.type):
        is_missing = pc.and_(pc.is_null(own, nan_is_null=True), pc.is_null(now, nan_is_null=True))
        return pc.or_(pc.fill_null(pc.equal(own, now), False), is_missing)
    # Lists: compare the flat cells, then fold them into rows of equal length and require all to be the same.
    whole = pc.and_(own.is_valid(), now.is_valid())
    same_N = np.array(pc.and_(own.is_null(), now.is_null()))
    if count := pc.sum(whole).as_py():
        cells = _is_same(own.filter(whole).flatten(), now.filter(whole).flatten())
        same_N[np.array(whole)] = np.array(cells).reshape(count, -1).all(axis=1)
    return pa.array(same_N)
