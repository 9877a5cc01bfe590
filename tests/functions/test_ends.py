"""Every end makes the same decision of the same row: a request, a job, a record of the stream and a line of a file.

Of each workload that comes with the product, rows of its sample go through all of them, good ones and bad ones, under
some policy. A network with the weights that it begins with answers, behind HTTP and as the transform job does."""

from __future__ import annotations

import base64
import copy
import io
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from aws_lambda_powertools.utilities.circuit_breaker import base
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from moto import mock_aws
from safetensors.torch import save

from millrace.artefact.artefact import ARCHIVE, Artefact, Digests, digest, read_archive, write_archive
from millrace.artefact.batch import CONTENT_TYPE, LIKENESS
from millrace.artefact.inference import Model
from millrace.aws.objects import put_object
from millrace.console.actions.past import Pasts, json_rows
from millrace.contract.load import load_contract
from millrace.contract.schema import Table
from millrace.decisions.jobs import Job, Jobs
from millrace.decisions.record import Decision, from_line
from millrace.decisions.store import read_days, stored_days
from millrace.features import catalogue as encoders
from millrace.models.export import export
from millrace.models.predictor import build
from millrace.names import WorkloadNames
from millrace.serving.application import Application
from millrace.serving.settings import Settings
from millrace.state.automation import Automation
from millrace.state.pointers import Pointers, ReleasePointers
from millrace.state.table import StateTable
from millrace.state.versions import FloorState
from millrace.tasks import catalogue as tasks
from millrace.tasks.answer import has_confidence
from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload
from tests import builders, fuzz
from tests.functions.cold_start import NAMES, cold_starts, set_variables
from tests.functions.prediction.conftest import Endpoint, endpoint
from tests.jobs.serving.test_rows import rows_of
from tests.shipped import SHIPPED
from tests.state_table import create_table

__all__ = ["endpoint"]
FOLDERS = {folder.name: folder for folder in SHIPPED}
EVENTS = Path(__file__).resolve().parents[2] / "events"
VERSION = "3"
APART = 60
"""The rows that are drawn lie so many apart in the sample, so that none is in the past of another."""
LATEST = re.compile(r"^<= \d{4}-.*")
Row, LEFT_OUT = dict[str, Any], "(left out)"
WRONG = (
    *(None, LEFT_OUT, "", "zzz", "7", "x" * 200, "\u00e9\u200b", "a\x00b", True, [], {"a": 1}, 0, 7, 7.0),
    *(0.1, -0.0, -1e6, 1e39, 2**31, 2**53 + 1, 2**63),
    *("2999-01-01T00:00:00", "1997-01-10 08:30", "1997-01-10T08:30:00+02:00", "1997-01-10T08:30:00.1234567"),
)
"""What a cell is changed to: most columns refuse most of these."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A workload, the rows of its sample, and a model of it."""

    folder: Path
    workload: Workload
    table: Table
    rows: pa.Table
    model: Model
    archive: bytes
    digest: str
    """Of the archive's members."""

    @property
    def names(self) -> WorkloadNames:
        return WorkloadNames(platform=NAMES.platform, workload=self.workload.name)


@cache
def subject(name: str) -> Subject:
    """The encoders are fitted on the rows; the network has learnt nothing."""
    folder = FOLDERS[name]
    workload, contract, rows = load_workload(folder), load_contract(folder), rows_of(folder)
    parameters, table = workload.training.family_parameters(), contract.table("scoring")
    features = encoders.declare(workload.prediction.features, table)
    features = encoders.fit(features, encoders.add_histories(features, rows))
    task, signature = tasks.declare(workload.prediction, contract.label), encoders.signature(features)
    torch.manual_seed(7)
    network = build(parameters, signature, task.objective, measures_likeness=True).eval()
    weights = save({name: value.contiguous() for name, value in network.state_dict().items()})
    graph = export(network, signature)
    description = builders.description(
        family=workload.training.family,
        parameters=parameters.model_dump(mode="json"),
        features=features,
        task=task,
        label=workload.prediction.label,
        digests=Digests(data="d", contract="c", config="f", code="a", weights=digest(weights), onnx=digest(graph)),
        torch=torch.__version__,
        rows_per_pass=parameters.rows_per_pass,
        held_distances=tuple(np.linspace(0.1, 3, 50).tolist()),
    )
    artefact = Artefact(description=description, weights=weights, onnx=graph, history=b"[]")
    with tempfile.TemporaryDirectory() as place:
        write_archive(path := Path(place, ARCHIVE), artefact)
        archive, known = path.read_bytes(), read_archive(path).digest
    parts = {"folder": folder, "workload": workload, "table": table, "rows": rows, "archive": archive, "digest": known}
    return Subject(model=Model(artefact), **parts)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The policy, what the state table says of it, who runs the version, and whether that answers."""

    policy: Mapping[str, Any] | None
    is_paused: bool
    threshold: str
    """Of the live version; empty if it has none."""
    is_below: bool
    is_down: bool
    is_hosted: bool
    """Whether the functions run the version themselves."""

    def declare(self, subject: Subject, to: Path) -> None:
        """Write the workload's declaration with the policy into the folder `to`."""
        to.mkdir(parents=True)
        shutil.copy(subject.folder / "contract.yaml", to)
        document = yaml.safe_load((subject.folder / "workload.yaml").read_text())
        document["prediction"]["fallback"] = ["rule"]
        document["card"]["risk"] = "low"  # a high one needs a policy
        document["rollout"]["phases"] = ["live"]  # assisted needs one too
        document["policy"] = self.policy
        if self.is_hosted:
            document["rollout"] = {"phases": ["live"], "instance": document["rollout"]["instance"], "host": "function"}
            document["gates"]["size"] = {"max_mb": 128}
        (to / "workload.yaml").write_text(yaml.safe_dump(document))

    def put(self, subject: Subject) -> None:
        task, now = subject.model.description.task, datetime.now(UTC)
        answers = task.answers(np.full((1, task.objective.width), 0.25, np.float32))
        rule = {field.name: answers[field.name].tolist()[0] for field in task.answer}
        stored = {"model_data_url": f"s3://{subject.names.platform.bucket('artefacts')}/{ARCHIVE}"}
        live = builders.version(
            VERSION,
            promised_error="0.05",
            automate_from=self.threshold,
            rule_answer=json.dumps(rule),
            model_digest=subject.digest,
            **stored,
        )
        if not self.is_down:
            put_object(boto3.client("s3"), live.model_data_url, subject.archive)
        state = StateTable(boto3.client("dynamodb"), subject.names)
        ReleasePointers(state).move(Pointers(champion=live))
        Automation(is_paused=self.is_paused, reason="", by="ann", since=now).put(state)
        FloorState(version=VERSION, below=self.is_below, since=now, as_of=now, days=()).put(state)


def standings(subject: Subject) -> st.SearchStrategy[Standing]:
    numbers = [column.name for column in subject.table.columns if column.kind in ("int32", "int64", "float64")]
    share, parts = st.sampled_from([0.1, 0.4]), dict[str, st.SearchStrategy[Any]]()
    if has_confidence(subject.model.description.task):
        confidence = st.floats(0.4, 0.7).map(lambda least: {"confidence": least})
        parts["automate"] = st.just({"promised_error": 0.05}) | confidence
    if numbers:
        parts["review_above"] = st.fixed_dictionaries(
            {"column": st.sampled_from(numbers), "bound": st.floats(-1, 100, width=16)}
        )
    parts |= {"unlike_training": share, "held_out": share, "floor": st.just({"labels": 48})}
    return st.builds(
        Standing,
        policy=st.none() | st.fixed_dictionaries({}, optional=parts).filter(bool),
        is_paused=st.integers(0, 5).map(lambda drawn: not drawn),
        threshold=st.sampled_from(["", "0.5", "0.51", "0.6"]),
        is_below=st.booleans(),
        is_down=st.integers(0, 5).map(lambda drawn: not drawn),
        is_hosted=st.just(False) if encoders.images(subject.model.description.features) else st.booleans(),
    )


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The drawn rows, as callers and files have them."""

    rows: list[Row]
    """With the past of each."""
    lines: list[Row]
    before: list[Row]
    """The lines of a file that hold the pasts. They stand in front of the others."""


@st.composite
def sent(draw: st.DrawFn, subject: Subject) -> Sent:
    """Rows of the sample, some with other cells. The first is good: a file without a good row is refused whole."""
    names = [column.name for column in subject.table.columns if not column.generated]
    changes = st.dictionaries(st.sampled_from([*names, "surprise"]), st.sampled_from(WRONG), max_size=2)
    places = st.lists(st.integers(2, len(subject.rows) // APART - 1), max_size=12, unique=True).map(lambda at: [1, *at])
    rows = subject.rows.take(pa.array([place * APART for place in draw(places)], pa.int64()))
    histories = encoders.histories(subject.model.description.features)
    pasts, found = Pasts(subject.rows, histories), Sent(rows=[], lines=[], before=[])
    for number, (row, cells) in enumerate(zip(rows.to_pylist(), json_rows(rows), strict=True)):
        cells = {name: cells[name] for name in subject.table.names}
        changed = cells | (draw(changes) if number else {})
        line = {name: cell for name, cell in changed.items() if cell != LEFT_OUT}
        past = pasts.of(row)
        found.lines.append(line)
        found.rows.append(line | past)
        plain = {name: cell for name, cell in cells.items() if name not in subject.table.derived}
        found.before.extend({**plain, **entry} for entries in past.values() for entry in entries)
    return found


@dataclass(frozen=True, kw_only=True)
class Came:
    """What an end made of the rows, by their number."""

    decided: Mapping[int, Decision]
    refused: Mapping[int, tuple[str, str, str]]
    """The reason, the column, and what was expected."""


class Ends:
    """The functions of a workload after a cold start."""

    def __init__(self, subject: Subject, start: Callable[[str], Any]) -> None:
        self._names, self._start = subject.names, start
        self._transform = Application(subject.model, Settings(model_version=VERSION, batch=True))
        self._s3, self._sqs = boto3.client("s3"), boto3.client("sqs")
        self._lake, self._landing = (self._names.platform.bucket(purpose) for purpose in ("lake", "landing"))

    def prediction(self, sent: Sent) -> Came:
        answer = self._start("prediction")({"rows": sent.rows})
        return Came(decided=self._kept(), refused=refused(answer["rejected"]))

    def jobs(self, sent: Sent) -> Came:
        event, jobs = json.loads((EVENTS / "jobs_queue.json").read_text()), Jobs(self._s3, self._names)
        at, job_id = datetime.now(UTC), event["Records"][0]["body"]
        jobs.keep(Job(id=job_id, owner="me", caller=None, at=at, call_id="job", rows=tuple(sent.rows), explain=False))
        assert self._start("jobs")(event) == {"batchItemFailures": []}
        found = jobs.find(job_id, "me") or {}
        return Came(decided=self._kept(), refused=refused(found["result"]["rejected"]))

    def stream(self, sent: Sent) -> Came:
        like, records = json.loads((EVENTS / "stream.json").read_text())["Records"][0], []
        for number, row in enumerate(sent.rows):
            data = base64.b64encode(json.dumps({"id": f"r-{number}", "row": row}).encode()).decode()
            at = datetime.now(UTC).timestamp()
            own = {"data": data, "sequenceNumber": str(number), "approximateArrivalTimestamp": at}
            records.append(like | {"kinesis": like["kinesis"] | own})
        assert self._start("stream")({"Records": records}) == {"batchItemFailures": []}
        letters = [json.loads(body) for body in self._drain("rows-dead")]
        letters = [one | {"row": int(one["sequence_number"])} for one in letters]
        return Came(decided=self._kept(), refused=refused(letters))

    def delivery(self, sent: Sent) -> Came:
        """Ingestion and validation before it, and between them the transform job."""
        key, first = f"{self._names.workload}/scoring/rows.jsonl", len(sent.before) + 1
        body = "\n".join(json.dumps(line) for line in [*sent.before, *sent.lines]).encode()
        put = self._s3.put_object(Bucket=self._landing, Key=key, Body=body)
        event = json.loads((EVENTS / "validation.json").read_text())
        state = event["state"]
        state["as_of"] = datetime.now(UTC).isoformat()
        state["detail"]["objects"] = [{"bucket": self._landing, "key": key, "version_id": put["VersionId"]}]
        del state["ingestion"]
        for step in ("ingestion", "validation"):
            state[step] = {"answer": self._start(step)(copy.deepcopy(event))}
        for place, shard in self._objects("staging").items():
            if "/shards/" in place:
                answer = ask(self._transform, shard, CONTENT_TYPE)
                place = place.replace("/shards/", "/transformed/")
                self._s3.put_object(Bucket=self._lake, Key=f"{place}.out", Body=answer)
        state["transform"] = {"job": "j"}
        self._start("delivery")(event)
        days = list(stored_days(self._s3, self._lake, self._names.workload))
        decided = {
            last(one.id) - first: one for one in read_days(self._s3, self._lake, self._names.workload, days).decisions
        }
        bad = [
            row for body in self._objects("quarantine").values() for row in pq.read_table(io.BytesIO(body)).to_pylist()
        ]
        bad = [row | {"row": row["line"] - first, "column": row["column_name"] or ""} for row in bad]
        return Came(
            decided={number: one for number, one in decided.items() if number >= 0},
            refused={number: one for number, one in refused(bad).items() if number >= 0},
        )

    def _objects(self, folder: str) -> dict[str, bytes]:
        found = self._s3.list_objects_v2(Bucket=self._lake, Prefix=f"{self._names.workload}/{folder}/")
        keys = [one["Key"] for one in found.get("Contents", [])]
        return {key: self._s3.get_object(Bucket=self._lake, Key=key)["Body"].read() for key in keys}

    def _kept(self) -> dict[int, Decision]:
        lines = [from_line(line) for body in self._drain("decisions") for line in body.split("\n")]
        return {last(one.id.removesuffix("-stream")): one for one in lines}

    def _drain(self, queue: str) -> list[str]:
        bodies, url = list[str](), self._sqs.get_queue_url(QueueName=self._names.queue(queue))["QueueUrl"]
        while found := self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            bodies += [message["Body"] for message in found]
            for message in found:
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies


def last(name: str) -> int:
    return int(name.rpartition("-")[2])


def refused(rows: list[Row]) -> dict[int, tuple[str, str, str]]:
    """The latest time that a row may have goes by its arrival, so it is another at each end."""
    words = [LATEST.sub("<= a time", one["expected"][:200]) for one in rows]
    return {one["row"]: (str(one["reason"]), one["column"], said) for one, said in zip(rows, words, strict=True)}


def ask(application: Application, body: bytes, content_type: str) -> bytes:
    (answer,) = application.answer([builders.invocation(body, content_type)])
    assert answer.status == 200, answer.body
    return answer.body


def said(decision: Decision, subject: Subject, standing: Standing) -> dict[str, Any]:
    """What all ends say alike: all but the id, the source, the caller and the times of the answer.

    A file keeps neither bytes nor the past of a row, of the measures only the one that the policy asks for, and no
    answer that is held out."""
    texts = [column.name for column in subject.table.columns if column.kind != "binary"]
    cells = {name: cell for name, cell in json.loads(decision.input).items() if name in texts and cell is not None}
    measured = (standing.policy or {}).get("unlike_training") is not None
    told = decision.told if decision.source != "batch" else {**decision.output, **decision.dated}  # as it is
    kept = vars(decision) | {"input": cells, "output": dict(told), "key": dict(decision.key)}
    kept["watched"] = decision.watched.get(LIKENESS) if measured else None
    hidden = ("withheld", "answered_by") if decision.reason == "held_out" else ()
    apart = ("id", "source", "caller", "inferred_at", "latency_ms", *hidden)
    return {name: value for name, value in kept.items() if name not in apart}


@pytest.mark.parametrize("workload", FOLDERS)
@given(st.data())
@settings(
    max_examples=fuzz.examples(25),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # to make a failing example smaller takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_all_ends_decide_alike(workload: str, endpoint: Endpoint, tmp_path: Path, data: st.DataObject) -> None:
    of = subject(workload)
    standing, drawn = data.draw(standings(of)), data.draw(sent(of))
    container, home = Application(of.model, Settings(model_version=VERSION)), tmp_path / workload
    endpoint.answer = lambda document: ask(container, json.dumps(document).encode(), "application/json")
    endpoint.status, endpoint.code = (424, "ModelError") if standing.is_down else (200, "")
    base._LOCAL_FAILURES.clear()
    shutil.rmtree(home, ignore_errors=True)
    standing.declare(of, home)
    with pytest.MonkeyPatch.context() as patch, mock_aws(), cold_starts() as start:
        variables = {"MILLRACE_WORKLOADS": str(tmp_path), "MILLRACE_TRIES": "5", "MILLRACE_SHARD_BYTES": "100000"}
        set_variables(patch, names=of.names, AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=endpoint.url, **variables)
        make_services(of.names, patch)
        standing.put(of)
        ends = Ends(of, start)
        found = {"prediction": ends.prediction(drawn), "jobs": ends.jobs(drawn), "stream": ends.stream(drawn)}
        if not standing.is_down:  # a transform job that fails decides nothing
            found["delivery"] = ends.delivery(drawn)
    first = found["prediction"]
    assert first.decided.keys() | first.refused.keys() == set(range(len(drawn.rows)))
    for end, came in found.items():
        assert came.refused == first.refused, end
        assert came.decided.keys() == first.decided.keys(), end
        for number, decision in came.decided.items():
            assert said(decision, of, standing) == said(first.decided[number], of, standing), (end, number)


def make_services(names: WorkloadNames, patch: pytest.MonkeyPatch) -> None:
    s3, place = boto3.client("s3"), {"LocationConstraint": names.platform.region}
    for purpose in ("lake", "landing", "artefacts"):
        s3.create_bucket(Bucket=names.platform.bucket(purpose), CreateBucketConfiguration=place)
    s3.put_bucket_versioning(Bucket=names.platform.bucket("landing"), VersioningConfiguration={"Status": "Enabled"})
    create_table(boto3.client("dynamodb"), names.platform.state_table)
    boto3.client("events").create_event_bus(Name=names.platform.bus)
    for queue, variable in (("decisions", "DECISIONS_QUEUE"), ("rows-dead", "DEAD_LETTERS")):
        url = boto3.client("sqs").create_queue(QueueName=names.queue(queue))["QueueUrl"]
        patch.setenv(f"MILLRACE_{variable}_URL", url)
