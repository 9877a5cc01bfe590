"""A version is started as its endpoint would start it; each way in which one is broken is said in one line."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pyarrow as pa
import pytest

from millrace.artefact import external
from millrace.artefact.artefact import (
    Artefact,
    Digests,
    digest_of,
    digests_of,
    read_archive,
    read_members,
    write_archive,
)
from millrace.artefact.batch import write_rows
from millrace.artefact.external import ExternalModel
from millrace.artefact.inference import Model
from millrace.console.queries.executions import error_type, failure_of
from millrace.contract.load import load_contract
from millrace.errors import MillraceError
from millrace.evaluation.sample import sample_digest, write_sample
from millrace.features import catalogue as encoders
from millrace.jobs.preflight.container import SERVE
from millrace.jobs.preflight.job import check_version
from millrace.jobs.preflight.settings import PreflightSettings
from millrace.jobs.runtime import ProcessingPlaces
from millrace.tasks import catalogue as tasks
from millrace.workload.load import load_workload
from tests.archives import tarred
from tests.external_models import contents_of, logistic

WORKLOAD = Path(__file__).resolve().parents[3] / "workloads" / "electricity"
SERVES = (sys.executable, *SERVE[1:])
COLUMNS = ("day_of_week", "period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
ROWS = [dict.fromkeys(COLUMNS, 0.1 * number) | {"day_of_week": number} for number in range(1, 5)]


def artefact_of(model: onnx.ModelProto) -> Artefact:
    """What a version of this graph holds, its digests right."""
    workload, contract = load_workload(WORKLOAD), load_contract(WORKLOAD)
    given = ExternalModel(contents=contents_of(model))
    return external.artefact_of(
        given,
        features=external.features_of(given, workload, contract),
        task=tasks.declare(workload.prediction, contract.label),
        label=workload.prediction.label,
        links=Digests(),
    )


Preflight = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def good() -> Artefact:
    return artefact_of(logistic())


@pytest.fixture(scope="module")
def sample(good: Artefact) -> bytes:
    features, task = good.description.features, good.description.task
    found = task.answers(Model(good).outputs(encoders.encode(features, pa.Table.from_pylist(ROWS))))
    answers = [dict(zip(found, row, strict=True)) for row in zip(*(v.tolist() for v in found.values()), strict=True)]
    streams = [base64.b64encode(write_rows(pa.Table.from_pylist([row]))).decode() for row in ROWS]
    each = zip(ROWS, answers, streams, strict=True)
    return write_sample({"row": row, "answer": answer, "stream": stream} for row, answer, stream in each)


@pytest.fixture
def preflight(tmp_path: Path, good: Artefact, sample: bytes, monkeypatch: pytest.MonkeyPatch) -> Preflight:
    """Runs the job on an artefact, whose archive may be changed after it was registered."""

    def run(
        *,
        make: Callable[[], Artefact] | None = None,
        change: Callable[[dict[str, bytes]], dict[str, bytes]] | None = None,
        approves_the_change: bool = False,
        rewrite: Callable[[bytes], bytes] | None = None,
        command: Sequence[str] = SERVES,
        start_s: float = 30,
        **settings: Any,
    ) -> dict[str, Any]:
        archive = tmp_path / "processing" / "model" / "model.tar.gz"
        archive.parent.mkdir(parents=True)
        write_archive(archive, make() if make else good)
        approved = read_archive(archive).digest
        if change is not None:
            archive.write_bytes(tarred(change(read_members(archive))))
        if approves_the_change:
            approved = digest_of(digests_of(read_members(archive)))
        if rewrite is not None:
            archive.write_bytes(rewrite(archive.read_bytes()))
        (tmp_path / "processing" / "sample").mkdir()
        (tmp_path / "processing" / "sample" / "sample.jsonl").write_bytes(sample)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        given = {
            "MILLRACE_MODEL_VERSION": "3",
            "MILLRACE_MODEL_DIGEST": approved,
            "MILLRACE_INSTANCE": "ml.m5.large",
            "MILLRACE_SAMPLE_DIGEST": sample_digest(sample),
            "SAGEMAKER_BIND_TO_PORT": str(port),
        }
        served = {"MILLRACE_ML_ROOT": str(tmp_path), "MILLRACE_BIND": "127.0.0.1", "MILLRACE_WORKERS": "1"}
        for name, value in (given | served).items():
            monkeypatch.setenv(name, value)
        places, read = ProcessingPlaces(root=tmp_path), replace(PreflightSettings.read(os.environ), **settings)
        check_version(places, read, command=command, start_s=start_s)
        record: dict[str, Any] = json.loads((places.output("preflight") / "ml.m5.large.json").read_text())
        return record

    return run


def said(error: MillraceError) -> str:
    """What `millrace show` says of a job that failed so, under Step Functions' name for it."""
    reason = f"AlgorithmError: {type(error).__name__}: {error}, exit code: 1"
    cause = json.dumps({"ProcessingJobName": "2f61d0a5-0-0", "FailureReason": reason})
    assert error_type("States.TaskFailed", cause) == type(error).__name__
    return failure_of("States.TaskFailed", cause)


def python(text: str) -> tuple[str, ...]:
    """A container that runs this program and ignores the model."""
    return (sys.executable, "-c", text)


ANSWERS = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.reply({ping}, b"")
    def do_POST(self): self.reply({status}, {body!r})
    def reply(self, status, body):
        self.send_response(status); self.send_header("content-length", str(len(body))); self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


def answers(body: bytes, *, ping: int = 200, status: int = 200) -> tuple[str, ...]:
    return python(ANSWERS.format(ping=ping, status=status, body=body))


AS_TRANSFORM = """
import os, runpy, sys
from millrace.artefact import batch
if os.environ.get("SAGEMAKER_BATCH") == "true":
    {change}
sys.argv = ["millrace.jobs.serving", "serve"]
runpy.run_module("millrace.jobs.serving", run_name="__main__")
"""
OTHER_VALUES = """write = batch.write_answers
    batch.write_answers = lambda numbers, answers, **words: write(
        numbers, {name: 1 - cells for name, cells in answers.items()}, **words)"""
OTHER_ORDER = """write = batch.write_answers
    batch.write_answers = lambda numbers, answers, **words: write(numbers[::-1], answers, **words)"""


def as_transform(change: str) -> tuple[str, ...]:
    """The serving container, another one where it serves a transform job."""
    return python(f"exec({AS_TRANSFORM.format(change=change)!r})")  # messages name the command in one line


NO_ARCHIVE = r"ArtefactError: .*model\.tar\.gz: expected a tar\.gz, got"
BROKEN = {
    "no archive": ({"rewrite": lambda _: b"<html>not found</html>"}, NO_ARCHIVE),
    "an archive cut off": ({"rewrite": lambda whole: whole[: len(whole) // 2]}, NO_ARCHIVE),
    "a digest of other bytes": (
        {"change": lambda members: members | {"history.json": b"[1]"}},
        r"one that ended with exit code 1 after .* s: ArtefactError: .*expected the members that were approved, digest",
    ),
    "a graph with other inputs": (
        {"make": lambda: artefact_of(logistic(name="x"))},
        r"ArtefactError: model\.onnx: expected inputs .*numbers.*got .*x",
    ),
    "answers that are no numbers": (
        {"make": lambda: artefact_of(logistic(end="Sqrt"))},
        r"PreflightError: /invocations: row 1 of 4: prediction: a finite number in its range expected, got another",
    ),
    "the other class": (
        {"make": lambda: artefact_of(logistic(sign=-1))},
        r"PreflightError: /invocations: row 1 of 4: value: expected 0 as evaluated, within 1e-04, got 1",
    ),
    "an entry point that is not there": (
        {"command": (sys.executable, "-m", "millrace.served", "serve")},
        r"-m millrace\.served serve: expected a server, got one that ended .* code 1 .*: No module named millrace",
    ),
    "another port": (
        {"command": python("import time; time.sleep(60)"), "start_s": 1},
        r"/ping on port \d+: expected 200 within 1 s of the start, got no connection: nothing listens there",
    ),
    "a ping that is refused": (
        {"command": answers(b"", ping=503), "start_s": 1},
        r"/ping on port \d+: expected 200 within 1 s of the start, got 503",
    ),
    "too little memory": (
        {"command": python("import time; time.sleep(0.1); bytearray(2**30)"), "memory_mb": 512},
        r"ended with exit code 1 after .* s, 512 MB at most: MemoryError",
    ),
    "a process that is killed": (
        {"command": python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")},
        r"ended by signal 9 after .* s, as where the memory is full: it wrote nothing",
    ),
    "a request that fails": (
        {"command": answers(b'{"error": "the server failed"}', status=500)},
        r'/invocations: expected status 200, got 500: \{"error": "the server failed"\}',
    ),
    "no JSON": ({"command": answers(b"<html>")}, r"/invocations: expected JSON, got '<html>'"),
    "another version": (
        {"command": answers(b'{"model_version": "2", "predictions": []}')},
        r"/invocations: expected answers of version '3', got '2'",
    ),
    "answers that are no objects": (
        {"command": answers(b'{"model_version": "3", "predictions": ["a", "b", "c", "d"]}')},
        r"/invocations: expected predictions, a list of objects, got \['a', ",
    ),
    "too few answers": (
        {"command": answers(b'{"model_version": "3", "predictions": []}')},
        r"/invocations: expected 4 answers, got 0",
    ),
    "fields of another task": (
        {"command": answers(json.dumps({"model_version": "3", "predictions": [{"value": 0}] * 4}).encode())},
        r"/invocations: row 1 of 4: expected the fields \['confidence', 'probability', 'value'\], got \['value'\]",
    ),
    "a transform that takes JSON alone": (
        {"command": as_transform("del os.environ['SAGEMAKER_BATCH']")},
        r"/invocations of a transform job: expected status 200, got 415: .*application/vnd\.apache\.arrow\.stream",
    ),
    "a transform whose answers are no stream": (
        {"command": as_transform("batch.write_answers = lambda *_, **__: b'{}'")},
        r"/invocations of a transform job: expected an Arrow stream, got b'\{\}'",
    ),
    "a transform that mixes up its rows": (
        {"command": as_transform(OTHER_ORDER)},
        r"/invocations of a transform job: expected the rows 1 to 4 in order, got \[4, 3, 2, 1\]",
    ),
    "a transform that answers something else": (
        {"command": as_transform(OTHER_VALUES)},
        r"/invocations of a transform job: row 1 of 4: value: expected 0 as evaluated, within 1e-04, got 1",
    ),
    "a sample of other bytes": (
        {"sample_digest": "0" * 64},
        r"PreflightError: sample\.jsonl: expected digest 0+, as registered, got [0-9a-f]{64}, exit",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_said_in_one_line(preflight: Preflight, tmp_path: Path, case: str) -> None:
    given, line = BROKEN[case]
    with pytest.raises(MillraceError) as refused:
        preflight(**given)
    found = said(refused.value)
    assert re.search(line, found), found
    assert "\n" not in found
    assert len(found) < 1000
    assert not (tmp_path / "processing" / "preflight").exists()


def test_a_version_that_answers_as_evaluated_leaves_its_record(preflight: Preflight, sample: bytes) -> None:
    record = preflight()
    assert record.pop("ready_s") < 30
    assert 0 < record.pop("p50_ms") <= record.pop("p99_ms")
    assert len(record.pop("model_digest")) == 64
    assert record == {
        "model_version": "3", "sample_digest": sample_digest(sample), "instance": "ml.m5.large", "rows": 4,
    }  # fmt: skip
