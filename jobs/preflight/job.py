"""A version's archive is unpacked as SageMaker does, served, and answers the evaluation's sample."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.preflight.container import SERVE, Container, said, started
from millrace.artefact.artefact import ARCHIVE, Description, digest, read_folder, read_members
from millrace.artefact.batch import CONTENT_TYPE, ROW, read_answers
from millrace.errors import AnswerError, PreflightError
from millrace.evaluation.agreement import SAMPLE_FILE, TOLERANCE, largest_difference

if TYPE_CHECKING:
    from jobs.preflight.settings import PreflightSettings
    from jobs.runtime import ProcessingPlaces

    Rows = Sequence[Mapping[str, Any]]

START_S = 480.0
"""An instance whose container has not answered /ping by then fails its endpoint: 8 minutes after its start.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html"""
WARM_UP_CALLS, CALLS = 10, 100


@dataclass(frozen=True, kw_only=True)
class Passed:
    """`<instance type>.json`: a version that passed on this instance type."""

    model_version: str
    model_digest: str
    sample_digest: str
    instance: str
    rows: int
    largest_difference: float
    ready_s: float
    """From the start to the first 200 of /ping."""
    p50_ms: float
    p99_ms: float
    """Of one row by HTTP, request after request, each with a connection of its own."""


def check_version(
    places: ProcessingPlaces, settings: PreflightSettings, *, command: Sequence[str] = SERVE, start_s: float = START_S
) -> None:
    """Write the record of a version that passed. Raises PreflightError and ArtefactError in one line for one that did
    not: what was expected, what came, where."""
    rows, expected = _sample(places.input("sample") / SAMPLE_FILE, approved=settings.sample_digest)
    _unpack(places.input("model") / ARCHIVE, places.root / "model")
    log, bound = places.root / "serving.log", settings.memory_mb
    with started(command, port=settings.port, memory_mb=bound, log=log) as container:
        ready_s = container.wait_until_ready(start_s)
        # Together, and one alone: an endpoint gets both.
        largest = max(
            _compare(container, one, wanted, version=settings.model_version)
            for one, wanted in ((rows, expected), (rows[:1], expected[:1]))
        )
        p50_ms, p99_ms = _call_times(container, rows)
    with started(command, port=settings.port, memory_mb=bound, log=log, transforms=True) as container:
        container.wait_until_ready(start_s)
        model = read_folder(places.root / "model").description
        of_stream = _compare_stream(container, rows, expected, version=settings.model_version, model=model)
    record = Passed(
        model_version=settings.model_version,
        model_digest=settings.model_digest,
        sample_digest=settings.sample_digest,
        instance=settings.instance,
        rows=len(rows),
        largest_difference=max(largest, of_stream),
        ready_s=round(ready_s, 3),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
    )
    (places.output("preflight") / f"{settings.instance}.json").write_text(json.dumps(asdict(record)))
    proof = f"{len(rows)} rows answered as evaluated, in JSON and as a batch"
    took = f"one row in {p50_ms:.2g} ms by HTTP, p99 {p99_ms:.2g} ms"
    print(f"version {settings.model_version}: {proof}, ready after {ready_s:.1f} s; {took}")


def _sample(path: Path, *, approved: str) -> tuple[Rows, Rows]:
    """Rows and answers of the file that was registered."""
    content = path.read_bytes()
    if approved and (came := digest(content)) != approved:
        raise PreflightError(f"{SAMPLE_FILE}: expected digest {approved}, as registered, got {came}")
    document = json.loads(content)
    if not document["rows"]:
        raise PreflightError(f"{SAMPLE_FILE}: expected rows to send, there are none")
    return document["rows"], document["answers"]


def _unpack(archive: Path, folder: Path) -> None:
    """The members, as they are: the container judges what it is given."""
    folder.mkdir(exist_ok=True)
    for name, content in read_members(archive).items():
        (folder / name).write_bytes(content)


def _compare(container: Container, rows: Rows, expected: Rows, *, version: str) -> float:
    """The largest difference of the answers to `rows`."""
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
    if len(answers) != len(rows):
        raise PreflightError(f"/invocations: expected {len(rows)} answers, got {len(answers)}")
    for number, (answer, wanted) in enumerate(zip(answers, expected, strict=True), start=1):
        _check(answer, wanted, where=f"row {number} of {len(rows)}")
    return largest_difference(answers, expected)


def _call_times(container: Container, rows: Rows) -> tuple[float, float]:
    """Milliseconds, the median and the 99th percentile of calls with one row each; the first ones do not count."""
    seconds = []
    for number in range(WARM_UP_CALLS + CALLS):
        body = json.dumps({"rows": [rows[number % len(rows)]]}).encode()
        began = time.perf_counter()
        container.answer(body, "application/json")
        seconds.append(time.perf_counter() - began)
    p50, p99 = np.quantile(seconds[WARM_UP_CALLS:], [0.5, 0.99]) * 1000
    return round(float(p50), 3), round(float(p99), 3)


def _compare_stream(container: Container, rows: Rows, expected: Rows, *, version: str, model: Description) -> float:
    """As `_compare`, of one request of a batch transform."""
    from jobs.preflight.stream import as_stream

    content = container.answer(as_stream(rows, model.features), CONTENT_TYPE)
    try:
        table = read_answers(content, model_version=version, fields=model.task.answer)
    except AnswerError as error:
        raise PreflightError(f"{container.where}: {error}") from None
    if (numbers := table[ROW].to_pylist()) != [*range(1, len(rows) + 1)]:
        raise PreflightError(f"{container.where}: expected the rows 1 to {len(rows)} in order, got {numbers!s:.200}")
    answers = table.to_pylist()
    for number, (answer, wanted) in enumerate(zip(answers, expected, strict=True), start=1):
        _check(answer, wanted, where=f"row {number} of {len(rows)} of a transform job")
    return largest_difference(answers, expected)


def _check(answer: Mapping[str, Any], expected: Mapping[str, Any], *, where: str) -> None:
    if reason := answer.get("rejected"):
        said = ": ".join(str(reason.get(name)) for name in ("column", "expected"))
        raise PreflightError(f"{where}: {said} expected, got {reason.get('came')}")
    for name, value in expected.items():
        if name not in answer:
            raise PreflightError(f"{where}: expected the fields {sorted(expected)}, got {sorted(answer)}")
        if not largest_difference([answer], [{name: value}]) <= TOLERANCE:
            wanted = f"{value!r} as evaluated, within {TOLERANCE:.0e}"
            raise PreflightError(f"{where}: {name}: expected {wanted}, got {answer[name]!r}")
