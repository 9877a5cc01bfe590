"""Checks at synth that a declaration fits its contract. What cannot work stops here, before anything costs money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from millrace.artefact.pretrained import read_declared
from millrace.contract.kinds import FLOATS, INTEGERS
from millrace.contract.row import as_declared, check_row
from millrace.contract.schema import Contract
from millrace.errors import ArtefactError, WorkloadError
from millrace.evaluation.naive.catalogue import suiting
from millrace.features import catalogue as features
from millrace.features.known_ahead import misfit
from millrace.features.known_past import repeats_labels
from millrace.features.signature import Signature
from millrace.features.tokens import Tokens
from millrace.models.parameters import Parameters
from millrace.spelling import did_you_mean, one_of
from millrace.tasks import catalogue as tasks
from millrace.tasks.answer import has_confidence
from millrace.tasks.task import Task
from millrace.workload.declaration import Workload
from millrace.workload.prices import PRICES, is_known


def check_fit(workload: Workload, contract: Contract) -> Contract:
    """The contract, if the workload can predict with it.

    Raises WorkloadError, which says file, field, what was expected and what came, if one of these does not fit: an
    instance type, the columns, the label for the task, the encoder of a feature, the family for the tensors, a gate for
    the task."""
    prediction = workload.prediction
    names = Counter(feature.name for feature in prediction.features)
    if twice := [name for name, count in names.items() if count > 1]:
        where, expected = f"{workload.name}/workload.yaml", "names that come once"
        raise WorkloadError(where=where, field="prediction.features", expected=expected, came=twice)
    _check_instances(workload)
    _check_columns(workload, contract)
    # `declare` raises WorkloadError for a label that the task does not take, and for a column without an encoder.
    task = tasks.declare(prediction, contract.label)
    declared = features.declare(prediction.features, contract.rows)
    for parameters in _searched(workload):
        parameters.accepts(features.signature(declared), task)
        parameters.suits(task, features.signature(declared))
    _check_pretrained(workload, declared)
    _check_gates(workload, task)
    _check_previous(workload)
    _check_policy(workload, contract, task)
    _check_known_keys(workload, declared)
    _check_evidence(workload, contract, task, features.signature(declared))
    _check_cases(workload, contract, declared)
    return contract


def _check_pretrained(workload: Workload, declared: features.Features) -> None:
    """Raise WorkloadError for vectors of words that no feature would take."""
    if workload.training.pretrained and not any(isinstance(one, Tokens) for one in declared):
        where, came = f"{workload.name}/workload.yaml", ", ".join(f"{one.name} by {one.kind}" for one in declared)
        expected = "a feature with the encoder tokens, which cuts texts into pieces"
        raise WorkloadError(where=where, field="training.pretrained", expected=expected, came=came)


def check_pretrained_file(workload: Workload, folder: Path) -> Path | None:
    """The file of pre-trained vectors that lies in the workload's folder; None if there is none.

    Raises WorkloadError for a file that is missing, has another digest or licence, or vectors of another size."""
    declared = workload.training.pretrained
    if declared is None or not declared.is_local:
        return None
    path, where = folder / declared.source, f"{workload.name}/workload.yaml"
    if not path.is_file():
        expected = f"a file {declared.source} in the workload's folder, or s3://…"
        raise WorkloadError(where=where, field="training.pretrained.from", expected=expected, came="no file")
    try:
        found = read_declared(path.read_bytes(), digest=declared.digest, licence=declared.licence)
    except ArtefactError as error:
        raise WorkloadError(
            where=where, field="training.pretrained", expected="the declared file", came=str(error)
        ) from None
    if (came := workload.training.family_parameters().model_dump().get("dimension")) != found.width:
        raise WorkloadError(where=where, field="training.parameters.dimension", expected=str(found.width), came=came)
    return path


def _searched(workload: Workload) -> Iterator[Parameters]:
    """The declared hyperparameters, and then all that a tuning may try."""
    yield workload.training.family_parameters()
    if workload.tuning:
        family = type(workload.training.family_parameters())
        yield from (family(**one) for one in workload.tuning.candidates(family, workload.training.parameters))


def _check_columns(workload: Workload, contract: Contract) -> None:
    prediction, where = workload.prediction, f"{workload.name}/contract.yaml"
    named = _check_marks(workload, contract)
    division = workload.training.split
    _expect(where, "the split", {*workload.split_columns}, set(contract.rows.names) - named)
    if division.by == "group":
        _check_group(workload, contract, division.columns, division.pieces)
    if division.by == "row_order" and prediction.horizon_hours:
        expected = "by: time, since labels ahead of the last rows of a part are of the next one"
        raise WorkloadError(
            where=f"{workload.name}/workload.yaml", field="training.split", expected=expected, came="row_order"
        )
    # A late label finds its decision by the key, and so its row: both tables must have the key and the event time.
    for table in (contract.rows, contract.labels):
        _expect(where, f"the key in {table.name}", {*prediction.key, prediction.event_time}, set(table.names))
        if tuple(prediction.key) not in table.keys:
            expected = f"the key {prediction.key}"
            raise WorkloadError(where=where, field=f"schema.{table.name}", expected=expected, came=table.keys)
    _check_label(workload, contract, where)
    if found := misfit(contract.rows, prediction.label_columns, prediction.key, prediction.event_time):
        name, expected, came = found
        raise WorkloadError(where=where, field=f"{name}, customProperties.ahead", expected=expected, came=came)
    agreed = contract.freshness
    if agreed and agreed.column != prediction.event_time:
        expected = f"latency of rows.{prediction.event_time}, the event time of workload.yaml"
        raise WorkloadError(where=where, field="slaProperties", expected=expected, came=f"rows.{agreed.column}")
    kind = contract.rows.column(prediction.event_time).kind
    if not kind.startswith("timestamp"):
        raise WorkloadError(where=where, field=prediction.event_time, expected="a timestamp", came=kind)


def _check_group(workload: Workload, contract: Contract, columns: tuple[str, ...], pieces: int) -> None:
    """Raise WorkloadError if columns name no entity, or if what a row reads of other rows may be of another one."""
    where, prediction = f"{workload.name}/workload.yaml", workload.prediction
    for name in columns:
        kind = contract.rows.column(name).kind
        if kind in ("binary", "boolean") or (pieces and (kind != "string" or len(columns) > 1)):
            expected = f"{name} to be {'one text' if pieces else 'a text, number or time'} in contract.yaml"
            raise WorkloadError(where=where, field="training.split.column", expected=expected, came=kind)
    reads_others = prediction.horizon_hours or any(feature.history for feature in prediction.features)
    if prediction.event_time in columns or (reads_others and (pieces or not {*columns} <= {*prediction.key})):
        expected = "columns of the key without the event time: a history or a label ahead is of the same key"
        raise WorkloadError(where=where, field="training.split.column", expected=expected, came=", ".join(columns))


def _check_marks(workload: Workload, contract: Contract) -> set[str]:
    """The label's columns as workload.yaml names them. contract.yaml must mark the same ones with `role: label`."""
    named = set(workload.prediction.label_columns)
    marked = {column.name for column in contract.label_columns}
    if named != marked:
        expected = f"{', '.join(sorted(marked))}, which contract.yaml marks with role: label among its columns"
        where, columns = f"{workload.name}/workload.yaml", ", ".join(contract.rows.names)
        raise WorkloadError(
            where=where, field="prediction.label", expected=f"{expected} {columns}", came=", ".join(sorted(named))
        )
    return named


def _check_instances(workload: Workload) -> None:
    """Raise WorkloadError for an instance type without a price, in any stage."""
    where, known = f"{workload.name}/workload.yaml", [price.instance for price in PRICES]
    for section, instances in (("training", workload.training.instance), ("rollout", workload.rollout.instance)):
        for stage, instance in instances.items():
            if not is_known(instance):
                field, expected = f"{section}.instance.{stage}", one_of(instance, known)
                raise WorkloadError(where=where, field=field, expected=expected, came=instance)


def _check_label(workload: Workload, contract: Contract, where: str) -> None:
    """A label may be an input of its own row only if it is predicted ahead, and then the contract must say so."""
    prediction, label = workload.prediction, contract.label
    if label.is_input is not bool(prediction.horizon_hours):
        expected = "the custom property input: true on the label where horizon_hours is above 0, and only there"
        raise WorkloadError(where=where, field=label.name, expected=expected, came=prediction.horizon_hours)
    known = contract.table("scoring").names
    if unknown := sorted(set(prediction.feature_columns) - set(known)):
        expected = f"columns of the contract that a row to score has: {', '.join(known)}{did_you_mean(unknown, known)}"
        came = unknown[0] if len(unknown) == 1 else unknown
        raise WorkloadError(
            where=f"{workload.name}/workload.yaml", field="prediction.features", expected=expected, came=came
        )


def _check_gates(workload: Workload, task: Task) -> None:
    where, gates, prediction = f"{workload.name}/workload.yaml", workload.gates, workload.prediction
    if not gates.baseline.suits(task):
        expected = f"one of {', '.join(suiting(task))} for the task {task.kind}"
        raise WorkloadError(where=where, field="gates.baseline.kind", expected=expected, came=gates.baseline.kind)
    horizon, baseline = prediction.horizon_hours, gates.baseline
    # Over several horizons the naive rule goes back by a multiple of its hours, as far as each horizon needs.
    if not prediction.horizons_hours and baseline.label_age_hours < horizon:
        expected = f"labels of {horizon:g} hours before or more, since a label is known {horizon:g} hours after its row"
        came = f"{baseline.label_age_hours:g} hours in {baseline.kind}"
        raise WorkloadError(where=where, field="gates.baseline", expected=expected, came=came)


def _check_previous(workload: Workload) -> None:
    """The version before answers in place of the live one only while it is warm."""
    if "previous" in workload.prediction.fallback and not workload.rollout.warm_hours:
        where, expected = f"{workload.name}/workload.yaml", "some hours, for previous in prediction.fallback"
        raise WorkloadError(where=where, field="rollout.warm_hours", expected=expected, came=0)


def _check_policy(workload: Workload, contract: Contract, task: Task) -> None:
    """The policy's threshold suits the task, and its bound a column of numbers that every row to score has."""
    where, policy, table = f"{workload.name}/workload.yaml", workload.policy, contract.table("scoring")
    if policy and policy.automate and not has_confidence(task):
        expected, came = "a task whose answers have a confidence", f"the task {task.kind}"
        raise WorkloadError(where=where, field="policy.automate", expected=expected, came=came)
    if policy and policy.unlike_training and workload.training.parameters.get("trees") == "alone":
        expected, came = "a network, in whose last layer the distance is measured", "trees: alone"
        raise WorkloadError(where=where, field="policy.unlike_training", expected=expected, came=came)
    if policy and policy.label_errors_a_day and workload.prediction.horizon_hours:
        expected, came = "a label of the row itself: one that lies ahead is measured", "horizon_hours"
        raise WorkloadError(where=where, field="policy.label_errors_a_day", expected=expected, came=came)
    if policy and policy.floor and "rule" not in workload.prediction.fallback:
        expected = "rule in prediction.fallback, which answers below the floor"
        raise WorkloadError(where=where, field="policy.floor", expected=expected, came="none there")
    prediction, rule = workload.prediction, workload.gates.baseline
    several = prediction.labels or prediction.horizons_hours
    if repeats_labels(workload) and (not workload.known_keys or several or (policy and policy.floor)):
        expected = (
            "a rule in gates.baseline that answers every row with the same: base_rate, median or mean; "
            "or, for a single label and without a floor, known_keys"
        )
        raise WorkloadError(where=where, field="prediction.fallback", expected=expected, came=rule.kind)
    if policy and policy.review_above:
        column = policy.review_above.column
        numbers = [one.name for one in table.columns if one.kind in (*INTEGERS, *FLOATS)]
        if column not in numbers:
            expected = one_of(column, numbers)
            raise WorkloadError(where=where, field="policy.review_above.column", expected=expected, came=column)


def _check_known_keys(workload: Workload, declared: features.Features) -> None:
    """Raise WorkloadError if the known rows are of no use, or do not reach back as far as training looks."""
    where, known, histories = f"{workload.name}/workload.yaml", workload.known_keys, features.histories(declared)
    least = [(2 * history.hours, "twice the longest history") for history in histories]
    if repeats_labels(workload):
        least.append((workload.gates.baseline.label_age_hours, "as far as gates.baseline looks back"))
    if known and not least:
        expected, came = "a feature with a history, or a naive rule in prediction.fallback that looks back", "neither"
        raise WorkloadError(where=where, field="known_keys", expected=expected, came=came)
    if known and known.hours < max(least)[0]:
        expected = "{:g} hours or more, {}".format(*max(least))
        raise WorkloadError(where=where, field="known_keys.hours", expected=expected, came=known.hours)


def _check_evidence(workload: Workload, contract: Contract, task: Task, tensors: Signature) -> None:
    """Each gate finds the columns that it reads, and suits the task and the tensors."""
    where = f"{workload.name}/workload.yaml"
    for name, gate in workload.gates.declared().items():
        _expect(
            f"{workload.name}/contract.yaml",
            f"the columns of the gate {name}",
            set(gate.columns_read),
            set(contract.rows.names),
        )
        if expected := gate.misfit(task, tensors):
            raise WorkloadError(where=where, field=f"gates.{name}", expected=expected, came=f"the task {task.kind}")


def _check_cases(workload: Workload, contract: Contract, declared: features.Features) -> None:
    """Each named row keeps the contract, as a request's does; columns that are generated may be missing."""
    table, gate = contract.table("scoring"), workload.gates.cases
    if gate and (pasts := features.histories(declared)):
        where, expected = f"{workload.name}/workload.yaml", "features that are in the row itself"
        raise WorkloadError(where=where, field="gates.cases", expected=expected, came=f"the history {pasts[0].name}")
    generated = {column.name for column in table.columns if column.is_generated}
    for case in gate.rows if gate else ():
        wrong = [one for one in check_row(as_declared(case.row, table), table) if one.column not in generated]
        if wrong:
            where, field = f"{workload.name}/workload.yaml", f"gates.cases, {case.name}: row.{wrong[0].column}"
            raise WorkloadError(where=where, field=field, expected=wrong[0].expected, came=wrong[0].got)


def _expect(where: str, field: str, wanted: set[str], held: set[str]) -> None:
    if missing := sorted(wanted - held):
        expected = f"{missing} as workload.yaml names them{did_you_mean(missing, held)}"
        raise WorkloadError(where=where, field=field, expected=expected, came=sorted(held))
