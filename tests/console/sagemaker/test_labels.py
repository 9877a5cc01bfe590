"""Labels of Ground Truth and A2I become rows of the feed `labels`, and such rows a manifest that is read again."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.sagemaker.labels import Columns, from_a2i, from_ground_truth
from millrace.contract.load import load_contract
from millrace.errors import ConfigurationError
from millrace.files.catalogue import read_drop
from millrace.files.parsed import Limits
from millrace.workload.load import workloads_folder

COLUMNS = Columns(key="id", event_time="at", label="label")
PUBLISHED = json.loads(Path(__file__).with_name("published_labels.json").read_text())
"""The examples of the developer guide (Classification Job Output, Output Data From Custom Task Types)."""
SPECIES, MOOD, SEVERAL = (json.dumps(PUBLISHED[name]) for name in ("species", "mood", "several"))
CLASSES = '"class-map": {"1": "bicycle", "0": "person", "8": "clothing"}'
LOOP: dict[str, Any] = PUBLISHED["loop"]


def manifest_of(folder: Path, *lines: str) -> list[str]:
    (folder / "output.manifest").write_text("\n".join(line.replace("\n", " ") for line in lines))
    return [str(folder)]


def test_the_published_manifests_become_labels(tmp_path: Path) -> None:
    assert from_ground_truth(manifest_of(tmp_path, SPECIES, MOOD, SEVERAL), COLUMNS).rows == [
        {"id": "example_image", "at": "2018-10-18T22:18:13.527256Z", "label": "dog"},
        {"id": "The food was delicious", "at": "2020-10-18T22:18:13.527256Z", "label": "positive"},
        {
            "id": "example_image",
            "at": "2020-02-27T21:36:25.000201Z",
            "bicycle": True,
            "person": True,
            "clothing": False,
        },
    ]
    assert from_ground_truth(manifest_of(tmp_path, SPECIES), COLUMNS, takes_index=True).rows[0]["label"] == 0


def test_what_is_no_label_of_a_person_is_left_out_and_said(tmp_path: Path) -> None:
    auto = SPECIES.replace('"yes"', '"no"')
    failed = '{"source": "a", "mood-metadata": {"failure-reason": "ClientError"}}'
    paths = manifest_of(tmp_path, auto, '{"source": "a"}', failed)
    taken = from_ground_truth(paths, COLUMNS)
    assert taken.rows == []
    assert [(key.rpartition(":")[2], why) for key, why in taken.left.items()] == [
        ("1", "labelled by a model"),
        ("2", "no label yet"),
        ("3", "ClientError"),
    ]
    assert len(from_ground_truth(paths, COLUMNS, takes_auto=True).rows) == 1


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (SPECIES.replace('"species": "0"', '"species": {"annotations": []}'), "species"),
        (SPECIES[:-1] + ', "mood": 1, "mood-metadata": {"class-name": "glad"}}', "--attribute"),
        ("[]", "JSON"),
        ('{"source": "a"', "JSON"),
        (SPECIES.replace('"species": "0"', '"species": NaN'), "species"),
        (SPECIES.replace('"creation-date"', '"created"'), "creation-date"),
        *(
            (SEVERAL.replace(CLASSES, f'"class-map": {wrong}'), "image-label-attribute-name, class-map")
            for wrong in ('"person"', '{"one": "person"}', "[1]")
        ),
    ],
)
def test_a_bad_line_of_a_manifest_is_named(tmp_path: Path, line: str, field: str) -> None:
    paths = manifest_of(tmp_path, MOOD, line)
    with pytest.raises(ConfigurationError) as found:
        from_ground_truth(paths, COLUMNS, takes_index=True)
    assert (found.value.where, found.value.field) == (f"{tmp_path}/output.manifest:2", field)


def through(folder: Path, name: str, content: str, *given: str) -> tuple[list[dict[str, Any]], str]:
    """The labels of a file after a manifest was made of them and read again, and what the first command said."""
    (folder / name).write_text(content)
    said = []
    for words in (
        ["manifest", name, *given, "--output", "a.manifest"],
        ["ground-truth", "a.manifest", "--index", "--output", "again.jsonl"],
    ):
        places = [str(folder / word) if word in (name, "a.manifest", "again.jsonl") else word for word in words]
        result = CliRunner().invoke(app, ["sagemaker", *places])
        assert result.exit_code == 0, result.exception
        said.append(result.stdout)
    return [json.loads(line) for line in (folder / "again.jsonl").read_text().splitlines()], said[0]


def test_labels_become_a_manifest_and_labels_again_which_the_feed_takes(tmp_path: Path) -> None:
    """The contract of the shipped workload xray reads what comes out, without a refused row."""
    rows = [
        {"id": "test-17", "at": "2024-01-01T00:00:00Z", "label": 1, "prediction_id": "r-0-17"},
        {"id": "test-18", "at": "2024-01-02T00:00:00Z", "label": 0, "prediction_id": "r-0-18"},
    ]
    content = "".join(f"{json.dumps(row)}\n" for row in rows)
    given = ("--prefix", "s3://b/scans", "--ending", ".png")
    assert through(tmp_path, "labels.jsonl", content, *given)[0] == rows
    line = json.loads((tmp_path / "a.manifest").read_text().splitlines()[0])
    found = (line["source-ref"], line["label"], line["label-metadata"]["class-name"])
    assert found == ("s3://b/scans/test-17.png", 1, "1")
    parts = list(read_drop(tmp_path / "again.jsonl", load_contract(workloads_folder() / "xray").labels, Limits()))
    assert sum(part.rows.num_rows for part in parts) == 2
    assert [row for part in parts for row in part.unparsable] == []


def test_labels_come_back_from_a_manifest_as_they_were_written(tmp_path: Path) -> None:
    """Keys with zeros before them, times without an offset or with parts of a second, and numbers with gaps."""
    rows, said = through(
        tmp_path,
        "labels.csv",
        "id,at,label\n007,2024-01-01 00:00:00,1\n008,2024-01-01 00:00:00.25,10\n009,2024-01-02,\n010,2024-01-03,2\n",
    )
    assert rows == [
        {"id": "007", "at": "2024-01-01 00:00:00", "label": 1},
        {"id": "008", "at": "2024-01-01 00:00:00.25", "label": 10},
        {"id": "010", "at": "2024-01-03", "label": 2},
    ]
    assert said.endswith("3 labels; 1 left out\n")
    lines = [{"id": 7, "at": "2024-01-01T00:00:00.5", "label": 1}, {"id": 8, "at": "2024-01-01T00:00:00Z", "label": 1}]
    assert through(tmp_path, "labels.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))[0] == lines


def loop_of(folder: Path, **changes: Any) -> list[str]:
    path = folder / "2020" / "06" / "human-loop-name"
    path.mkdir(parents=True, exist_ok=True)
    (path / "output.json").write_text(json.dumps(LOOP | changes))
    return [str(folder)]


def answers(*values: Any) -> dict[str, Any]:
    times = [f"2020-06-18T17:0{n}:00Z" for n in range(len(values))]
    return {"humanAnswers": [{"answerContent": v, "submissionTime": at} for v, at in zip(values, times, strict=True)]}


def test_the_published_loop_becomes_a_label(tmp_path: Path) -> None:
    assert from_a2i(loop_of(tmp_path), COLUMNS).rows == [
        {
            "id": "human-loop-name",
            "at": "2020-06-18T17:08:26.246Z",
            "label": "use lambda to turn your notebook",
        }
    ]


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ([{"category": {"label": "yes"}}], "yes"),
        ([{"category": {"labels": ["yes"]}}], "yes"),
        ([{"category": {"yes": False, "no": True}}], "no"),
        ([{"category": 1}, {"category": 2}, {"category": 2}], 2),
    ],
)
def test_the_answer_of_most_workers_counts(tmp_path: Path, said: list[Any], label: Any) -> None:
    assert from_a2i(loop_of(tmp_path, **answers(*said)), COLUMNS).rows[0]["label"] == label


def test_loops_without_one_answer_are_left_out_and_bad_ones_named(tmp_path: Path) -> None:
    taken = from_a2i(loop_of(tmp_path, **answers({"a": 1}, {"a": 2})), COLUMNS)
    assert (taken.rows, list(taken.left.values())) == ([], ["answers that differ"])
    for changes, field in (
        (answers({"a": 1, "b": 2}), "--answer"),
        (answers({"a": [1, 2]}), "answerContent.a"),
        ({"humanAnswers": "none"}, "humanAnswers"),
    ):
        with pytest.raises(ConfigurationError) as found:
            from_a2i(loop_of(tmp_path, **changes), COLUMNS)
        assert found.value.field == field
        assert found.value.where.endswith("output.json")
