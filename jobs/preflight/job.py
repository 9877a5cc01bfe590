"""Unpacks a version's archive as SageMaker does, serves it, and compares its answers to the evaluation's sample."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from millrace.artefact.artefact import ARCHIVE, Description, read_folder, read_members
from millrace.artefact.batch import CONTENT_TYPE, ROW, read_answers
from millrace.errors import AnswerError, PreflightError
from millrace.evaluation.agreement import SAMPLE_FILE, first_disagreement
from millrace.evaluation.sample import Sample, read_sample, sample_digest
from millrace.jobs.preflight.container import SERVE, Container, said, started
from millrace.jobs.preflight.settings import PreflightSettings
from millrace.jobs.runtime import ProcessingPlaces

Rows = Sequence[Mapping[str, Any]]

START_S = 480.0
"""Seconds after its start by which a container must have answered /ping. After these 8 minutes an endpoint fails.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html"""
WARM_UP_CALLS, CALLS = 10, 100
"""Calls whose time does not count, and those after them whose time counts."""


def check_version(
    places: ProcessingPlaces, settings: PreflightSettings, *, command: Sequence[str] = SERVE, start_s: float = START_S
) -> None:
    """Check the version of the inputs, and write the record `<instance type>.json` of one that passes.

    `ready_s` are the seconds from the start to the first 200 of /ping; `p50_ms` and `p99_ms` are of a request with one
    row by HTTP, each with a connection of its own.

    Raises PreflightError or ArtefactError for one that does not. The error is one line: what was expected, what came,
    and where."""
    # The container itself checks the digest of the archive, as it will for an endpoint.
    sample = _sample(places.input("sample") / SAMPLE_FILE, approved=settings.sample_digest)
    rows, expected = sample.rows, sample.answers
    _unpack(places.input("model") / ARCHIVE, places.root / "model")
    log, bound = places.root / "serving.log", settings.memory_mb
    with started(command, port=settings.port, memory_mb=bound, log=log) as container:
        ready_s = container.wait_until_ready(start_s)
        # All rows together, and one row alone: an endpoint gets both.
        for one, wanted in ((rows, expected), (rows[:1], expected[:1])):
            _compare(container, one, wanted, version=settings.model_version)
        p50_ms, p99_ms = _call_times(container, rows)
    # Once more as a transform job, whose rows come as an Arrow stream.
    with started(command, port=settings.port, memory_mb=bound, log=log, transforms=True) as container:
        container.wait_until_ready(start_s)
        model = read_folder(places.root / "model").description
        _compare_stream(container, sample.stream, expected, version=settings.model_version, model=model)
    named = {name: getattr(settings, name) for name in ("model_version", "model_digest", "sample_digest", "instance")}
    record = named | {"rows": len(rows), "ready_s": round(ready_s, 3), "p50_ms": p50_ms, "p99_ms": p99_ms}
    (places.output("preflight") / f"{settings.instance}.json").write_text(json.dumps(record))
    proof = f"{len(rows)} rows answered as evaluated, in JSON and as a batch"
    took = f"one row in {p50_ms:.2g} ms by HTTP, p99 {p99_ms:.2g} ms"
    print(f"version {settings.model_version}: {proof}, ready after {ready_s:.1f} s; {took}")


def _sample(path: Path, *, approved: str) -> Sample:
    """The rows and the expected answers. Raises PreflightError for another sample than `approved`."""
    content = path.read_bytes()
    if (came := sample_digest(content)) != approved:
        raise PreflightError(f"{SAMPLE_FILE}: expected digest {approved}, as registered, got {came}")
    if not (sample := read_sample(content)).rows:
        raise PreflightError(f"{SAMPLE_FILE}: expected rows to send, there are none")
    return sample


def _unpack(archive: Path, folder: Path) -> None:
    """Write the members of the archive as they are: to judge them is the container's task."""
    folder.mkdir(exist_ok=True)
    for name, content in read_members(archive).items():
        (folder / name).write_bytes(content)


def _compare(container: Container, rows: Rows, expected: Rows, *, version: str) -> None:
    """Send the rows as JSON. Raises PreflightError if an answer is another one, or if it is none of this version."""
    content = container.answer(json.dumps({"rows": rows}).encode(), "application/json")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise PreflightError(f"/invocations: expected JSON, got {said(content)!r}") from None
    if not isinstance(document, dict):
        raise PreflightError(f"/invocations: expected an object with answers, got {document!r:.200}")
    if (came := document.get("model_version")) != version:
        raise PreflightError(f"/invocations: expected answers of version {version!r}, got {came!r:.200}")
    answers = document.get("predictions")
    if not isinstance(answers, list) or not all(isinstance(answer, dict) for answer in answers):
        raise PreflightError(f"/invocations: expected predictions, a list of objects, got {answers!r:.200}")
    _check_agreement(container, answers, expected)


def _call_times(container: Container, rows: Rows) -> tuple[float, float]:
    """The median and the 99th percentile of calls with one row each, in milliseconds. The first calls do not count."""
    seconds = []
    for number in range(WARM_UP_CALLS + CALLS):
        body = json.dumps({"rows": [rows[number % len(rows)]]}).encode()
        began = time.perf_counter()
        container.answer(body, "application/json")
        seconds.append(time.perf_counter() - began)
    p50, p99 = np.quantile(seconds[WARM_UP_CALLS:], [0.5, 0.99]) * 1000
    return round(float(p50), 3), round(float(p99), 3)


def _compare_stream(container: Container, stream: bytes, expected: Rows, *, version: str, model: Description) -> None:
    """Send the rows as one request of a batch transform. Otherwise it does what `_compare` does."""
    content = container.answer(stream, CONTENT_TYPE)
    try:
        table = read_answers(content, model_version=version, fields=model.task.answer)
    except AnswerError as error:
        raise PreflightError(f"{container.where}: {error}") from None
    if (numbers := table[ROW].to_pylist()) != [*range(1, len(expected) + 1)]:
        raise PreflightError(f"{container.where}: expected the rows 1 to {len(expected)} in order, got {numbers!s:.99}")
    _check_agreement(container, table.to_pylist(), expected)


def _check_agreement(container: Container, answers: Rows, expected: Rows) -> None:
    """Raise PreflightError for an answer that differs from the expected one by more than TOLERANCE."""
    if disagreement := first_disagreement(answers, expected):
        raise PreflightError(f"{container.where}: {disagreement}")
