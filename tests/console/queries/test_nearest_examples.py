"""The training rows nearest to a decision's input: where the contract lets people see them, and what it protects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pytest
import yaml
from moto import mock_aws
from typer.testing import CliRunner

from console.cli.app import app
from console.environment import Environment
from console.local_cloud.local_cloud import PLATFORM
from console.pages.page import page
from console.queries import nearest_examples as queried
from console.queries.nearest_examples import NearestExamples, _may_be_shown, also_in, nearest_examples
from console.queries.report import read_report
from millrace.artefact.artefact import write_archive
from millrace.aws.objects import put_object, split_uri
from millrace.contract.load import load_contract
from millrace.datasets import iceberg
from millrace.datasets.commits import commit
from millrace.datasets.new_rows import Source
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pin
from millrace.datasets.withdrawal import by_key, withdraw
from millrace.decisions.record import Decision, canonical, to_line
from millrace.decisions.store import prefix
from millrace.errors import EnvironmentNotFoundError, WorkloadError
from millrace.features.history import History
from millrace.features.parts import written
from millrace.names import MACHINES, WorkloadNames
from millrace.release.registry import Candidate, Registry
from tests.credentials import set_credentials
from tests.plant import plant_model, plant_rows, write_plant
from tests.state_table import create_table

NAMES = WorkloadNames(platform=PLATFORM, workload="plant")
RUN, ID = "run-1", "decision-0"
ROWS = plant_rows("binary")
AT = 100
"""The place of the row whose input the decision repeats, in the training part."""
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    plant = write_plant(tmp_path / "workloads", "binary")
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(plant.folder.parent))
    change(plant.folder, lambda rows: rows.update(customProperties=[{"property": "nearestExample", "value": True}]))
    return plant.folder


@pytest.fixture
def lake(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """The rows of a plant, pinned by the run of version 1, and a decision of that version."""
    set_credentials(monkeypatch)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    iceberg._client.cache_clear()
    with mock_aws():
        s3 = boto3.client("s3")
        for purpose in ("lake", "artefacts"):
            where = {"LocationConstraint": "eu-west-1"}
            s3.create_bucket(Bucket=PLATFORM.bucket(purpose), CreateBucketConfiguration=where)
        boto3.client("glue").create_database(DatabaseInput={"Name": PLATFORM.database})
        lake = Lake(NAMES, load_contract(folder))
        lines = ROWS.append_column("_line", pa.array(np.arange(ROWS.num_rows)))
        commit(lake, "rows", lines, Source(uri="s3://landing/a", key="a", digest="a", written_by="a"))
        register(folder, lake)
        decide()
        yield lake
    iceberg._client.cache_clear()


def decide(**more: Any) -> None:
    """The decision is about the row at AT, and what is given beside it."""
    [row] = ROWS.slice(AT, 1).select(["load", "kind", "open"]).to_pylist()
    decided = Decision(
        id=ID,
        workload="plant",
        event_time=datetime(2026, 4, 1, tzinfo=UTC),
        key={"site": "a"},
        input=canonical(row | more),
        output={"value": 1, "probability": 0.75},
        model_version="1",
        phase="live",
        fallback=False,
        latency_ms=1.0,
        inferred_at=datetime(2026, 4, 1, tzinfo=UTC),
    )
    key = f"{prefix('plant', decided.event_time.date())}a.jsonl"
    boto3.client("s3").put_object(Bucket=PLATFORM.bucket("lake"), Key=key, Body=f"{to_line(decided)}\n".encode())


def register(folder: Path, lake: Lake) -> None:
    s3, found = boto3.client("s3"), pin(lake, RUN)
    put_object(s3, NAMES.run_uri(RUN, "manifest.json"), found.manifest.encode())
    put_object(s3, NAMES.run_uri(RUN, "config", "schema.json"), found.schema.encode())
    for name in ("workload.yaml", "contract.yaml"):
        put_object(s3, NAMES.run_uri(RUN, "config", name), (folder / name).read_bytes())
    archive = folder.parent.parent / "model.tar.gz"
    write_archive(archive, plant_model(write_plant(folder.parent.parent / "as_it_was", "binary"), ROWS))
    url = NAMES.run_uri(RUN, "model", "model.tar.gz")
    put_object(s3, url, archive.read_bytes())
    boto3.client("sagemaker").create_model_package_group(ModelPackageGroupName=NAMES.package_group)
    candidate = Candidate(
        run=RUN,
        image="i",
        model_data_url=url,
        evaluation_uri="s3://b/e",
        instances=("ml.m5.large",),
        metadata={"run": RUN},
    )
    Registry(boto3.client("sagemaker"), group=NAMES.package_group).register(candidate)


def change(folder: Path, how: Change) -> None:
    """Of the object `rows` in the contract of the folder."""
    path = folder / "contract.yaml"
    document = yaml.safe_load(path.read_text())
    how(document["schema"][0])
    path.write_text(yaml.safe_dump(document))


def protect(name: str) -> Change:
    def how(rows: dict[str, Any]) -> None:
        [column] = [one for one in rows["properties"] if one["name"] == name]
        column["customProperties"] = [{"property": "role", "value": "protected"}]

    return how


@pytest.fixture
def environment(lake: Lake) -> Environment:
    return Environment(platform=PLATFORM, client=boto3.client)


def test_the_row_itself_is_the_nearest_with_its_key_and_its_label(environment: Environment) -> None:
    found = nearest_examples(environment, NAMES, ID)
    [row] = ROWS.slice(AT, 1).to_pylist()
    first, *others = found.examples
    assert (first.distance, first.label) == (0, row["truth"])
    assert first.row == {name: row[name] for name in ("site", "load", "kind", "open")} | {"at": row["at"].isoformat()}
    assert first.apart == {"load": 0, "kind": 0, "open": 0}
    assert 0 < others[0].distance <= others[1].distance < 0.01
    assert {one.row["kind"] for one in others} == {row["kind"]}
    assert found.weights == pytest.approx({"load": 1 / 3, "kind": 1 / 3, "open": 1 / 3})
    assert 1000 < found.compared < ROWS.num_rows, "the training part alone"
    assert (found.version, found.hidden, found.row["at"]) == ("1", (), None)


def test_without_the_owner_s_word_no_row_is_read(
    environment: Environment, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(folder, lambda rows: rows.pop("customProperties"))
    nobody = Environment(platform=PLATFORM, client=lambda name: pytest.fail(name))
    with pytest.raises(
        WorkloadError, match=r"plant/contract.yaml: schema: expected the custom property nearestExample: tr"
    ):
        nearest_examples(nobody, NAMES, ID)


def test_what_the_contract_protects_is_neither_compared_nor_shown(environment: Environment, folder: Path) -> None:
    for name in ("load", "site"):
        change(folder, protect(name))
    found = nearest_examples(environment, NAMES, ID)
    assert found.hidden == ("load",)
    assert [one.distance for one in found.examples] == [0, 0, 0], "many rows have the same kind and are open too"
    said = json.dumps([found.row, *[(one.row, one.apart) for one in found.examples]])
    assert "load" not in said
    assert "site" not in said
    for name in ("kind", "open"):
        change(folder, protect(name))
    with pytest.raises(EnvironmentNotFoundError, match="expected a feature that the contract does not protect"):
        nearest_examples(environment, NAMES, ID)


def test_a_row_that_was_withdrawn_is_shown_no_more(environment: Environment, lake: Lake) -> None:
    before = nearest_examples(environment, NAMES, ID)
    key = {name: before.examples[0].row[name] for name in ("at", "site")}
    assert withdraw(lake, "rows", by_key(lake, key), cause="w") == 1
    after = nearest_examples(environment, NAMES, ID)
    assert after.compared == before.compared - 1
    assert [one.row for one in after.examples[:2]] == [one.row for one in before.examples[1:]]


def test_a_row_that_came_back_corrected_is_not_shown_as_it_was(environment: Environment, lake: Lake) -> None:
    before = nearest_examples(environment, NAMES, ID)
    key = {name: before.examples[0].row[name] for name in ("at", "site")}
    [other] = set(ROWS["truth"].to_pylist()) - {before.examples[0].label}
    for name, cell in (("load", 666.0), ("truth", other)):
        withdraw(lake, "rows", by_key(lake, key), cause=f"withdrawal of {name}")
        corrected = ROWS.slice(AT, 1)
        place = corrected.schema.get_field_index(name)
        corrected = corrected.set_column(place, name, pa.array([cell], corrected.schema.field(name).type))
        source = Source(uri=f"s3://landing/{name}", key=name, digest=name, written_by=name)
        commit(lake, "rows", corrected.append_column("_line", pa.array([0])), source)
        after = nearest_examples(environment, NAMES, ID)
        assert after.compared == before.compared - 1, name
        assert [one.row for one in after.examples[:2]] == [one.row for one in before.examples[1:]], name


def test_a_protected_column_that_a_feature_reads_is_hidden_though_the_key_has_it(
    environment: Environment, folder: Path
) -> None:
    declared = yaml.safe_load((folder / "workload.yaml").read_text())
    declared["prediction"]["key"] = ["at", "site", "kind"]
    (folder / "workload.yaml").write_text(yaml.safe_dump(declared))
    change(folder, protect("kind"))
    found = nearest_examples(environment, NAMES, ID)
    assert found.hidden == ("kind",)
    assert "kind" not in {*found.weights, *found.row, *found.examples[0].apart, *found.examples[0].row}


def test_a_history_is_shown_though_the_entity_that_it_is_found_by_is_protected(folder: Path) -> None:
    past = History(name="past", history=("load",), entity=("site",), event_time="at", steps=2, every_hours=1.0)
    change(folder, protect("site"))
    assert _may_be_shown(past, load_contract(folder))
    change(folder, protect("load"))
    assert not _may_be_shown(past, load_contract(folder))


@pytest.fixture
def looking(environment: Environment, lake: Lake, folder: Path) -> Environment:
    """The run's label lies two hours ahead, and its model reads the last three hours of the site."""
    s3 = boto3.client("s3")
    uri = NAMES.run_uri(RUN, "config", "workload.yaml")
    declared = yaml.safe_load((folder / "workload.yaml").read_text())
    declared["prediction"]["label"] = {"column": "truth", "horizon_hours": 2}
    put_object(s3, uri, yaml.safe_dump(declared).encode())
    features: list[Any] = ["load", "kind", "open", {"name": "past", "history": ["extra"], "hours": 3}]
    archive = folder.parent.parent / "looking.tar.gz"
    write_archive(archive, plant_model(write_plant(folder.parent.parent / "looking", "binary", features), ROWS))
    put_object(s3, NAMES.run_uri(RUN, "model", "model.tar.gz"), archive.read_bytes())
    decide(past=ROWS["extra"].to_pylist()[AT - 4 : AT + 1 : 2])
    return environment


@pytest.mark.parametrize(("hours", "gone"), [(2, {0, 2, 3, 4}), (-2, {-4, -2, -1, 0}), (5, {3, 5, 6, 7})])
def test_a_row_is_not_shown_whose_label_or_past_shows_one_that_was_withdrawn(
    looking: Environment, lake: Lake, hours: int, gone: set[int]
) -> None:
    """A withdrawn row is also the label of the row two hours before it, and in the past of the two that follow it."""
    before = nearest_examples(looking, NAMES, ID)
    assert before.examples[0].label == ROWS["truth"][AT + 4].as_py()
    assert before.examples[0].row["past"] == pytest.approx(ROWS["extra"].to_pylist()[AT - 4 : AT + 1 : 2])
    [row] = ROWS.slice(AT + 2 * hours, 1).to_pylist()
    withdraw(lake, "rows", by_key(lake, {"at": row["at"].isoformat(), "site": row["site"]}), cause="w")
    after = nearest_examples(looking, NAMES, ID)
    assert after.compared == before.compared - len(gone)
    assert (after.examples[0].distance > 0) == (0 in gone)


def test_a_row_whose_label_was_corrected_since_is_not_shown_with_the_former_one(
    looking: Environment, lake: Lake
) -> None:
    before = nearest_examples(looking, NAMES, ID)
    later = ROWS.slice(AT + 4, 1)
    withdraw(lake, "rows", by_key(lake, {"at": later["at"][0].as_py().isoformat(), "site": "a"}), cause="w")
    [other] = set(ROWS["truth"].to_pylist()) - {later["truth"][0].as_py()}
    place = later.schema.get_field_index("truth")
    later = later.set_column(place, "truth", pa.array([other], later.schema.field("truth").type))
    source = Source(uri="s3://landing/b", key="b", digest="b", written_by="b")
    commit(lake, "rows", later.append_column("_line", pa.array([0])), source)
    after = nearest_examples(looking, NAMES, ID)
    assert after.compared == before.compared - 4
    assert after.examples[0].distance > 0


@pytest.fixture
def deployed(environment: Environment) -> Environment:
    """With what a report reads besides."""
    for table in (PLATFORM.state_table, PLATFORM.audit_table):
        create_table(environment.client("dynamodb"), table)
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}})
    role = f"arn:aws:iam::{PLATFORM.account}:role/x"
    for machine in MACHINES:
        given = {"name": NAMES.machine(machine), "definition": definition, "roleArn": role}
        environment.client("stepfunctions").create_state_machine(**given)
    return environment


def shown_in_report(environment: Environment) -> NearestExamples | None:
    found = read_report(environment, NAMES, question="?")
    html = page(found)
    assert ("the training rows that are most like it" in html) is (found.nearest is not None)
    return found.nearest


def test_the_report_shows_those_of_the_newest_decision(deployed: Environment, folder: Path) -> None:
    change(folder, protect("open"))
    assert shown_in_report(deployed) == nearest_examples(deployed, NAMES, ID)
    html = page(read_report(deployed, NAMES, question="?"))
    assert "Not compared and not shown, as the contract protects them: open." in html
    load = ROWS["load"][AT].as_py()
    assert html.count(f"<td>{written(load)}</td>") == 2, "the decision and the nearest row"


def test_the_report_shows_none_without_the_owner_s_word(deployed: Environment, folder: Path) -> None:
    change(folder, lambda rows: rows.pop("customProperties"))
    assert shown_in_report(deployed) is None


@pytest.mark.parametrize("gone", ["model.tar.gz", "manifest.json", "every feature", "size", "decision"])
def test_the_report_is_whole_without_them(
    gone: str, deployed: Environment, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = deployed.client("s3")
    if gone == "every feature":
        for name in ("load", "kind", "open"):
            change(folder, protect(name))
    elif gone == "size":
        monkeypatch.setattr(queried, "MOST_BYTES", 100)
    else:
        part = ("model", gone) if gone == "model.tar.gz" else (gone,)
        uri = NAMES.run_uri(RUN, *part)
        if gone == "decision":
            uri = NAMES.lake_uri("decisions", "date=2026-04-01/a.jsonl")
        bucket, key = split_uri(uri)
        assert s3.head_object(Bucket=bucket, Key=key)
        s3.delete_object(Bucket=bucket, Key=key)
    assert shown_in_report(deployed) is None


def test_the_command_prints_a_line_for_each_column(
    deployed: Environment, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(folder, protect("open"))
    monkeypatch.setattr("console.environment.find_environment", lambda *_: deployed)
    words = ["why", ID, "--nearest", "--workload", "plant"]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "160"})
    assert done.exit_code == 0, done
    head, distance, *_ = done.stdout.splitlines()
    assert head.split("  ")[0] == "what"
    assert distance.split()[:2] == ["distance", "0.000"]
    assert "weights: load 50%, kind 50%" in done.stdout
    assert done.stdout.rstrip().endswith("Not compared and not shown, as the contract protects them: open")
    as_json = CliRunner().invoke(app, [*words, "--json"])
    assert json.loads(as_json.stdout)["examples"][0]["distance"] == 0
    both = CliRunner().invoke(app, [*words, "--explain"])
    assert both.exit_code == 2
    assert "got 2" in both.output


def test_rows_are_found_in_files_of_another_width_and_of_fewer_columns() -> None:
    own = pa.table({"k": pa.array([1, 2, 3], pa.int32()), "x": pa.array([0.5, None, 1], pa.float32()), "y": [None] * 3})
    now = [pa.table({"k": [2, 1], "x": [None, 0.5]}), pa.table({"k": [3], "x": [1.0], "y": ["b"]})]
    assert also_in(own, now, key=("k",), columns=("k", "x", "y"))["k"].to_pylist() == [1, 2]
    assert also_in(own, [], key=("k",), columns=("k", "x", "y")).num_rows == 0


def test_lists_are_compared_number_by_number() -> None:
    def rows(*pasts: list[float | None] | None) -> pa.Table:
        return pa.table({"k": list(range(len(pasts))), "past": pa.array(pasts, pa.list_(pa.float32(), 2))})

    own = rows([1, 2], [1, 2], [None, 2], [None, 2], None, [1, 2], [float("nan"), 2])
    now = rows([1, 2], [1, 3], [None, 2], [1, 2], None, None, [None, 2])
    assert also_in(own, [now.take(list(reversed(range(7))))], key=("k",), columns=("k", "past"))["k"].to_pylist() == [
        0, 2, 4, 6,
    ]  # fmt: skip
    assert also_in(own, [now.slice(7)], key=("k",), columns=("k", "past")).num_rows == 0
