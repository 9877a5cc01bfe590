"""Captured calls are read as AWS writes them, and judged: quiet months do not alarm, a change does, by its columns."""

import base64
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from millrace.console.sagemaker.captures import ANSWER, read
from millrace.console.sagemaker.verdict import Verdict, errors, judge_captures, read_rows
from millrace.errors import ConfigurationError
from tests.console.sagemaker.conftest import INPUTS, Stream, capture, captures_of, csv_of, ground_truth

PUBLISHED = (
    '{"captureData":{"endpointInput":{"observedContentType":"text/csv","mode":"INPUT",'
    '"data":"69,0,153.7,109,194.0,105,256.1,114,14.1,6,1,0\\n","encoding":"CSV"},'
    '"endpointOutput":{"observedContentType":"text/csv; charset=utf-8","mode":"OUTPUT",'
    '"data":"0.0254181120544672","encoding":"CSV"}},"eventMetadata":{"eventId":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",'
    '"inferenceTime":"2022-02-14T17:25:49Z"},"eventVersion":"0"}\n'
)
"""The example of the developer guide (Inspect captured data), with the first cells of its row."""
QUIET_DAY = datetime.fromisoformat("1996-06-01")
QUIET, CHANGED = ("1996-06-01", "1997-05-01"), ("1996-06-01", "1997-05-25")
"""Three columns come alive on 2 May 1997."""
ALIVE = {"vicprice", "vicdemand", "transfer"}


def write(path: Path, lines: Any) -> str:
    path.write_text("\n".join(lines))
    return str(path)


def test_the_published_capture_is_read(tmp_path: Path) -> None:
    captured = read([write(tmp_path / "a.jsonl", [PUBLISHED])])
    assert captured.table.to_pylist() == [
        {f"_c{n}": cell for n, cell in enumerate([69, 0, 153.7, 109, 194, 105, 256.1, 114, 14.1, 6, 1, 0])}
        | {ANSWER: 0.0254181120544672}
    ]
    assert [f"{at:%FT%TZ}" for at in captured.times] == ["2022-02-14T17:25:49Z"]


@pytest.mark.parametrize(
    ("data", "answer", "encoding", "rows"),
    [
        ("1,a\n2,b\n", "0.1\n0.2", "CSV", [(1, "a", 0.1), (2, "b", 0.2)]),
        ("1,a\n2,b\n", "0.1,0.2", "CSV", [(1, "a", 0.1), (2, "b", 0.2)]),
        ('{"x": 1, "y": "a"}', '{"score": 0.1}', "JSON", [(1, "a", 0.1)]),
        ('{"instances": [{"features": [1, "a"]}]}', '{"predictions": [{"score": 0.1}]}', "JSON", [(1, "a", 0.1)]),
        ('{"x": 1, "y": "a"}\n{"x": 2, "y": null}', "[[0.1], [0.2]]", "JSON", [(1, "a", 0.1), (2, None, 0.2)]),
        (base64.b64encode(b"1,a").decode(), "0.1", "BASE64", [(1, "a", 0.1)]),
    ],
)
def test_bodies_of_every_encoding(tmp_path: Path, data: str, answer: str, encoding: str, rows: list[Any]) -> None:
    line = json.loads(capture(0, QUIET_DAY, data, answer, encoding))
    line["captureData"]["endpointOutput"]["encoding"] = "JSON" if encoding == "JSON" else "CSV"
    captured = read([write(tmp_path / "a.jsonl", [json.dumps(line)])], columns=("x", "y"))
    assert [tuple(row.values()) for row in captured.table.to_pylist()] == rows


@pytest.mark.parametrize(
    ("line", "field", "came"),
    [
        ("{", "JSON", "{"),
        ('{"captureData": {}, "eventMetadata": {}}', "captureData.endpointInput", "none"),
        (PUBLISHED.replace('"encoding":"CSV"},"endpointO', '"encoding":"XML"},"endpointO'), "captureData", "XML"),
        (PUBLISHED.replace("2022-02-14T17:25:49Z", "Monday"), "eventMetadata.inferenceTime", "Monday"),
        (PUBLISHED.replace("69,0,", "69,0,\\n"), "endpointOutput.data", 1),
        (PUBLISHED.replace('"CSV"},"endpointO', '"JSON"},"endpointO'), "data", "69,0"),
        (PUBLISHED.replace('"CSV"},"endpointO', '"BASE64"},"endpointO'), "data", "69,0"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, field: str, came: Any) -> None:
    path = write(tmp_path / "a.jsonl", [PUBLISHED, line])
    with pytest.raises(ConfigurationError) as found:
        read([path])
    assert found.value.where == f"{path}:3"
    assert found.value.field.startswith(field)
    assert str(found.value.came).startswith(str(came))


def test_a_label_that_has_not_come_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    """As a class it made classes of all: a probability is none of them, so each answer counted as wrong."""
    path = write(tmp_path / "a.jsonl", [capture(n, QUIET_DAY, "1,2", "0.9") for n in range(5)])
    truth = [ground_truth(n, label) for n, label in enumerate(("1", "nan", " ", "0"))]
    truth.append(ground_truth(4, "").replace('"data": ""', '"data": "null"').replace("CSV", "JSON"))
    captured = read([path], labels=[write(tmp_path / "labels.jsonl", truth)])
    assert captured.labels == ["1", None, None, "0", None]
    assert errors(captured, 0.5)[[0, 3]].tolist() == [0, 1]


def verdict_of(tmp_path: Path, rows: list[dict[str, Any]], trained: Path | None = None, **options: Any) -> Verdict:
    path = write(tmp_path / "captures.jsonl", captures_of(rows))
    reference = read_rows(str(trained), label="class", time=options.pop("time", "")) if trained else None
    captured = read([path], columns=INPUTS, kinds=reference.kinds if reference else {})
    return judge_captures(captured, reference=reference.reference(captured) if reference else None, **options)


def drifted(verdict: Verdict) -> list[bool]:
    return [bool(window.drifted) for window in verdict.windows]


def test_captures_alone_tell_when_they_changed(tmp_path: Path, stream: Stream) -> None:
    assert not any(drifted(verdict_of(tmp_path, stream(*QUIET))))
    verdict = verdict_of(tmp_path, stream(*CHANGED))
    assert set(verdict.drifted) == ALIVE
    assert drifted(verdict) == [False] * 16 + [True] * 4
    assert f"{verdict.windows[16].start:%F}" == "1997-05-02"


@pytest.mark.parametrize("time", ["timestamp", ""])
def test_training_rows_are_a_baseline_in_any_order(tmp_path: Path, stream: Stream, time: str) -> None:
    """Without an order of time the captures say how windows vary; bounds of shuffled rows would alarm in each."""
    trained = tmp_path / "train.csv"
    trained.write_text(csv_of(stream("1996-05-07", "1996-12-01"), ("class", *INPUTS, "timestamp")))
    assert not any(drifted(verdict_of(tmp_path, stream(*QUIET), trained, time=time)))
    verdict = verdict_of(tmp_path, stream(*CHANGED), trained, time=time)
    assert set(verdict.drifted) == ALIVE
    assert not any(drifted(verdict)[:-6])
    assert all(drifted(verdict)[-4:])


def test_an_error_that_grew_is_seen_with_labels(tmp_path: Path, stream: Stream) -> None:
    """Of every tenth answer wrong, to every third from 1 March on; the inputs do not change."""
    rows = stream(*QUIET)
    turn = next(n for n, row in enumerate(rows) if f"{row['timestamp']:%F}" >= "1997-03-01")

    def answer(number: int) -> str:
        is_wrong = number % (10 if number < turn else 3) == 0
        return "0.9" if bool(rows[number]["class"]) != is_wrong else "0.2"

    path = write(tmp_path / "captures.jsonl", captures_of(rows, answer))
    truth = write(tmp_path / "truth.jsonl.gt", (ground_truth(n, row["class"]) for n, row in enumerate(rows)))
    captured = read([path], columns=INPUTS, labels=[truth])
    assert captured.labels[:2] == [str(rows[0]["class"]), str(rows[1]["class"])]
    verdict = judge_captures(captured)
    worse = [window.has_worse_error for window in verdict.windows]
    first = next(n for n, window in enumerate(verdict.windows) if f"{window.start:%F}" >= "1997-03-01")
    assert not any(worse[: first - 1])
    assert all(worse[first:])
    assert verdict.doubts == ()
