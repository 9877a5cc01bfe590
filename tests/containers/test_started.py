"""Each image started from what its Dockerfile copies, alone: real rows go in, and what comes out goes into the next.

Controls: with any one line of COPY left out, the entry point fails."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcloud.sagemaker.containers import REPOSITORY, Image, Images, without_network
from millrace.artefact.artefact import read_archive, read_folder, write_archive
from millrace.artefact.external import ExternalModel
from millrace.decisions.record import Decision, canonical, to_line
from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.evaluation.sample import sample_digest
from millrace.names import IMAGES
from tests import builders
from tests.external_models import contents_of, logistic, write
from tests.jobs.conftest import elec2, training_root, write_elec2

UNTIL = datetime(1996, 9, 1)  # noqa: DTZ001 - the sample's times are UTC without saying so
QUICK = {"epochs": 2, "hidden": [8]}
"""A small network for two epochs: what it is asked is to start and to end, not to be right."""

EXTERNAL = ExternalModel(contents=contents_of(logistic()))
"""The external model that its job makes an archive of."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the jobs left, in the order in which a workload meets them."""

    training: Path
    external: Path
    evaluation: Path
    drift: Path
    preflight: Path


def image_of(name: str, workspace: Path, *, repository: Path = REPOSITORY) -> Image:
    return Images(workspace=workspace, repository=repository).find(f"example/millrace-dev-{name}")


def start(image: Image, root: Path, *arguments: str, module: str | None = None) -> subprocess.Popen[str]:
    """The container as a process: without network, credentials and anything that the image does not hold."""
    entrypoint = ("python", "-m", module) if module else ()
    return subprocess.Popen(
        [*without_network(), *image.arguments(entrypoint=entrypoint, command=arguments)],
        cwd=image.cwd,
        env=image.variables(root, {"MILLRACE_EXTERNAL_DIGEST": EXTERNAL.digest} | served_by(root, module)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def served_by(root: Path, module: str | None) -> dict[str, str]:
    """What the release machine and the platform give to a preflight."""
    if module != "millrace.jobs.preflight":
        return {}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return {
        "MILLRACE_MODEL_VERSION": "1",
        "MILLRACE_MODEL_DIGEST": read_archive(root / "processing" / "model" / "model.tar.gz").digest,
        "MILLRACE_SAMPLE_DIGEST": sample_digest((root / "processing" / "sample" / SAMPLE_FILE).read_bytes()),
        "MILLRACE_INSTANCE": "ml.m5.large",
        "MILLRACE_MEMORY_MB": "8192",
        "MILLRACE_BIND": "127.0.0.1",
        "MILLRACE_WORKERS": "1",
        **({} if without_network() else {"SAGEMAKER_BIND_TO_PORT": str(port)}),
    }


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def snapshot_into(folder: Path) -> Any:
    snapshot = write_elec2(folder, UNTIL)
    path = snapshot.config / "workload.yaml"
    workload = yaml.safe_load(path.read_text())
    workload["training"] |= {"walk_forward_steps": 0}
    workload["training"]["parameters"] |= QUICK
    path.write_text(yaml.safe_dump(workload))
    return snapshot


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image]:
    workspace = tmp_path_factory.mktemp("images")
    return {name: image_of(name, workspace) for name in IMAGES}


@pytest.fixture(scope="module")
def run(images: dict[str, Image], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A training, the evaluation of its model, a drift job against the baseline of that, and a preflight."""
    folder = tmp_path_factory.mktemp("run")
    snapshot = snapshot_into(folder / "snapshot")
    training = training_root(folder / "training", snapshot)
    code, output = ended(start(images["training"], training, "train"))
    assert code == 0, output
    given = {"data": snapshot.data, "config": snapshot.config}
    evaluation = processing_root(folder / "evaluation", given)
    (model := evaluation / "processing" / "model").mkdir(parents=True)
    write_archive(model / "model.tar.gz", read_folder(training / "model"))
    code, output = ended(start(images["processing"], evaluation, module="millrace.jobs.evaluation"))
    assert code == 0, output
    external = processing_root(folder / "external", given)
    write(external / "processing" / "external_model", logistic())
    code, output = ended(start(images["processing"], external, module="millrace.jobs.external_model"))
    assert code == 0, output
    drift = drift_root(folder / "drift", snapshot, evaluation / "processing" / "baseline")
    code, output = ended(start(images["processing"], drift, module="millrace.jobs.monitoring"))
    assert code == 0, output
    given = {"model": evaluation / "processing" / "model", "sample": evaluation / "processing" / "evaluation"}
    preflight = processing_root(folder / "preflight", given)
    code, output = ended(start(images["inference"], preflight, module="millrace.jobs.preflight"))
    assert code == 0, output
    return Run(training=training, external=external, evaluation=evaluation, drift=drift, preflight=preflight)


def processing_root(root: Path, given: dict[str, Path]) -> Path:
    (root / "processing").mkdir(parents=True)
    for name, folder in given.items():
        (root / "processing" / name).symlink_to(folder)
    return root


def drift_root(root: Path, snapshot: Any, baseline: Path) -> Path:
    """One quiet week of decisions, that of the last rows."""
    config, decisions = root.parent / "asked", root.parent / "decisions"
    for folder in (config, decisions):
        folder.mkdir(parents=True)
    begin = (UNTIL - timedelta(days=7)).replace(tzinfo=UTC)
    window = {"start": begin.isoformat(), "end": UNTIL.replace(tzinfo=UTC).isoformat()}
    asked = {
        "workload": "electricity",
        "as_of": window["end"],
        "model_version": "1",
        "windows": [window | {"judge_input": True, "judge_error": False}],
    }
    (config / "request.json").write_text(json.dumps(asked))
    for name in ("workload.yaml", "contract.yaml"):
        (config / name).write_bytes((snapshot.config / name).read_bytes())
    rows = [row for row in elec2(UNTIL).to_pylist() if row["timestamp"].replace(tzinfo=UTC) >= begin]
    (decisions / "x.jsonl").write_text("".join(f"{to_line(decision(row))}\n" for row in rows))
    return processing_root(root, {"config": config, "decisions": decisions, "baseline": baseline})


def decision(row: dict[str, Any]) -> Decision:
    at = row["timestamp"].replace(tzinfo=UTC)
    cells = {name: value for name, value in row.items() if name not in {"class", "_source"}}
    return builders.decision(
        id=at.isoformat(),
        event_time=at,
        key={"timestamp": at.isoformat()},
        input=canonical(cells | {"timestamp": row["timestamp"].isoformat()}),
        output={"value": 1, "probability": 0.5, "confidence": 0.5},
    )


def test_the_processing_image_judges_drift(run: Run) -> None:
    report = json.loads((run.drift / "processing" / "report" / "report.json").read_text())
    assert [window["input"]["rows"] for window in report["windows"]] == [7 * 48]


def test_the_inference_image_preflights(run: Run) -> None:
    record = json.loads((run.preflight / "processing" / "preflight" / "ml.m5.large.json").read_text())
    assert (record["rows"], record["model_version"]) == (20, "1")


def copies(name: str) -> list[str]:
    """The COPY instructions of an image, each as it stands, over as many lines as it has."""
    text = (REPOSITORY / "containers" / name / "Dockerfile").read_text().replace("\\\n", "\\")
    return [line.replace("\\", "\\\n") for line in text.splitlines() if line.startswith("COPY ")]


def without(name: str, left_out: str, repository: Path) -> Path:
    """The repository by links, but for this image's Dockerfile."""
    folder = repository / "containers" / name
    folder.mkdir(parents=True)
    for path in ("jobs", "millrace"):
        (repository / path).symlink_to(REPOSITORY / path)
    (folder / "requirements.txt").symlink_to(REPOSITORY / "containers" / name / "requirements.txt")
    text = (REPOSITORY / "containers" / name / "Dockerfile").read_text()
    assert text.count(left_out) == 1
    (folder / "Dockerfile").write_text(text.replace(left_out, ""))
    return repository


def test_nothing_of_this_machine_is_in_reach_of_an_image(images: dict[str, Image], tmp_path: Path) -> None:
    for name, absent in (
        ("inference", "torch"),
        ("inference", "pydantic"),
        ("processing", "torch"),
        ("training", "boto3"),
    ):
        words = [*images[name].arguments(entrypoint=("python", "-c", f"import {absent}"))]
        done = subprocess.run(
            words,
            cwd=images[name].cwd,
            env=images[name].variables(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"No module named '{absent}'" in done.stderr, (name, absent)
    assert "AWS_ACCESS_KEY_ID" not in images["training"].variables(tmp_path)
    assert os.environ["PATH"] in images["training"].variables(tmp_path)["PATH"]


FAST = ("/opt/requirements/", "/opt/program/millrace/jobs/")
"""Where the copies go that are left out of an image in turn; each of the others costs a job that runs for seconds."""


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        pytest.param(
            name,
            one,
            id=f"{name}: {one.split()[-1]}",
            marks=[pytest.mark.night("by day one copy of each kind is left out, and the start fails")]
            * (one.split()[-1] not in FAST),
        )
        for name in IMAGES
        for one in copies(name)
    ],
)
def test_an_image_without_one_of_its_copies_fails(run: Run, name: str, left_out: str, tmp_path: Path) -> None:
    """Its build, where packages are missing; else the job, whose inputs are those that it has just done well with."""
    repository = without(name, left_out, tmp_path / "repository")
    if "requirements.txt" in left_out:
        with pytest.raises(FileNotFoundError, match=r"pip\.txt"):
            image_of(name, tmp_path, repository=repository)
        return
    image = image_of(name, tmp_path, repository=repository)
    failed = [output for root, words, module in jobs_of(name, run) for output in failure(image, root, words, module)]
    assert failed
    assert all("Error" in output or "No module named" in output for output in failed)


def jobs_of(name: str, run: Run) -> list[tuple[Path, list[str], str]]:
    """The jobs that the image is for: folder, arguments, module."""
    return {
        "training": [(run.training, ["train"], "millrace.jobs.training")],
        "processing": [
            (run.external, [], "millrace.jobs.external_model"),
            (run.drift, [], "millrace.jobs.monitoring"),
            (run.evaluation, [], "millrace.jobs.evaluation"),
        ],
        # It starts `millrace.jobs.serving` itself.
        "inference": [(run.preflight, [], "millrace.jobs.preflight")],
    }[name]


def failure(image: Image, root: Path, words: list[str], module: str) -> list[str]:
    code, output = ended(start(image, root, *words, module=module))
    return [output] if code else []
