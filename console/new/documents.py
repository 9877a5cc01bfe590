"""Writes the proposed contract as the text of `contract.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import date
from typing import Any

from console.new.prediction import ProposedPrediction, remark, word
from millrace.contract.csv_form import CsvForm
from millrace.contract.load import TYPES_OF_KIND
from millrace.contract.rules.image import ImageFormat
from millrace.contract.rules.length import Length
from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Generated, Table


def contract_document(prediction: ProposedPrediction, rows: Table, *, source: str, rows_seen: int) -> str:
    """The text of `contract.yaml`. `source` is the name of the file, `rows_seen` the number of its rows."""
    text = f"What a row of {prediction.name} must be, proposed from {rows_seen:,} rows of {source}; yours to change."
    lines = [
        *remark(text),
        "# Ranges leave room for a quarter of what was seen, without the few numbers far from all others; a row",
        "# outside of them is quarantined with its reason.",
        "# `rows` is the feed `training`; it is the feed `scoring` too, there without the column whose role is `label`"
        + (", which later rows predict." if prediction.horizon_hours else "."),
        "# `labels` is the feed `labels`: truth that arrives later.",
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: millrace-{prediction.name.replace('_', '-')}",
        f"name: {prediction.name}",
        "version: 1.0.0",
        "status: draft                 # active, once you stand behind it",
        "description:",
        f"  purpose: {word(f'Predict {prediction.label}.')}",
        f"  usage: {word(f'Training, scoring and late labels of the workload {prediction.name}.')}",
        "schema:",
        *_object("rows", "One row for each thing to predict.", rows, prediction.key),
    ]
    # A late label names its row by key and event time, or by the id of its prediction. A generated event time is not
    # known to whoever sends labels, so then the id is required.
    names = dict.fromkeys([*prediction.key, prediction.event_time, prediction.label])
    columns = (
        *(
            replace(rows.column(name), required=True, generated=_generated_of_label(rows.column(name)))
            for name in names
        ),
        Column(
            name="prediction_id",
            kind="string",
            required=rows.column(prediction.event_time).is_generated,
            rules=(Length(maximum=128),),
            missing_words=_missing_words(rows),
        ),
    )
    labels = Table(name="labels", columns=columns, csv=replace(rows.csv, columns=()))
    lines += _object("labels", "One row for each thing whose truth has become known.", labels, prediction.key)
    return "\n".join([*lines, ""])


def _generated_of_label(column: Column) -> Generated:
    """What generates this column in the table `labels`: "event_time", or "" if the labels' file has the column.

    A generated event time is that of the labels' own drop. A generated row id is not generated again: a label names
    the id of its row."""
    return "event_time" if column.is_generated and column.kind != "string" else ""


def _object(name: str, grain: str, table: Table, key: tuple[str, ...]) -> Iterator[str]:
    yield f"  - name: {name}"
    yield "    physicalType: table"
    yield "    logicalType: object"
    yield f"    dataGranularityDescription: {grain}"
    if found := [{"property": name, "value": value} for name, value in _of_files(table)]:
        yield "    customProperties:   # how the files are written"
        yield from (f"      - {word(each)}" for each in found)
    yield "    properties:"
    for column in table.columns:
        yield from _property(column, key, _missing_words(table))


def _of_files(table: Table) -> Iterator[tuple[str, Any]]:
    """Custom properties on how the files are written, only where that is unusual: `("csv", {"delimiter": ";"})`."""
    usual = CsvForm()
    form = {each.name: getattr(table.csv, each.name) for each in fields(CsvForm)}
    if other := {name: value for name, value in form.items() if value != getattr(usual, name)}:
        yield "csv", {name: list(value) if isinstance(value, tuple) else value for name, value in other.items()}
    if words := _missing_words(table):
        yield "missingValues", list(words)
    if table.ignored:
        yield "ignoredColumns", list(table.ignored)


def _missing_words(table: Table) -> tuple[str, ...]:
    """The words for missing cells that all columns share, the label aside: a word may be one of its classes."""
    first, *others = [column.missing_words for column in table.columns if not column.label] or [()]
    return tuple(word for word in first if all(word in words for words in others))


def _property(column: Column, key: tuple[str, ...], usual: tuple[str, ...]) -> Iterator[str]:
    logical, physical = TYPES_OF_KIND[column.kind]
    yield f"      - name: {word(column.name)}"
    if column.physical_name is not None:
        yield f"        physicalName: {word(column.physical_name)}"
    yield f"        logicalType: {logical}"
    yield f"        physicalType: {physical}"
    if column.name in key:
        yield "        primaryKey: true"
        yield f"        primaryKeyPosition: {key.index(column.name) + 1}"
    # Only options, values and properties that the column has are written.
    yield f"        required: {word(column.required)}"
    if options := _options(column):
        yield f"        logicalTypeOptions: {word(options)}"
    if column.allowed:
        valid = f"{{type: library, metric: invalidValues, arguments: {{validValues: {word(list(column.allowed))}}}"
        yield f"        quality: [{valid}, mustBe: 0, dimension: conformity}}]"
    if properties := [{"property": name, "value": value} for name, value in _custom(column, usual)]:
        yield f"        customProperties: {word(properties)}"


def _custom(column: Column, usual: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """The column's custom properties. `usual` are the words for missing cells that the table declares for all."""
    if column.label or column.is_protected:
        yield "role", "label" if column.label else "protected"
    if column.is_input:
        yield "input", True
    if column.unit:
        yield "unit", column.unit
    if column.generated:
        yield "generated", column.generated
    if column.missing_words != usual:
        yield "missingValues", list(column.missing_words)
    if image := column.find(ImageFormat):
        scale = {"scale": True} if image.scale else {}
        yield "image", {"encoding": image.encoding, "shape": list(image.shape), **scale}


def _options(column: Column) -> dict[str, Any]:
    # A rule that the column does not have has no bounds, and what has no value is left out at the end.
    bounds, length = column.find(Range) or Range(), column.find(Length) or Length()
    found: dict[str, Any] = {
        "minimum": bounds.minimum.isoformat() if isinstance(bounds.minimum, date) else bounds.minimum,
        "maximum": bounds.maximum,
        "maxLength": length.maximum,
        "format": column.time_format.pattern if column.time_format else None,
    }
    if column.kind.startswith("timestamp"):
        found["timezone"] = column.kind == "timestamp_utc"
    return {name: value for name, value in found.items() if value is not None}
