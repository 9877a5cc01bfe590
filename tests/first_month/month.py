"""The first month of a workload in the local cloud: every day drops and predictions, on some days a fault.

The clock moves by the day, on which all schedules fire. People drop files, ask for predictions and type commands of
`millrace`; a fault is made outside of the product: a rule that is switched off, a process that is killed, a certificate
that expires."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from millrace.console.actions.teardown import teardown
from millrace.console.cli.app import app
from millrace.console.demo.electricity import STORY
from millrace.console.demo.months import HISTORY, SAMPLE, months
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import LocalCloud, deploy, find_cloud, start_cloud, start_synthesis
from millrace.console.local_cloud.processes import Processes
from millrace.console.queries.dead_letters import find_dead_queues
from millrace.console.queries.executions import drops_of, executions
from millrace.infra.stacks.ingestion import GATHERED
from millrace.state.holdings import Leases, Slots
from millrace.state.table import StateTable
from tests.first_month.webhook import Chat, chat
from tests.localcloud.waiting import until
from tests.mails import mails
from tests.processes import writing

NAMES = STORY.names
START = datetime.fromisoformat("1997-01-01T08:00:00+00:00")
DAYS, DAY_ROWS = 30, 48
LOGS = Path("local/logs")
SECRET = "chat/url"  # pragma: allowlist secret (a name, no key)
REST_S = 600.0
MONTHLY_USD, LATENCY_DAYS = 1.0, 2
LOST, KILLED, EXPIRED, BROKEN, FULL, LATE = 4, 7, 10, 13, 17, range(21, 25)
"""The days, from 0 on, on which something is wrong."""
DAILY = {"sweep": "rate(1 hour)", "lateness": "cron(0 5 * * ? *)"}
"""Schedules as they are in an account: the local cloud sweeps on request, and looks for late data once a month."""
TOGETHER = {"BatchSize": GATHERED["batch"], "MaximumBatchingWindowInSeconds": 1}
"""Drops are gathered as in an account, but for 1 second and not for 5: these are real seconds, for which a person
waits. The local cloud takes each as it comes."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One fault: what its owner was told, and what was typed."""

    day: int
    """From 1 on."""
    mails: tuple[str, ...]
    """To the owner's address."""
    typed: tuple[str, ...]
    """Commands, each with the line that it was typed for."""


@dataclass(frozen=True, kw_only=True)
class FirstMonth:
    """What was there at the end."""

    drops: int
    told: int
    """Drops of which a run that succeeded says what became of them: committed, or refused with a reason."""
    rows: int
    """Rows of the table at the end, and"""
    expected_rows: int
    """those that were dropped, each once."""
    fallbacks: int
    dead_letters: int
    held: tuple[str, ...]
    """Slots and leases that are held."""
    incidents: tuple[Incident, ...]
    endpoints: tuple[str, ...]
    """Those that stand after the teardown."""


@dataclass(kw_only=True)
class Month:
    """The cloud, the chat and what was noted so far."""

    cloud: LocalCloud
    chat: Chat
    logs: Path
    """One file for each job and each function."""
    incidents: list[Incident] = field(default_factory=list)
    drops: int = 0
    rows: int = 0
    fallbacks: int = 0
    _mails: int = 0
    _typed: list[str] = field(default_factory=list)

    @cached_property
    def days(self) -> Sequence[pa.Table]:
        (january,) = months(SAMPLE, "1997-01", "1997-01")
        return [january.rows.slice(start, DAY_ROWS) for start in range(0, DAYS * DAY_ROWS, DAY_ROWS)]

    def drop(self, name: str, body: bytes, *, feed: str = "training") -> None:
        key = f"{NAMES.workload}/{feed}/{name}"
        self.cloud.client("s3").put_object(Bucket=NAMES.platform.bucket("landing"), Key=key, Body=body)
        self.drops += 1

    def drop_rows(self, name: str, rows: pa.Table) -> None:
        sink = io.BytesIO()
        pq.write_table(rows, sink)
        self.drop(name, sink.getvalue())
        self.rows += rows.num_rows

    def history(self) -> None:
        """The first day: what was there before the month, upon which the first model is trained and released."""
        for month in months(SAMPLE, *HISTORY):
            self.drop_rows(f"{month.name}.parquet", month.rows)
        self.rest()

    def feed(self, day: int) -> None:
        """The day's rows."""
        self.drop_rows(f"day-{day + 1:02}.parquet", self.days[day])

    def predict(self, day: int) -> None:
        rows = [
            {**row, "timestamp": row["timestamp"].isoformat()}
            for row in self.days[day].drop_columns(["class"]).to_pylist()
        ]
        answer = self.cloud.client("lambda").invoke(FunctionName=NAMES.prediction, Payload=json.dumps({"rows": rows}))
        answered = json.load(answer["Payload"])["predictions"]
        self.fallbacks += sum(bool(one["fallback"]) for one in answered)

    def rest(self) -> None:
        self.cloud.wait(timeout_s=REST_S)

    def evening(self, day: int) -> None:
        """What is left of the day passes, until the next morning at eight."""
        self.rest()
        self.cloud.move_clock(START + timedelta(days=day + 1))
        self.rest()

    def hour(self) -> None:
        """An hour passes."""
        self.cloud.move_clock(self.cloud.now() + timedelta(hours=1))
        self.rest()

    def millrace(self, *words: str, wanted: str, status: int = 0) -> str:
        """What a command printed; the line with the wanted text is noted."""
        done = CliRunner().invoke(app, [*words, "--workload", NAMES.workload])
        assert done.exit_code == status, done.output
        line = next(line for line in done.output.splitlines() if re.search(wanted, line))
        self._typed.append(f"millrace {' '.join(words)}: {line}")
        return done.output

    def heard(self) -> tuple[str, ...]:
        """The mails since the last time."""
        mailed = mails(self.cloud)
        # A new alarm says OK once; that it is over is said too, and both are no call to act.
        news = tuple(line for line in mailed[self._mails :] if not line.startswith(("OK ", "INSUFFICIENT_DATA ")))
        self._mails = len(mailed)
        return news

    def note(self, day: int) -> None:
        typed, self._typed = tuple(self._typed), []
        self.incidents.append(Incident(day=day + 1, mails=self.heard(), typed=typed))

    def holders(self) -> tuple[str, ...]:
        table = StateTable(self.cloud.client("dynamodb"), NAMES)
        return tuple(one.holder for held in (Slots(table), Leases(table)) for one in held.holdings())


def lost_event(month: Month, day: int) -> None:
    """The rule that tells the end of executions is off for an hour; the sweep frees what they held."""
    events, rule = month.cloud.client("events"), f"{NAMES.prefix}-cleanup"
    events.disable_rule(Name=rule)
    month.feed(day)
    month.rest()
    held = month.holders()
    events.enable_rule(Name=rule)
    assert held
    month.evening(day)
    assert month.holders() == ()
    month.note(day)


def killed_worker(month: Month, day: int) -> None:
    """The process of the validation function is killed until it died thrice; its machine tries again."""
    killed: set[int] = set()
    month.feed(day)

    def kill() -> bool:
        for process in writing(month.logs / "functions" / f"{NAMES.function('validation')}.log"):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
                killed.add(process)
        return len(killed) >= 3

    until(kill, limit_s=120)
    month.evening(day)
    month.note(day)


def expired_certificate(month: Month, day: int) -> None:
    """That of the chat's webhook, while an empty file is dropped; it is renewed."""
    month.chat.expire()
    month.drop(f"empty-{day}.parquet", b"")
    month.feed(day)
    month.rest()
    month.hour()
    month.millrace("dead", wanted="events")
    month.millrace("dead", "events", wanted="certificate")
    month.chat.renew()
    queue = month.cloud.client("sqs").get_queue_url(QueueName=NAMES.platform.queue("events-dead"))["QueueUrl"]
    month.cloud.client("sqs").purge_queue(QueueUrl=queue)
    month.evening(day)
    month.note(day)


def broken_image(month: Month, day: int) -> None:
    """The training's process dies whenever it begins, as an image that cannot run; the run is redriven."""
    month.feed(day)
    month.rest()
    states, arn = month.cloud.client("stepfunctions"), NAMES.machine_arn("train")
    logs, killed = month.logs / "jobs" / "training", set[int]()
    known = set(logs.iterdir())
    month.millrace("train", wanted="started")
    (run,) = states.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]

    def kill() -> bool:
        for process in {process for log in set(logs.iterdir()) - known for process in writing(log)}:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
                killed.add(process)
        return bool(states.describe_execution(executionArn=run["executionArn"])["status"] != "RUNNING")

    until(kill, limit_s=300)
    assert killed
    month.rest()
    month.millrace("show", run["name"], wanted="Error|error|exit code")
    month.millrace("rerun", run["name"], "--wait", wanted="SUCCEEDED|ended|refused|released")
    month.evening(day)
    month.note(day)


def full_budget(month: Month, day: int) -> None:
    """A training is wanted, and the month's money has no room."""
    month.feed(day)
    month.rest()
    month.millrace("train", "--wait", wanted="budget", status=1)
    month.millrace("cost", wanted=rf"{MONTHLY_USD:.2f}")
    month.evening(day)
    month.note(day)


def late_feed(month: Month) -> None:
    """The source sends nothing for days; what it held back is dropped at once."""
    for day in LATE:
        month.predict(day)
        month.evening(day)
    month.millrace("runs", "--machine", "ingest", wanted="ingest")
    for day in LATE:
        month.feed(day)
    month.rest()
    month.note(LATE[0])


FAULTS: dict[int, Callable[[Month, int], None]] = {
    LOST: lost_event,
    KILLED: killed_worker,
    EXPIRED: expired_certificate,
    BROKEN: broken_image,
    FULL: full_budget,
}


def live(build: Path) -> FirstMonth:
    """The month, from the deployment to the teardown."""
    with deployed(build) as (cloud, place):
        month = Month(cloud=cloud, chat=place, logs=build / LOGS)
        month.history()
        month.heard()
        day = 0
        while day < DAYS:
            if day in LATE:
                late_feed(month)
                day = LATE[-1] + 1
                continue
            month.predict(day)
            if fault := FAULTS.get(day):
                fault(month, day)
            else:
                month.feed(day)
                month.evening(day)
                month.heard()
            day += 1
        return concluded(month)


def concluded(month: Month) -> FirstMonth:
    environment = local_environment(month.cloud)
    held, letters = month.holders(), sum(one.messages for one in find_dead_queues(environment, NAMES))
    rows = rows_of(month.cloud)
    runs = executions(month.cloud.client("stepfunctions"), NAMES, machines=["ingest"])
    answers = [answer for run in runs if run.is_good for answer in drops_of(run)]
    teardown(environment, said=lambda _: None, poll_s=0.2)
    return FirstMonth(
        drops=month.drops,
        told=len({answer.name for answer in answers if answer.committed or answer.rejected}),
        rows=rows,
        expected_rows=month.rows,
        fallbacks=month.fallbacks,
        dead_letters=letters,
        held=held,
        incidents=tuple(month.incidents),
        endpoints=tuple(one["EndpointName"] for one in month.cloud.client("sagemaker").list_endpoints()["Endpoints"]),
    )


def rows_of(cloud: LocalCloud) -> int:
    """Of the Iceberg table, by its newest snapshot."""
    from pyiceberg.catalog.glue import GlueCatalog

    place = {"region": NAMES.platform.region, "access-key-id": "reader", "secret-access-key": "reader"}
    given = {f"{service}.{name}": value for service in ("glue", "s3") for name, value in place.items()}
    given |= {f"{service}.endpoint": cloud.endpoint_url for service in ("glue", "s3")}
    table = GlueCatalog("reader", **given).load_table(f"{NAMES.platform.database}.{NAMES.table('rows')}")
    return int(table.scan().to_arrow().num_rows)


@contextmanager
def deployed(build: Path) -> Iterator[tuple[LocalCloud, Chat]]:
    """The app of one workload with a webhook, in a cloud of its own."""
    build.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        place = stack.enter_context(chat(build))
        patch.setenv("SSL_CERT_FILE", str(place.authority))
        patch.setenv("MILLRACE_WORKLOADS", str(declared(build / "workloads")))
        patch.setenv("COLUMNS", "1000")
        processes = Processes(folder=build)
        stack.callback(processes.stop)
        process = start_cloud(processes, clock=START)
        synthesis = start_synthesis(processes, {"alarm_webhook": {"local": SECRET}}, workloads=[STORY.workload])
        cloud = find_cloud(process)
        cloud.client("secretsmanager").create_secret(Name=SECRET, SecretString=place.url)
        synthesis.succeed()
        deploy(processes, cloud)
        patch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)
        patch.setenv("MILLRACE_LOCAL_SECRET", cloud.secret)
        for name, expression in DAILY.items():
            switch_on(cloud, f"{NAMES.prefix}-{name}", expression)
        gather(cloud)
        yield cloud, place


def declared(folder: Path) -> Path:
    """The workload with a small budget, and rows that must come every other day."""
    shutil.copytree(STORY.folder, folder / STORY.workload)
    declaration, contract = (folder / STORY.workload / name for name in ("workload.yaml", "contract.yaml"))
    known = yaml.safe_load(declaration.read_text())
    known["budget"]["monthly_usd"] = MONTHLY_USD
    known["rollout"]["phases"] = ["live"]  # nobody asks as often as a canary needs
    declaration.write_text(yaml.safe_dump(known))
    agreed = yaml.safe_load(contract.read_text())
    agreed["slaProperties"] = [
        {
            "property": "latency",
            "value": LATENCY_DAYS,
            "unit": "d",
            "element": "rows.timestamp",
            "description": "Daily.",
        }
    ]
    contract.write_text(yaml.safe_dump(agreed))
    return folder


def gather(cloud: LocalCloud) -> None:
    """Let drops that come together be one run, as in an account."""
    functions = cloud.client("lambda")
    (mapping,) = functions.list_event_source_mappings(EventSourceArn=NAMES.queue_arn("drops"))["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], **TOGETHER)


def switch_on(cloud: LocalCloud, name: str, expression: str) -> None:
    """The schedule as it is in an account."""
    scheduler: Any = cloud.client("scheduler")
    known = scheduler.get_schedule(Name=name)
    kept = {one: known[one] for one in ("ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target", "KmsKeyArn")}
    scheduler.update_schedule(Name=name, ScheduleExpression=expression, State="ENABLED", **kept)
