"""Labels of Ground Truth and A2I as rows of the feed `labels`, and such rows as a manifest of Ground Truth.

https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html has the manifest,
…/a2i-output-data.html A2I's `output.json`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import RootModel

from millrace.console.sagemaker.captures import contents, documents, parsed
from millrace.contract.schema import PREDICTION_ID
from millrace.errors import ConfigurationError
from millrace.messages.envelope import Message
from millrace.timestamps import format_utc, parse_utc

if TYPE_CHECKING:
    import pyarrow as pa

METADATA = "-metadata"
SOURCE, SOURCE_REF = "source", "source-ref"


class ManifestLine(RootModel[dict[str, Any]]):
    """One object with its labels."""


class HumanAnswer(Message):
    """What one worker said."""

    answerContent: dict[str, Any]
    submissionTime: str


class HumanLoop(Message):
    """A2I's output of one loop."""

    humanAnswers: list[HumanAnswer]
    humanLoopName: str
    inputContent: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of the rows that are made: those of the contract's table of labels."""

    key: str
    event_time: str
    label: str

    @property
    def names(self) -> tuple[str, str, str]:
        return self.key, self.event_time, self.label


@dataclass
class Taken:
    """Rows of labels, and why other lines gave none, by their places."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def from_ground_truth(
    paths: Iterable[str], columns: Columns, *, attribute: str = "", takes_index: bool = False, takes_auto: bool = False
) -> Taken:
    """The labels of output manifests of classification jobs.

    The label is the class's name, or its index; of several classes each is a column. What the line says under the names
    of key, event time and `prediction_id` is kept; else the key is the object's name and the time that of the label.

    Raises ConfigurationError for a line without one label attribute, and for labels that are not classes."""
    taken = Taken()
    for where, line in documents(paths, ManifestLine, ending=".manifest"):
        names = [
            name.removesuffix(METADATA)
            for name, of in line.root.items()
            if name.endswith(METADATA) and isinstance(of, dict)
        ]
        wanted = [attribute] if attribute else names
        if not names or (attribute and attribute not in names):
            taken.left[where] = "no label yet"
            continue
        if len(wanted) != 1:
            raise ConfigurationError(
                where=where, field="--attribute", expected=f"one of {', '.join(names)}", came="none"
            )
        metadata, value = line.root[f"{wanted[0]}{METADATA}"], line.root.get(wanted[0])
        if reason := metadata.get("failure-reason"):
            taken.left[where] = str(reason)
        elif metadata.get("human-annotated") != "yes" and not takes_auto:
            taken.left[where] = "labelled by a model"
        else:
            cells = _classes(where, wanted[0], value, metadata, columns, takes_index=takes_index)
            name = PurePosixPath(str(line.root.get(SOURCE_REF, ""))).stem or line.root.get(SOURCE)
            at = metadata.get("creation-date")
            if at is None and line.root.get(columns.event_time) is None:
                raise ConfigurationError(where=where, field="creation-date", expected="a time", came="none")
            taken.rows.append(_row(line.root, columns, cells, name, at))
    return taken


def _classes(
    where: str, attribute: str, value: Any, metadata: Mapping[str, Any], columns: Columns, *, takes_index: bool
) -> dict[str, Any]:
    if "class-map" in metadata and isinstance(value, list):
        places = metadata["class-map"]
        if not isinstance(places, dict) or not all(index.isdecimal() for index in places):
            expected = 'the name of each class by its number: {"0": "person", …}'
            raise ConfigurationError(where=where, field=f"{attribute}, class-map", expected=expected, came=places)
        return {name: int(index) in value for index, name in places.items()}
    if "class-name" not in metadata or isinstance(value, dict | list):
        came = metadata.get("type", value)
        raise ConfigurationError(where=where, field=attribute, expected="the labels of a classification", came=came)
    if not takes_index:
        return {columns.label: metadata["class-name"]}
    if not str(value).isdecimal():
        raise ConfigurationError(where=where, field=attribute, expected="the number of a class", came=value)
    return {columns.label: int(value)}


def _row(given: Mapping[str, Any], columns: Columns, cells: Mapping[str, Any], name: Any, at: Any) -> dict[str, Any]:
    named = {PREDICTION_ID: given[PREDICTION_ID]} if PREDICTION_ID in given else {}
    moment = str(given.get(columns.event_time, at))
    # Ground Truth writes UTC without saying so.
    is_bare = columns.event_time not in given and not moment.endswith("Z")
    return {
        columns.key: given.get(columns.key, name),
        columns.event_time: f"{moment}Z" if is_bare else moment,
        **cells,
        **named,
    }


def from_a2i(paths: Iterable[str], columns: Columns, *, answer: str = "") -> Taken:
    """The answer of most workers of each human loop; none where as many said another.

    `answer` names the field of `answerContent`, if there are several. Raises ConfigurationError for a field that there
    is not, and for an answer that is not one value."""
    taken = Taken()
    for where, content in contents(paths, ending="output.json"):
        loop = parsed(where, content, HumanLoop)
        said = [_answer(where, one.answerContent, answer) for one in loop.humanAnswers]
        ranked = Counter(map(json.dumps, said)).most_common(2)
        if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
            taken.left[where] = "answers that differ" if ranked else "no answer"
            continue
        cells = {columns.label: json.loads(ranked[0][0])}
        last = max(one.submissionTime for one in loop.humanAnswers)
        taken.rows.append(_row(loop.inputContent, columns, cells, loop.humanLoopName, last))
    return taken


def _answer(where: str, content: Mapping[str, Any], wanted: str) -> Any:
    if not wanted and len(content) != 1:
        raise ConfigurationError(where=where, field="--answer", expected=f"one of {', '.join(content)}", came="none")
    name = wanted or next(iter(content))
    if name not in content:
        raise ConfigurationError(where=where, field="--answer", expected=f"one of {', '.join(content)}", came=name)
    value = content[name]
    if isinstance(value, dict):
        # <crowd-classifier> has {"label": …}; buttons and boxes have a boolean for each choice.
        chosen = (
            [value["label"]]
            if "label" in value
            else value.get("labels") or [key for key, on in value.items() if on is True]
        )
        value = chosen[0] if len(chosen) == 1 else chosen
    if isinstance(value, dict | list):
        raise ConfigurationError(where=where, field=f"answerContent.{name}", expected="one value", came=value)
    return value


def manifest(rows: pa.Table, columns: Columns, *, attribute: str, prefix: str, ending: str) -> Iterator[str]:
    """A manifest as a classification job leaves it: `source-ref` under a prefix in S3, else `source`.

    Labels that are whole numbers from 0 on are the numbers of their classes; others are numbered in their order. A row
    without a key, time or label gives no line. Raises ConfigurationError for a column that the rows do not have."""
    for name in columns.names:
        if name not in rows.column_names:
            raise ConfigurationError(where="labels", field=name, expected=", ".join(rows.column_names), came="none")
    whole = [row for row in rows.to_pylist() if all(row[name] is not None for name in columns.names)]
    values = {str(row[columns.label]) for row in whole}
    is_numbered = all(one.isdecimal() and str(int(one)) == one for one in values)
    number = {one: int(one) if is_numbered else place for place, one in enumerate(sorted(values))}
    for row in whole:
        key, at, value = row[columns.key], row[columns.event_time], str(row[columns.label])
        # The time stays as it is written: a contract takes it with an offset, or without, and a label is found by it.
        moment = at if isinstance(at, str) else at.isoformat().replace("+00:00", "Z")
        job = "image" if prefix else "text"
        metadata = {
            "class-name": value,
            "confidence": 0.0,
            "type": f"groundtruth/{job}-classification",
            "job-name": f"labeling-job/{attribute}",
            "human-annotated": "yes",
            "creation-date": format_utc(parse_utc(moment)).removesuffix("Z"),
        }
        source = {SOURCE_REF: f"{prefix.rstrip('/')}/{key}{ending}"} if prefix else {SOURCE: str(key)}
        rest = {columns.key: key, columns.event_time: moment}
        if row.get(PREDICTION_ID) is not None:
            rest[PREDICTION_ID] = row[PREDICTION_ID]
        yield json.dumps(source | {attribute: number[value], f"{attribute}{METADATA}": metadata} | rest)
