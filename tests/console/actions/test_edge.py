"""An edge package of a plant's version: the graph, its digests and the comparison on the test rows of its run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from millrace.artefact.artefact import Artefact, digest, read_archive, write_archive
from millrace.artefact.edge import with_graph
from millrace.artefact.inference import Model
from millrace.artefact.signing import SIGNATURE_FILE
from millrace.aws.objects import put_object, split_uri
from millrace.console.actions.edge import export_version
from millrace.console.actions.simulate import declared_policy, keys_of, write_keys
from millrace.console.environment import Environment
from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.errors import ArtefactError, RunError, WorkloadError
from millrace.features.catalogue import encode
from millrace.names import WorkloadNames
from millrace.release.registry import Candidate, Registry
from millrace.release.signatures import SigningKey, signed_version
from millrace.simulation.simulation import RetrainingPolicy
from millrace.workload.load import load_workload
from tests.console.conftest import make_stores, stage_of
from tests.electricity import HOME
from tests.plant import Plant, plant_model, plant_rows, write_data, write_plant
from tests.signing_key import create_signing_key

NAMES = WorkloadNames(platform=PLATFORM, workload="plant")
BUCKET, RUN = PLATFORM.bucket("artefacts"), "run-1"


@pytest.fixture
def environment(account: None) -> Environment:
    found = stage_of()
    make_stores(found, "artefacts", "lake")
    found.client("sagemaker").create_model_package_group(ModelPackageGroupName=NAMES.package_group)
    create_signing_key(found.client("kms"), PLATFORM)
    return found


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return write_plant(tmp_path / "workloads", "binary")


def register(plant: Plant, artefact: Artefact, root: Path, *, known: str = "") -> None:
    """The version of a run whose rows, configuration and archive are in S3."""
    rows, s3 = plant_rows("binary"), boto3.client("s3")
    schema = write_data(root / "ml" / "data", rows)
    files = {
        NAMES.run_uri(RUN, "config", "schema.json"): schema.read_bytes(),
        NAMES.run_uri(RUN, "config", "labels.json"): json.dumps({"schema": None, "files": []}).encode(),
        NAMES.lake_uri("rows", "a.parquet"): (root / "ml" / "data" / "00000.parquet").read_bytes(),
        NAMES.run_uri(RUN, "manifest.json"): json.dumps([{"prefix": NAMES.lake_uri("")}, "rows/a.parquet"]).encode(),
    }
    for name in ("workload.yaml", "contract.yaml"):
        files[NAMES.run_uri(RUN, "config", name)] = (plant.folder / name).read_bytes()
    archive = root / "model.tar.gz"
    write_archive(archive, artefact)
    url = NAMES.run_uri(RUN, "model", "model.tar.gz")
    for uri, content in (files | {url: archive.read_bytes()}).items():
        bucket, key = split_uri(uri)
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    metadata = {"model_digest": known} if known else {"tag": RUN}
    candidate = Candidate(run=RUN, image="i", model_data_url=url, evaluation_uri="s3://b/e", instances=("ml.m5.large",),
                          metadata=metadata)  # fmt: skip
    signed = signed_version(NAMES, run=RUN, members=read_archive(archive).members, metadata=metadata)
    key = SigningKey(boto3.client("kms"), PLATFORM.signing_key_alias)
    put_object(s3, NAMES.run_uri(RUN, SIGNATURE_FILE), key.sign(signed))
    Registry(boto3.client("sagemaker"), group=NAMES.package_group).register(candidate)


def good(plant: Plant) -> Artefact:
    return plant_model(plant, plant_rows("binary"))


def test_a_package_says_its_digests(environment: Environment, plant: Plant, tmp_path: Path) -> None:
    register(plant, good(plant), tmp_path)
    folder = tmp_path / "edge"
    document = export_version(environment, NAMES, "1", folder)
    assert json.loads((folder / "package.json").read_bytes()) == document
    assert document["digests"] == {
        name: digest((folder / name).read_bytes()) for name in ("model.onnx", "model.json", "answer.pyz")
    }
    described = json.loads((folder / "model.json").read_bytes())
    assert described["digests"]["onnx"] == document["digests"]["model.onnx"]


ALONE = """
import importlib.abc, runpy, sys
from pathlib import Path

class Only(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("boto3", "pyarrow", "pydantic", "millrace.console", "millrace.infra", "torch"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Only())
program = sys.argv[0] = sys.argv[1]
del sys.argv[1]
sys.path.insert(0, program)
runpy.run_path(program, run_name="__main__")
assert sys.modules["millrace"].__file__.startswith(program), "our code comes from the package alone"
"""


def answer_alone(folder: Path, rows: str) -> subprocess.CompletedProcess[str]:
    """What the package's own program answers, with Python, numpy and onnxruntime."""
    words = [sys.executable, "-I", "-c", ALONE, str(folder / "answer.pyz")]
    return subprocess.run(words, input=rows, capture_output=True, text=True, cwd=folder, timeout=60)


def test_a_device_answers_with_the_package_alone(environment: Environment, plant: Plant, tmp_path: Path) -> None:
    artefact = good(plant)
    register(plant, artefact, tmp_path)
    folder = tmp_path / "edge"
    document = export_version(environment, NAMES, "1", folder)
    assert {*document["requires"]} == {"numpy", "onnxruntime"}
    rows = plant_rows("binary").slice(0, 5).select(document["inputs"])
    lines = [json.dumps({"id": number} | row) for number, row in enumerate(rows.to_pylist())]
    lines.insert(3, json.dumps({"id": "bad"} | dict.fromkeys(document["inputs"], "x")))
    done = answer_alone(folder, "\n".join(lines))
    assert not done.returncode, done.stderr
    answered = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["id"] for row in answered] == [0, 1, 2, "bad", 3, 4]
    assert answered.pop(3)["rejected"]["came"] == '"x"'
    made = with_graph(artefact, (folder / "model.onnx").read_bytes())
    outputs = Model(made).outputs(encode(made.description.features, rows))
    for name, expected in made.description.task.answers(outputs).items():
        assert [row[name] for row in answered] == expected.tolist()
    again = export_version(environment, NAMES, "1", tmp_path / "again")
    assert again == document, "the same version is the same bytes"


def test_a_device_is_told_the_line_that_is_no_row_and_the_file_that_was_changed(
    environment: Environment, plant: Plant, tmp_path: Path
) -> None:
    register(plant, good(plant), tmp_path)
    folder = tmp_path / "edge"
    document = export_version(environment, NAMES, "1", folder)
    row = json.dumps(plant_rows("binary").slice(0, 1).select(document["inputs"]).to_pylist()[0])
    done = answer_alone(folder, f"{row}\n" * 1000 + f"{row}\n[1]\n")
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 1000)
    assert "line 2 (counted from line 1001): expected an object, got a list" in done.stderr
    (folder / "model.onnx").write_bytes(b"other")
    changed = answer_alone(folder, row)
    assert (changed.returncode, changed.stdout) == (1, "")
    assert "model.onnx: expected digest" in changed.stderr


def test_a_model_that_is_not_the_registry_s_is_refused(environment: Environment, plant: Plant, tmp_path: Path) -> None:
    register(plant, good(plant), tmp_path, known="d" * 64)
    with pytest.raises(ArtefactError, match="expected the members that were approved"):
        export_version(environment, NAMES, "1", tmp_path / "edge")


def test_a_version_that_was_not_signed_is_not_exported(environment: Environment, plant: Plant, tmp_path: Path) -> None:
    register(plant, good(plant), tmp_path)
    create_signing_key(boto3.client("kms"), PLATFORM)
    with pytest.raises(ArtefactError, match=r"version 1: .* expected a signature by alias/millrace-local-signing"):
        export_version(environment, NAMES, "1", tmp_path / "edge")
    assert not (tmp_path / "edge").exists()


BY_ERROR = RetrainingPolicy(train_days=56, error_bound=0.25, error_windows=2, cool_down_days=28)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(HOME, tmp_path / "electricity", ignore=shutil.ignore_patterns("sample"))
    return tmp_path / "electricity"


@pytest.mark.parametrize(
    "policy", [BY_ERROR, replace(BY_ERROR, error_bound=None, error_windows=1, every_days=28), RetrainingPolicy()]
)
def test_a_written_policy_is_the_declared_one(folder: Path, policy: RetrainingPolicy) -> None:
    path = folder / "workload.yaml"
    for one in (BY_ERROR, policy):
        write_keys(path, keys_of(one, 7))
    found = declared_policy(load_workload(folder))
    assert found
    assert replace(found, error_windows=policy.error_windows) == policy
    if policy.error_bound:
        assert found.error_windows == policy.error_windows


def test_other_lines_and_their_remarks_stay(folder: Path) -> None:
    path = folder / "workload.yaml"
    before = path.read_text().splitlines()
    write_keys(path, keys_of(BY_ERROR, 7))
    after = path.read_text().splitlines()
    gone = [line.split(":")[0].strip() for line in before if line not in after]
    assert gone == ["schedule", "error_windows", "schedule", "cool_down_days"]
    assert "  false_alarm_rate: 0.01" in after


def test_a_value_that_is_refused_changes_nothing(folder: Path) -> None:
    path = folder / "workload.yaml"
    before = path.read_text()
    with pytest.raises(WorkloadError):
        write_keys(path, {("retraining", "cool_down_days"): -1})
    assert path.read_text() == before


def test_a_section_on_one_line_is_refused(folder: Path) -> None:
    path = folder / "workload.yaml"
    path.write_text(path.read_text().replace("budget:\n  monthly_usd: 50", "budget: {monthly_usd: 50}"))
    with pytest.raises(RunError, match="section budget"):
        write_keys(path, {("budget", "monthly_usd"): 9})
