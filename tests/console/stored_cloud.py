"""The run of electricity.json as a stage `dev` on moto: what commands that read find in a real account."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import pytest
import time_machine
from moto import mock_aws
from moto.cloudwatch.models import cloudwatch_backends
from moto.stepfunctions.models import Execution as MotoExecution
from moto.stepfunctions.models import stepfunctions_backends

from millrace.aws.objects import put_object
from millrace.console.queries.executions import Execution
from millrace.console.queries.money import work
from millrace.console.queries.monitoring import MonitorRun
from millrace.console.queries.plan import FILES
from millrace.console.queries.report import JudgedModel, WorkloadReport
from millrace.contract.reasons import Reason
from millrace.contract.violation import QuarantinedRow, RuleViolation
from millrace.datasets import quarantine
from millrace.decisions.record import object_key, to_line
from millrace.messages.audit import AuditEvent, ByPerson, HeldDropDecided, VersionLive
from millrace.messages.envelope import Message
from millrace.messages.monitor import WindowsPlanned
from millrace.messages.retrain import RetrainingDecided
from millrace.messages.train import GatesJudged
from millrace.monitoring.alarms import exceeded, monitor_alarms
from millrace.monitoring.calibration import SLICES
from millrace.names import MACHINES, Platform, WorkloadNames
from millrace.operations.alarms import STAGE_ALARMS
from millrace.operations.dead_letters import DEAD_LETTERS, EVENTS, dead
from millrace.operations.trail import trail_logs
from millrace.release.registry import Registry
from millrace.state import audit
from millrace.state.budget import MonthlyBudget
from millrace.state.cursors import Cursor
from millrace.state.pointers import ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.timestamps import parse_utc
from tests import builders
from tests.console.conftest import make_machines, make_stores, read_stored, stage_of
from tests.credentials import KEYS

PLATFORM = Platform(stage="dev", account="123456789012", region="eu-west-1")
NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
DECLARED = Path(__file__).resolve().parents[2] / "workloads" / "electricity"
NOW = parse_utc("1997-08-06T06:00:00Z")
SECOND = timedelta(seconds=1)
OTHER = replace(NAMES, workload="income")
"""Of its audit alone: a record of each event."""
AT = parse_utc("1997-06-01T06:00:00Z")
PERSON = "arn:aws:sts::123456789012:assumed-role/Operators/ann"
EVERY_EVENT = tuple(
    (AuditEvent(each["event"]), AuditEvent(each["event"]).details.model_validate(each["details"]))
    for each in json.loads(Path(__file__).with_name("every_event.json").read_text())
)
"""Of each event a record at least, with its details."""


class StoredExecution(MotoExecution):
    """An execution that has ended, with a history of its states."""

    def __init__(self, run: Execution) -> None:
        names = {"state_machine_name": NAMES.machine(run.machine), "execution_name": run.name}
        super().__init__(
            PLATFORM.region,
            PLATFORM.account,
            **names,
            state_machine_arn=NAMES.machine_arn(run.machine),
            execution_input=json.dumps(run.input),
        )
        self.status, self.output = run.status, json.dumps(run.output)
        self.start_date, self.stop_date = run.started, run.stopped

    def get_execution_history(self, roleArn: str) -> list[dict[str, Any]]:
        bodies = [
            ("ExecutionStarted", {"executionStartedEventDetails": {"input": self.execution_input}}),
            *(
                (f"PassState{what}", {f"state{what}EventDetails": {"name": "State 1"}})
                for what in ("Entered", "Exited")
            ),
            ("ExecutionSucceeded", {"executionSucceededEventDetails": {"output": self.output}}),
        ]
        return [
            {"id": number, "previousEventId": number - 1, "timestamp": self.start_date, "type": kind, **details}
            for number, (kind, details) in enumerate(bodies, 1)
        ]


@contextmanager
def running(**variables: str) -> Iterator[WorkloadReport]:
    """The stored run as the stage `dev` of an account, whose keys the environment has."""
    with pytest.MonkeyPatch.context() as patch, mock_aws(), time_machine.travel(NOW, tick=False):
        for name, value in {**KEYS, **variables}.items():
            patch.setenv(name, value)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        # The bytes that are stored here are of no run: too many objects have no line of costs.
        patch.setattr(work, "MOST_OBJECTS", 0)
        report = read_stored(stage="dev")
        store(report)
        yield report


def store(report: WorkloadReport) -> None:
    """Put all that the report says into moto. Its names are those of the stage `dev`."""
    _platform()
    for run in report.runs:
        backend = stepfunctions_backends[PLATFORM.account][PLATFORM.region]
        backend.describe_state_machine(NAMES.machine_arn(run.machine)).executions.append(StoredExecution(run))
    for model in report.models:
        _model(model)
    for run in report.monitor_runs:
        _monitor_run(run, report)
    end = datetime.combine(report.windows[-1].end, time(), UTC)
    Cursor(name="monitor", window_end=end).put(StateTable(boto3.client("dynamodb"), NAMES))
    for event, run, details in _decided(report):
        _record(NAMES.workload, event, details, arn=run.arn, as_of=run.stopped)
    for number, (event, details) in enumerate(EVERY_EVENT):
        _record(OTHER.workload, event, details, arn=_called(event), as_of=AT + number * SECOND)
    _alarms(report)
    _quarantined(report)
    _decisions()
    _reads()


def _record(workload: str, event: AuditEvent, details: Message, *, arn: str, as_of: datetime) -> None:
    own = {"actor": "a_function", "execution_arn": arn, "as_of": as_of, "cause": "a-cause"}
    record = builders.record(event, details, **own)
    audit.append(boto3.client("dynamodb"), table=PLATFORM.audit_table, workload=workload, record=record)


BY_COMMAND = (ByPerson, HeldDropDecided)
"""What a person's command has written itself."""


def _called(event: AuditEvent) -> str:
    """A withdrawal has no run: a person's command calls its function. A switch is written by the command itself."""
    if event.details in BY_COMMAND:
        return PERSON
    if event == AuditEvent.ROWS_WITHDRAWN:
        return PLATFORM.arn("lambda", f"function:{OTHER.function('withdrawal')}:withdraw-5d7c39d7")
    return OTHER.execution_arn("release", f"f7c1b2f0-{event}")


def _platform() -> None:
    stage = stage_of(PLATFORM)
    make_stores(stage, "landing", "lake", "artefacts", "audit")
    make_machines(stage, NAMES, *MACHINES)
    boto3.client("sagemaker").create_model_package_group(ModelPackageGroupName=NAMES.package_group)
    for name in (
        NAMES.queue("drops"),
        *(NAMES.queue(dead(name)) for name in DEAD_LETTERS),
        PLATFORM.queue(dead(EVENTS)),
    ):
        boto3.client("sqs").create_queue(QueueName=name)
    topic = boto3.client("sns").create_topic(Name=PLATFORM.alarm_topic_arn.rpartition(":")[2])["TopicArn"]
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="ann@example.com")


def _model(model: JudgedModel) -> None:
    """The files of the run; of a version the package, the budget and, of the live one, the pointers."""
    s3, version = boto3.client("s3"), model.version
    known = {"run": version.run, "snapshot_id": version.snapshot_id, "tag": version.tag, "rows": str(version.rows)}
    known |= {"as_of": f"{version.trained_at:%Y-%m-%dT%H:%M:%SZ}", "reason": version.reason, "gate": "baseline"}
    known |= {f"{name}_digest": value for name, value in version.digests.items()}
    put_object(s3, NAMES.run_uri(version.run, "config", "run.json"), json.dumps(known).encode())
    for name in FILES:
        put_object(s3, NAMES.run_uri(version.run, "config", name), (DECLARED / name).read_bytes())
    assert model.evaluation is not None
    evaluation = model.evaluation.model_dump_json(by_alias=True).encode()
    put_object(s3, NAMES.run_uri(version.run, "evaluation", "evaluation.json"), evaluation)
    times = {"instance": "ml.m5.large", "p50_ms": 3.0, "p99_ms": 6.5}
    put_object(s3, NAMES.run_uri(version.run, "preflight", "ml.m5.large.json"), json.dumps(times).encode())
    state = StateTable(boto3.client("dynamodb"), NAMES)
    assert version.trained_at is not None
    arn = NAMES.execution_arn("train", version.run)
    MonthlyBudget(state).reserve(0.35, arn=arn, as_of=version.trained_at, monthly_usd=20)
    if version.version is None:
        return
    registry = Registry(boto3.client("sagemaker"), group=NAMES.package_group)
    package = registry.register(
        builders.candidate(
            run=version.run,
            model_data_url=NAMES.run_uri(version.run, "model.tar.gz"),
            metadata={name: value for name, value in known.items() if name != "gate"},
        )
    )
    registry.mark_live(package, execution="released")
    pointers = ReleasePointers(state)
    live = Version(package_arn=package.arn, version=version.version, model_name="m", run=version.run, baseline_uri="")
    pointers.move(pointers.read().with_live(live))


def _monitor_run(run: MonitorRun, report: WorkloadReport) -> None:
    (execution,) = [each for each in report.of("monitor") if each.arn == run.arn]
    planned = WindowsPlanned.model_validate(execution.answer("plan_windows"))
    s3 = boto3.client("s3")
    put_object(s3, f"{planned.report_uri}/report.json", run.report.model_dump_json(by_alias=True).encode())
    bounds = {"error": {"bound": run.error_bound}, "windows": 34, "run": SLICES}
    put_object(s3, planned.baseline_uri, json.dumps(bounds).encode())


def _decided(report: WorkloadReport) -> Iterator[tuple[AuditEvent, Execution, Message]]:
    for run in report.of("train"):
        judged = GatesJudged.model_validate(run.answer("gating"))
        yield AuditEvent.MODEL_PASSED if judged.passed else AuditEvent.MODEL_REFUSED, run, judged
    for run in report.of("release"):
        advanced = run.answer("advance_release")
        live = VersionLive(
            version=run.answer("start_release")["version"],
            revision=advanced["revision"],
            watched_requests=advanced["watched_requests"],
            live_at=run.stopped,
            endpoint_config=run.output["live_config"]["name"],
        )
        yield AuditEvent.RELEASE_LIVE, run, live
    for run in report.of("retrain"):
        decided = RetrainingDecided.model_validate(run.answer("guard"))
        yield AuditEvent.RETRAIN_ACCEPTED if decided.accepted else AuditEvent.RETRAIN_REFUSED, run, decided


def _alarms(report: WorkloadReport) -> None:
    """The monitors' alarms as the last run left them, and one of the stage."""
    client, last = boto3.client("cloudwatch"), report.monitor_runs[-1]
    own = {NAMES.alarm(name): alarm for name, alarm in monitor_alarms(None).items()}
    shared = {PLATFORM.alarm(name): alarm for name, alarm in [next(iter(STAGE_ALARMS.items()))]}
    for name, alarm in (own | shared).items():
        client.put_metric_alarm(
            AlarmName=name,
            AlarmDescription=f"electricity: {alarm.description}",
            Namespace=PLATFORM.metrics,
            MetricName="m",
            Threshold=alarm.threshold,
            ComparisonOperator="GreaterThanThreshold",
            EvaluationPeriods=1,
            Period=60,
            Statistic="Maximum",
        )
        kept = cloudwatch_backends[PLATFORM.account][PLATFORM.region].alarms[name]
        kept.state_value = "ALARM" if name in {NAMES.alarm(each) for each in exceeded(last.report)} else "OK"
        kept.state_updated_timestamp = last.started.replace(tzinfo=None)


def _quarantined(report: WorkloadReport) -> None:
    """The rows of the report's reasons, on the lines from 46 on."""
    for run in report.runs:
        for counted in report.quarantined.get(run.name, ()):
            column, _, rest = counted.example.partition(": expected ")
            expected, _, got = rest.partition(", got ")
            wrong = RuleViolation(reason=Reason(counted.reason), column=column, expected=expected, got=got)
            lines = range(46, 46 + counted.rows)
            refused = [QuarantinedRow(line=line, violations=(wrong,), key=f"row {line}", raw="") for line in lines]
            (given,), feed = run.input["detail"]["objects"], run.input["detail"]["feed"]
            source = f"s3://{PLATFORM.bucket('landing')}/{given['key']}"
            with TemporaryDirectory() as folder:
                path = Path(folder) / "rows"
                with quarantine.QuarantineFile(path, drop_id=run.name, source=source, as_of=run.started) as file:
                    file.add(refused)
                key = quarantine.object_key(NAMES.workload, feed, as_of=run.started, drop_id=run.name, part="refused")
                boto3.client("s3").put_object(Bucket=PLATFORM.bucket("lake"), Key=key, Body=path.read_bytes())


def _decisions() -> None:
    """Of June: one answered, asked again, one with the fallback, and a line that is no decision."""
    at = datetime.fromisoformat("1997-06-30T22:00:00+00:00")
    answered = builders.decision(
        event_time=at,
        key={"timestamp": "1997-06-30T22:00:00"},
        input='{"nswprice":0.05}',
        model_version="2",
        latency_ms=1.5,
        inferred_at=at + SECOND,
    )
    nothing = {"value": None, "probability": None, "confidence": None}
    fallback: Any = {"fallback": True, "action": "fallback", "reason": "no_model"}
    lines = {
        "z": [to_line(answered), "no decision"],
        "a": [
            to_line(replace(answered, latency_ms=7.0, inferred_at=at + 2 * SECOND)),
            to_line(replace(answered, id="call-1", output=nothing, model_version=None, **fallback)),
        ],
    }
    for name, written in lines.items():
        key = object_key("electricity", at.date(), [name])
        boto3.client("s3").put_object(Bucket=PLATFORM.bucket("lake"), Key=key, Body="\n".join(written).encode())


READS = {
    "lake/electricity/iceberg/electricity_rows/data/00000.parquet": PERSON,
    "lake/electricity/decisions/date=1997-06-30/a.jsonl": PERSON,
    "lake/electricity/captured/5f2a": PERSON.replace("ann", "ben"),
    "lake/query-results/7f.csv": PERSON,
    "landing/electricity/training/1997-05.parquet": f"assumed-role/{NAMES.role('validation')}/validation",
    "artefacts/income/runs/93a5562f/model.tar.gz": f"assumed-role/{OTHER.role('job')}/SageMaker",
}
"""By object who read it, a minute after the other. The first two reads were told twice, another one was refused."""


def _reads() -> None:
    records = []
    for number, (name, arn) in enumerate(READS.items()):
        purpose, _, key = name.partition("/")
        asked = {"bucketName": PLATFORM.bucket(purpose), "key": key}
        at = f"{NOW - timedelta(hours=1, minutes=-number):%Y-%m-%dT%H:%M:%SZ}"
        who = {"type": "AssumedRole", "arn": arn}
        records.append({"eventID": name, "eventTime": at, "userIdentity": who, "requestParameters": asked})
    refused = {**records[0], "eventID": "refused", "errorCode": "AccessDenied", "requestParameters": None}
    yesterday = {**records[0], "eventID": "yesterday", "eventTime": "1997-08-05T05:59:59Z"}
    for name, several in {"06/a": [*records, refused], "06/b": records[:2], "05/c": [yesterday]}.items():
        body = gzip.compress(json.dumps({"Records": several}).encode())
        put_object(
            boto3.client("s3"), f"s3://{PLATFORM.bucket('audit')}/{trail_logs(PLATFORM)}/1997/08/{name}.json.gz", body
        )
