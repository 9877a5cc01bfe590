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
from millrace.console.queries.money.work import find_standing
from millrace.infra.stacks.ingestion import GATHERED
from millrace.state.leases import Leases
from millrace.state.slots import Slots
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
BURST_HOURS = 4
BURSTS = 4
"""A feed sends what it has at eight, twelve, four and eight o'clock."""
LOST, KILLED, EXPIRED, BROKEN, FULL, LATE = 4, 7, 10, 13, 17, range(21, 25)
"""The days, from 0 on, on which something is wrong."""
DAILY = {"sweep": "rate(1 hour)", "lateness": "cron(0 5 * * ? *)"}
"""Schedules as they are in an account: the local cloud sweeps on request, and looks for late data once a month."""
TOGETHER = {"BatchSize": GATHERED["batch"], "MaximumBatchingWindowInSeconds": 1}
"""Drops are gathered as in an account, but for 1 second and not for 5: these are real seconds, for which a person
waits. The local cloud takes each as it comes."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One fault: what it was, who heard of it, what was typed and what became of it."""

    day: int
    """From 1 on."""
    fault: str
    mails: tuple[str, ...]
    """To the owner's address, with their day: `8: REJECTED: …`."""
    posts: tuple[str, ...]
    """In the chat."""
    typed: tuple[str, ...]
    """Commands, each with the line that it was typed for."""
    end: str


@dataclass(frozen=True, kw_only=True)
class FirstMonth:
    """What was there at the end."""

    drops: int
    told: int
    """Drops of which a run that succeeded says what became of them: committed, or refused with a reason."""
    runs: int
    """Of `ingest`."""
    rows: int
    """Rows of the table at the end, and"""
    expected_rows: int
    """those that were dropped, each once."""
    predictions: int
    fallbacks: int
    dead_letters: int
    held: tuple[str, ...]
    """Slots and leases that are held."""
    incidents: tuple[Incident, ...]
    unexplained: tuple[str, ...]
    """Mails on days without a fault."""
    standing: tuple[str, ...]
    """On the bill before the teardown, a month."""
    left: tuple[str, ...]
    """And after it."""
    cpu_s: tuple[float, ...]
    """CPU seconds of all of the cloud's processes, by day."""


@dataclass(kw_only=True)
class Month:
    """The cloud, the chat and what was noted so far."""

    cloud: LocalCloud
    chat: Chat
    drops_a_day: int
    cloud_pid: int
    logs: Path
    """One file for each job and each function."""
    incidents: list[Incident] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    drops: int = 0
    rows: int = 0
    predictions: int = 0
    fallbacks: int = 0
    cpu_s: list[float] = field(default_factory=list)
    _used_s: float = 0.0
    _mails: int = 0
    _posts: int = 0
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
        """The day's rows in so many drops, burst after burst, the first one at once."""
        self.burst(day, 0)
        self.later_bursts(day)

    def later_bursts(self, day: int) -> None:
        """Those after the first, each at its hour."""
        for number in range(1, min(BURSTS, self.drops_a_day)):
            self.rest()
            self.cloud.move_clock(START + timedelta(days=day, hours=number * BURST_HOURS))
            self.burst(day, number)

    def burst(self, day: int, burst: int) -> None:
        """The drops of one of the day's bursts, one right after the other."""
        rows, count = self.days[day], self.drops_a_day
        bursts = min(BURSTS, count)
        for number in range(count * burst // bursts, count * (burst + 1) // bursts):
            begin, end = DAY_ROWS * number // count, DAY_ROWS * (number + 1) // count
            self.drop_rows(f"day-{day + 1:02}-{number:02}.parquet", rows.slice(begin, end - begin))

    def all_at_once(self, day: int) -> None:
        """The day's drops, whatever the hour."""
        for burst in range(min(BURSTS, self.drops_a_day)):
            self.burst(day, burst)

    def predict(self, day: int) -> None:
        rows = [
            {**row, "timestamp": row["timestamp"].isoformat()}
            for row in self.days[day].drop_columns(["class"]).to_pylist()
        ]
        answer = self.cloud.client("lambda").invoke(FunctionName=NAMES.prediction, Payload=json.dumps({"rows": rows}))
        answered = json.load(answer["Payload"])["predictions"]
        self.predictions += len(answered)
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
        self._typed.append(f"`{_plain(' '.join(('millrace', *words)))}`: {_plain(line)}")
        return done.output

    def heard(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The mails and posts since the last time."""
        mailed, posts = mails(self.cloud), self.chat.lines
        found = (
            tuple(_plain(line) for line in mailed[self._mails :] if is_news(line)),
            tuple(_plain(line) for line in posts[self._posts :]),
        )
        self._mails, self._posts = len(mailed), len(posts)
        return found

    def note(self, day: int, fault: str, end: str) -> None:
        mails, posts = self.heard()
        typed, self._typed = tuple(self._typed), []
        self.incidents.append(Incident(day=day + 1, fault=fault, mails=mails, posts=posts, typed=typed, end=end))

    def quiet(self, day: int) -> None:
        """Nothing was wrong, so nobody was to be told."""
        mails, posts = self.heard()
        self.unexplained += [f"{day + 1}: {line}" for line in (*mails, *posts)]

    def measure(self, days: int = 1) -> None:
        """Note what the cloud has used since the last time, of so many days each its part."""
        before, self._used_s = self._used_s, used_s(self.cloud_pid)
        self.cpu_s += [(self._used_s - before) / days] * days

    def holders(self) -> tuple[str, ...]:
        table = StateTable(self.cloud.client("dynamodb"), NAMES)
        return tuple(one.holder for held in (Slots(table), Leases(table)) for one in held.holdings())


def used_s(root: int) -> float:
    """CPU seconds of a process and all below it, those that have ended and were waited for among them."""
    ticks: dict[int, float] = {}
    below: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            ticks[int(path.parent.name)] = sum(map(int, fields[11:15]))
            below.setdefault(int(fields[1]), []).append(int(path.parent.name))
    waiting, found = [root], 0.0
    while waiting:
        process = waiting.pop()
        found += ticks.get(process, 0.0)
        waiting += below.get(process, [])
    return found / os.sysconf("SC_CLK_TCK")


def _plain(line: str) -> str:
    """Without what differs from run to run."""
    line = re.sub(r"arn:aws:[^ ,.]*:", "", line)
    line = re.sub(r"\?versionId=[^ ,]*", "", line)
    line = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27,}|\b[0-9a-f]{12,}\b|(?<=[ :-])[0-9a-f]{6,10}(?=[ .:,-])", "…", line)
    return re.sub(r" +", " ", line).strip()


def is_news(line: str) -> bool:
    """A new alarm says OK once; that it is over is said too, and both are no call to act."""
    return not line.startswith(("OK ", "INSUFFICIENT_DATA "))


def lost_event(month: Month, day: int) -> None:
    """The rule that tells the end of executions is off for an hour."""
    events, rule = month.cloud.client("events"), f"{NAMES.prefix}-cleanup"
    events.disable_rule(Name=rule)
    month.burst(day, 0)
    month.rest()
    held = len(month.holders())
    events.enable_rule(Name=rule)
    assert held
    month.later_bursts(day)
    month.evening(day)
    assert month.holders() == ()
    month.note(day, f"the ends of a burst's runs are lost: {held} slots stay held", "the sweep frees them")


def killed_worker(month: Month, day: int) -> None:
    """The process of the validation function is killed whenever it is seen, until it died thrice."""
    killed: set[int] = set()
    month.burst(day, 0)

    def kill() -> bool:
        for process in writing(month.logs / "functions" / f"{NAMES.function('validation')}.log"):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
                killed.add(process)
        return len(killed) >= 3

    until(kill, limit_s=120)
    month.later_bursts(day)
    month.evening(day)
    month.note(day, "the process of the validation function is killed three times", "its machine tries again")


def expired_certificate(month: Month, day: int) -> None:
    month.chat.expire()
    month.drop(f"empty-{day}.parquet", b"")
    month.burst(day, 0)
    month.rest()
    month.hour()
    month.millrace("dead", wanted="events")
    month.millrace("dead", "events", wanted="certificate")
    month.chat.renew()
    queue = month.cloud.client("sqs").get_queue_url(QueueName=NAMES.platform.queue("events-dead"))["QueueUrl"]
    month.cloud.client("sqs").purge_queue(QueueUrl=queue)
    month.later_bursts(day)
    month.evening(day)
    month.note(day, "the certificate of the chat's webhook has expired while an empty file is dropped", "renewed")


def broken_image(month: Month, day: int) -> None:
    """The training's process dies whenever it begins, as an image that cannot run on the instance."""
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
    month.note(day, "the image of a training cannot run: its process dies each time", "the run is redriven")


def full_budget(month: Month, day: int) -> None:
    month.feed(day)
    month.rest()
    month.millrace("train", "--wait", wanted="budget", status=1)
    month.millrace("cost", wanted=rf"{MONTHLY_USD:.2f}")
    month.evening(day)
    month.note(day, f"a training is wanted, the month's {MONTHLY_USD:g} USD have no room", "it waits for February")


def late_feed(month: Month) -> None:
    for day in LATE:
        month.predict(day)
        month.evening(day)
    month.millrace("runs", "--machine", "ingest", wanted="ingest")
    first = LATE[0]
    for day in LATE:
        month.all_at_once(day)
    month.rest()
    month.note(first, f"the source sends nothing for {len(LATE)} days", "what it held back is dropped at once")


FAULTS: dict[int, Callable[[Month, int], None]] = {
    LOST: lost_event,
    KILLED: killed_worker,
    EXPIRED: expired_certificate,
    BROKEN: broken_image,
    FULL: full_budget,
}


def live(
    build: Path, *, drops_a_day: int, days: int = DAYS, said: Callable[[str], None] = lambda _: None
) -> FirstMonth:
    """The month, or its first `days`, from the deployment to the teardown."""
    with deployed(build) as (cloud, place, pid):
        month = Month(cloud=cloud, chat=place, drops_a_day=drops_a_day, cloud_pid=pid, logs=build / LOGS)
        month.history()
        month.heard()
        month.measure()
        said(f"deployed, {month.drops} drops, a first model: {month.cpu_s.pop():.0f} s of CPU")
        day = 0
        while day < days:
            if day in LATE:
                late_feed(month)
                month.measure(len(LATE))
                day = LATE[-1] + 1
                continue
            month.predict(day)
            if fault := FAULTS.get(day):
                fault(month, day)
            else:
                month.feed(day)
                month.evening(day)
                month.quiet(day)
            day += 1
            month.measure()
            said(f"day {day}: {month.drops} drops, {month.cpu_s[-1]:.1f} s of CPU")
        return concluded(month)


def concluded(month: Month) -> FirstMonth:
    environment = local_environment(month.cloud)
    held, letters = month.holders(), sum(one.messages for one in find_dead_queues(environment, NAMES))
    rows, standing = rows_of(month.cloud), _lines(month.cloud)
    runs = executions(month.cloud.client("stepfunctions"), NAMES, machines=["ingest"])
    answers = [answer for run in runs if run.is_good for answer in drops_of(run)]
    teardown(environment, said=lambda _: None, poll_s=0.2)
    return FirstMonth(
        drops=month.drops,
        told=len({answer.name for answer in answers if answer.committed or answer.rejected}),
        runs=len(runs),
        rows=rows,
        expected_rows=month.rows,
        predictions=month.predictions,
        fallbacks=month.fallbacks,
        dead_letters=letters,
        held=held,
        incidents=tuple(month.incidents),
        unexplained=tuple(month.unexplained),
        standing=standing,
        left=_lines(month.cloud),
        cpu_s=tuple(month.cpu_s),
    )


def rows_of(cloud: LocalCloud) -> int:
    """Of the Iceberg table, by its newest snapshot."""
    from pyiceberg.catalog.glue import GlueCatalog

    place = {"region": NAMES.platform.region, "access-key-id": "reader", "secret-access-key": "reader"}
    given = {f"{service}.{name}": value for service in ("glue", "s3") for name, value in place.items()}
    given |= {f"{service}.endpoint": cloud.endpoint_url for service in ("glue", "s3")}
    table = GlueCatalog("reader", **given).load_table(f"{NAMES.platform.database}.{NAMES.table('rows')}")
    return int(table.scan().to_arrow().num_rows)


def _lines(cloud: LocalCloud) -> tuple[str, ...]:
    lines = find_standing(local_environment(cloud), NAMES)
    found = [f"{line.count} {line.what}: {line.usd or 0:.2f} USD" for line in lines]
    found += [f"endpoint {one['EndpointName']}" for one in cloud.client("sagemaker").list_endpoints()["Endpoints"]]
    return tuple(found)


@contextmanager
def deployed(build: Path) -> Iterator[tuple[LocalCloud, Chat, int]]:
    """The app of one workload with a webhook, in a cloud of its own; its process."""
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
        yield cloud, place, process.popen.pid


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
