"""Checks at synth that a declaration fits its contract. What cannot work stops here, before anything costs money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from millrace.artefact.pretrained import KINDS, read_declared
from millrace.contract.kinds import FLOATS, INTEGERS
from millrace.contract.row import as_declared, check_row
from millrace.contract.schema import Contract
from millrace.errors import ArtefactError, WorkloadError
from millrace.evaluation.naive.catalogue import suiting
from millrace.features import catalogue as features
from millrace.features.known_ahead import misfit
from millrace.features.known_past import repeats_labels
from millrace.features.signature import Signature
from millrace.messages.monitor import GIVE_UP_WINDOWS
from millrace.models.parameters import Parameters
from millrace.monitoring.windows import MOST_WINDOWS
from millrace.spelling import did_you_mean, one_of
from millrace.tasks import catalogue as tasks
from millrace.tasks.answer import has_confidence
from millrace.tasks.task import Task
from millrace.workload.declaration import Workload
from millrace.workload.policy import Policy
from millrace.workload.prices import PRICES
from millrace.workload.training import Pretrained

Misfit = tuple[str, str, str, object]
"""What does not fit: the file, the field, what was expected and what came."""
DECLARATION, CONTRACT = "workload.yaml", "contract.yaml"
NO_POLICY = Policy.model_construct()


def check_fit(workload: Workload, contract: Contract) -> Contract:
    """The contract, if the workload can predict with it.

    Raises WorkloadError, which says file, field, what was expected and what came, if one of these does not fit: an
    instance type, the columns, the label for the task, the encoder of a feature, the family for the tensors, a gate for
    the task."""
    prediction = workload.prediction
    _refuse(workload, chain(_twice(workload), _instances(workload), _columns(workload, contract)))
    # `declare` raises WorkloadError for a label that the task does not take, and for a column without an encoder.
    task = tasks.declare(prediction, contract.label)
    declared = features.declare(prediction.features, contract.rows)
    tensors = features.signature(declared)
    for parameters in _searched(workload):
        parameters.accepts(tensors, task)
        parameters.suits(task, tensors)
    _refuse(
        workload,
        chain(
            _hosted(workload, declared),
            _pretrained(workload, declared),
            _baseline(workload, task),
            _policy(workload, contract, task),
            _known_keys(workload, declared),
            _gates(workload, contract, task, tensors),
            _cases(workload, contract, declared),
            _joins(workload, contract),
        ),
    )
    return contract


def _refuse(workload: Workload, misfits: Iterator[Misfit]) -> None:
    for file, field, expected, came in misfits:
        raise WorkloadError(where=f"{workload.name}/{file}", field=field, expected=expected, came=came)


def check_pretrained_file(workload: Workload, folder: Path) -> Path | None:
    """The file of the pre-trained encoder that lies in the workload's folder; None if there is none.

    Raises WorkloadError for a file that is missing, is no such encoder, or has another digest or licence."""
    declared = workload.training.pretrained
    if declared is None or not declared.is_local:
        return None
    _refuse(workload, _file(workload, declared, folder / declared.source))
    return folder / declared.source


def _file(workload: Workload, declared: Pretrained, path: Path) -> Iterator[Misfit]:
    if not path.is_file():
        expected = f"a file {declared.source} in the workload's folder, or s3://…"
        yield DECLARATION, "training.pretrained.from", expected, "no file"
    try:
        family = workload.training.family
        read_declared(path.read_bytes(), digest=declared.digest, licence=declared.licence, family=family)
    except ArtefactError as error:
        yield DECLARATION, "training.pretrained", "the declared file", str(error)


def _hosted(workload: Workload, declared: features.Features) -> Iterator[Misfit]:
    """What decodes images does not fit into a function beside all else that it may need."""
    if workload.rollout.has_no_endpoint and (images := features.images(declared)):
        came = f"the image {images[0].name} among prediction.features"
        yield DECLARATION, "rollout.host", "endpoint, where images are to be decoded", came


def _searched(workload: Workload) -> Iterator[Parameters]:
    """The declared hyperparameters, and then all that a tuning may try."""
    yield workload.training.family_parameters()
    if workload.tuning:
        family = type(workload.training.family_parameters())
        yield from (family(**one) for one in workload.tuning.candidates(family, workload.training.parameters))


def _twice(workload: Workload) -> Iterator[Misfit]:
    names = Counter(feature.name for feature in workload.prediction.features)
    if twice := [name for name, count in names.items() if count > 1]:
        yield DECLARATION, "prediction.features", "names that come once", twice


def _instances(workload: Workload) -> Iterator[Misfit]:
    """An instance type without a price, in any stage."""
    for section, instances in (("training", workload.training.instance), ("rollout", workload.rollout.instance)):
        for stage, instance in instances.items():
            if instance not in PRICES:
                yield DECLARATION, f"{section}.instance.{stage}", one_of(instance, PRICES), instance


def _columns(workload: Workload, contract: Contract) -> Iterator[Misfit]:
    prediction, division = workload.prediction, workload.training.split
    yield from _marks(workload, contract)
    held = {*contract.rows.names} - {*prediction.label_columns}
    yield from _missing("the split", {*workload.split_columns}, held)
    if division.by == "group":
        yield from _group(workload, contract, division.columns, division.pieces)
    if division.by == "row_order" and prediction.horizon_hours:
        expected = "by: time, since labels ahead of the last rows of a part are of the next one"
        yield DECLARATION, "training.split", expected, "row_order"
    # A late label finds its decision by the key, and so its row: both tables must have the key and the event time.
    for table in (contract.rows, contract.labels):
        yield from _missing(f"the key in {table.name}", {*prediction.key, prediction.event_time}, {*table.names})
        if tuple(prediction.key) not in table.keys:
            yield CONTRACT, f"schema.{table.name}", f"the key {prediction.key}", table.keys
    yield from _label(workload, contract)
    if found := misfit(contract.rows, prediction.label_columns, prediction.key, prediction.event_time):
        name, expected, came = found
        yield CONTRACT, f"{name}, customProperties.ahead", expected, came
    agreed = contract.freshness
    if agreed and agreed.column != prediction.event_time:
        expected = f"latency of rows.{prediction.event_time}, the event time of workload.yaml"
        yield CONTRACT, "slaProperties", expected, f"rows.{agreed.column}"
    kind = contract.rows.column(prediction.event_time).kind
    if not kind.startswith("timestamp"):
        yield CONTRACT, prediction.event_time, "a timestamp", kind


def _group(workload: Workload, contract: Contract, columns: tuple[str, ...], pieces: int) -> Iterator[Misfit]:
    """Columns that name no entity, and what a row reads of other rows that may be of another one."""
    prediction, field = workload.prediction, "training.split.column"
    for name in columns:
        kind = contract.rows.column(name).kind
        if kind in ("binary", "boolean") or (pieces and (kind != "string" or len(columns) > 1)):
            yield (
                DECLARATION,
                field,
                f"{name} to be {'one text' if pieces else 'a text, number or time'} in {CONTRACT}",
                kind,
            )
    reads_others = prediction.horizon_hours or any(feature.history for feature in prediction.features)
    if prediction.event_time in columns or (reads_others and (pieces or not {*columns} <= {*prediction.key})):
        expected = "columns of the key without the event time: a history or a label ahead is of the same key"
        yield DECLARATION, field, expected, ", ".join(columns)


def _marks(workload: Workload, contract: Contract) -> Iterator[Misfit]:
    """contract.yaml must mark the label's columns, as workload.yaml names them, with `role: label`."""
    named, marked = {*workload.prediction.label_columns}, {column.name for column in contract.label_columns}
    if named != marked:
        among = f"which contract.yaml marks with role: label among its columns {', '.join(contract.rows.names)}"
        yield DECLARATION, "prediction.label", f"{', '.join(sorted(marked))}, {among}", ", ".join(sorted(named))


def _label(workload: Workload, contract: Contract) -> Iterator[Misfit]:
    """A label may be an input of its own row only if it is predicted ahead, and then the contract must say so."""
    prediction, label, known = workload.prediction, contract.label, contract.table("scoring").names
    if label.is_input is not bool(prediction.horizon_hours):
        expected = "the custom property input: true on the label where horizon_hours is above 0, and only there"
        yield CONTRACT, label.name, expected, prediction.horizon_hours
    if unknown := sorted(set(prediction.feature_columns) - set(known)):
        expected = f"columns of the contract that a row to score has: {', '.join(known)}{did_you_mean(unknown, known)}"
        yield DECLARATION, "prediction.features", expected, unknown[0] if len(unknown) == 1 else unknown


def _pretrained(workload: Workload, declared: features.Features) -> Iterator[Misfit]:
    """A part that no feature or family would take."""
    family = workload.training.family
    taken = [one for one in declared if one.kind in KINDS and KINDS[one.kind].family == family]
    if workload.training.pretrained and not taken:
        kinds = (f"the family {kind.family} and a feature with the encoder {reads}" for reads, kind in KINDS.items())
        expected = ", or ".join(kinds)
        came = ", ".join(f"{one.name} by {one.kind}" for one in declared)
        yield DECLARATION, "training.pretrained", expected, f"the family {family}, {came}"


def _baseline(workload: Workload, task: Task) -> Iterator[Misfit]:
    prediction, baseline, monitors = workload.prediction, workload.gates.baseline, workload.monitors
    if not baseline.suits(task):
        expected = f"one of {', '.join(suiting(task))} for the task {task.kind}"
        yield DECLARATION, "gates.baseline.kind", expected, baseline.kind
    horizon = prediction.horizon_hours
    # Over several horizons the naive rule goes back by a multiple of its hours, as far as each horizon needs.
    if not prediction.horizons_hours and baseline.label_age_hours < horizon:
        expected = f"labels of {horizon:g} hours before or more, since a label is known {horizon:g} hours after its row"
        yield DECLARATION, "gates.baseline", expected, f"{baseline.label_age_hours:g} hours in {baseline.kind}"
    # A monitor run has room for its newest windows, and for all older ones whose labels may still come.
    if horizon > 24 * monitors.window_days * (ahead := MOST_WINDOWS - GIVE_UP_WINDOWS - monitors.error_windows):
        expected = f"so many days that the label, {horizon:g} hours after its row, lies {ahead} windows ahead at most"
        yield DECLARATION, "monitors.window_days", expected, monitors.window_days
    # The version before answers in place of the live one only while it is warm. A function always has it at hand.
    if "previous" in prediction.fallback and not (workload.rollout.warm_hours or workload.rollout.has_no_endpoint):
        yield DECLARATION, "rollout.warm_hours", "some hours, for previous in prediction.fallback", 0


def _policy(workload: Workload, contract: Contract, task: Task) -> Iterator[Misfit]:
    """The policy's threshold suits the task, and its bound a column of numbers that every row to score has."""
    policy, prediction = workload.policy or NO_POLICY, workload.prediction
    if policy.automate and not has_confidence(task):
        yield DECLARATION, "policy.automate", "a task whose answers have a confidence", f"the task {task.kind}"
    if policy.unlike_training and workload.training.parameters.get("trees") == "alone":
        expected = "a network, in whose last layer the distance is measured"
        yield DECLARATION, "policy.unlike_training", expected, "trees: alone"
    if policy.label_errors_a_day and prediction.horizon_hours:
        expected = "a label of the row itself: one that lies ahead is measured"
        yield DECLARATION, "policy.label_errors_a_day", expected, "horizon_hours"
    pasts = [one.name for one in prediction.features if one.history]
    if policy.labels_before_model and (prediction.horizon_hours or pasts):
        expected = "a label and features of the row itself: a person knows no label that lies ahead, and sees no past"
        yield DECLARATION, "policy.labels_before_model", expected, ", ".join(pasts) or "horizon_hours"
    if policy.labels_before_model and (needed := [one.name for one in contract.label_columns if one.required]):
        yield CONTRACT, needed[0], "required: false in rows, for policy.labels_before_model", "required: true"
    if policy.floor and "rule" not in prediction.fallback:
        yield DECLARATION, "policy.floor", "rule in prediction.fallback, which answers below the floor", "none there"
    if repeats_labels(workload) and (not workload.known_keys or prediction.labels):
        expected = (
            "a rule in gates.baseline that answers every row with the same: base_rate, median or mean; "
            "or, for a single label, known_keys"
        )
        yield DECLARATION, "prediction.fallback", expected, workload.gates.baseline.kind
    if policy.review_above:
        column, columns = policy.review_above.column, contract.table("scoring").columns
        numbers = [one.name for one in columns if one.kind in (*INTEGERS, *FLOATS)]
        if column not in numbers:
            yield DECLARATION, "policy.review_above.column", one_of(column, numbers), column


def _known_keys(workload: Workload, declared: features.Features) -> Iterator[Misfit]:
    """Known rows that are of no use, or do not reach back as far as training looks."""
    known, histories = workload.known_keys, features.histories(declared)
    least = [(2 * history.hours, "twice the longest history") for history in histories]
    if repeats_labels(workload):
        least.append((workload.gates.baseline.label_age_hours, "as far as gates.baseline looks back"))
    if known and not least:
        expected = "a feature with a history, or a naive rule in prediction.fallback that looks back"
        yield DECLARATION, "known_keys", expected, "neither"
    if known and known.hours < max(least)[0]:
        yield DECLARATION, "known_keys.hours", "{:g} hours or more, {}".format(*max(least)), known.hours


def _gates(workload: Workload, contract: Contract, task: Task, tensors: Signature) -> Iterator[Misfit]:
    """Each gate finds the columns that it reads, and suits the task and the tensors."""
    for name, gate in workload.gates.declared().items():
        yield from _missing(f"the columns of the gate {name}", {*gate.columns_read}, {*contract.rows.names})
        if expected := gate.misfit(task, tensors):
            yield DECLARATION, f"gates.{name}", expected, f"the task {task.kind}"


def _cases(workload: Workload, contract: Contract, declared: features.Features) -> Iterator[Misfit]:
    """Each named row keeps the contract, as a request's does; columns that are generated may be missing."""
    table, gate = contract.table("scoring"), workload.gates.cases
    if gate and (pasts := features.histories(declared)):
        yield DECLARATION, "gates.cases", "features that are in the row itself", f"the history {pasts[0].name}"
    generated = {column.name for column in table.columns if column.is_filled}
    for case in gate.rows if gate else ():
        for wrong in check_row(as_declared(case.row, table), table):
            if wrong.column not in generated:
                yield DECLARATION, f"gates.cases, {case.name}: row.{wrong.column}", wrong.expected, wrong.got


def _joins(workload: Workload, contract: Contract) -> Iterator[Misfit]:
    """What a query's rows would be told of the future, and columns that nobody reads."""
    named = {column.name: column.name_in_file for column in contract.rows.columns}
    ahead = {named[column.name] for column in contract.label_columns if not column.is_input}
    event_time = workload.prediction.event_time
    for name, query in workload.queries.items():
        for place, join in enumerate(query.joins):
            field = f"queries.{name}.joins.{place}"
            if query.feed == "labels":
                yield DECLARATION, field, "no join in the feed labels: a label is known after its row", join.table
            if contract.rows.column(event_time).generated or join.at != named[event_time]:
                expected = f"the event time of the rows, {named[event_time]}, in {CONTRACT}: later values look ahead"
                yield DECLARATION, f"{field}.at", expected, join.at
            for column in join.columns:
                if column in ahead:
                    expected = "columns known at the row's time: labels come by a query of the feed labels"
                    yield DECLARATION, f"{field}.columns", expected, column
                if column not in named.values():
                    yield CONTRACT, f"rows, for {field}.columns", one_of(column, [*named.values()]), column


def _missing(field: str, wanted: set[str], held: set[str]) -> Iterator[Misfit]:
    if missing := sorted(wanted - held):
        yield CONTRACT, field, f"{missing} as workload.yaml names them{did_you_mean(missing, held)}", sorted(held)
