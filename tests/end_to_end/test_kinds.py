"""Every kind of answer and row lives through the same story: rows come in all ways, a second version is trained and
climbs, callers hear who else can answer when the endpoints are gone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from millrace.console.actions.part import make_part
from millrace.console.actions.reviews import Reviewer
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM, SECRET_VARIABLE, started
from millrace.console.queries.labels import find_labels
from millrace.console.queries.monitoring import find_monitor_runs, windows
from millrace.console.queries.plan import Declared
from millrace.console.queries.policy_trial import try_policy
from millrace.decisions.record import Decision
from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.names import WorkloadNames
from millrace.tasks import catalogue as tasks
from millrace.tasks.answer import MOMENT
from millrace.workload.load import workloads_folder
from tests.end_to_end.callers import create_caller, declare_api, status, typed
from tests.end_to_end.conftest import Witness
from tests.end_to_end.everything import check_forgotten, everything, whereabouts
from tests.kinds import CLOCK, KINDS, DataKind, merged
from tests.live import Live
from tests.mails import mails
from tests.postgres import USER, asked, running
from tests.receiver import Receiver, listening

ASKED, REQUESTS, SIGNING = 24, 30, "crm/signing"
BUS, TOPIC, READER, WRITER = "orders", "desk", "desk@example.com", "ledger/writer"
NEVER = "cron(0 7 1 1 ? 2199)"
DECLARED: dict[str, Any] = {
    "rollout": {
        "phases": ["canary", "live"],
        "canary": {"share": 0.5, "requests": REQUESTS, "limit_days": 2},
    },
    "policy": {"held_out": 0.2},
    "training": {"parameters": {"epochs": 6}},
    "explanations": {"rows": 2},
    "gates": {"latency": {"max_p99_ms": 500}},
    "stream": {},
    "jobs": {},
    "retraining": {"schedule": NEVER},
}


LEDGER = {"id": "text PRIMARY KEY", "workload": "text", "answer": "jsonb", "decided_at": "timestamptz"}


def propose(folder: Path, name: str, kind: DataKind, receiver: Receiver, ledger: int) -> None:
    """The workload as `millrace new` proposes it for the known rows, and what all kinds declare beside it."""
    file = folder / f"{name}.parquet"
    pq.write_table(kind.rows.slice(0, kind.known), file)
    words = [word for label in kind.label for word in ("--label", label)] + [*kind.words]
    if kind.part:
        words += ["--part", str(folder / f"{kind.part}.safetensors")]
        make_part(kind.part, Path(words[-1]))
    typed("new", name, "--from", str(file), *words, "--minutes", "0", "--build", str(folder / "build"))
    path = folder / "workloads" / name / "workload.yaml"
    document = yaml.safe_load(path.read_text())
    consumers = {
        "crm": {"to": "webhook", "url": receiver.url, "secret": SIGNING, "stages": ["local"]},
        "orders": {"to": "event", "bus": BUS},
        "desk": {"to": "mail", "topic": TOPIC, "actions": ["review"]},
        "ledger": {"to": "postgres", "host": "127.0.0.1", "port": ledger, "database": "postgres", "secret": WRITER,
                   "table": "decisions", "columns": {name: name for name in LEDGER}, "stages": ["local"]},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(merged(merged(document, DECLARED | {"consumers": consumers}), kind.declared)))


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with listening(Receiver("only the two of us know")) as found:
        yield found


@pytest.fixture(scope="module")
def ledger() -> Iterator[int]:
    """The port of a PostgreSQL that has the table of the consumers."""
    with running() as port:
        asked(port, f"CREATE TABLE decisions ({', '.join(map(' '.join, LEDGER.items()))})")
        yield port


@pytest.fixture(scope="module")
def clouds(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, ledger: int
) -> Iterator[dict[str, Live]]:
    """One cloud in which a first version of each kind was trained that is to be looked at."""
    here = [item for item in request.session.items if item.path == request.path and isinstance(item, pytest.Function)]
    names = {str(item.callspec.params["name"]): None for item in here}
    folder = tmp_path_factory.mktemp("kinds")
    declare_api(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder / "workloads"))
        for name in names:
            propose(folder, name, KINDS[name], receiver, ledger)
        with started(folder / "build", clock=CLOCK, workloads=list(names)) as cloud:
            patch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)
            patch.setenv(SECRET_VARIABLE, cloud.secret)
            receiver.clock = lambda: cloud.now().timestamp()
            for secret, text in {SIGNING: receiver.secret, WRITER: json.dumps(USER)}.items():
                cloud.client("secretsmanager").create_secret(Name=secret, SecretString=text)
            place = {"endpoint_url": cloud.endpoint_url, "secret": cloud.secret}
            workloads = {name: WorkloadNames(platform=PLATFORM, workload=name) for name in names}
            found = {name: Live(**place, names=one) for name, one in workloads.items()}
            for name, live in found.items():
                live.put("training/known", KINDS[name].rows.slice(0, KINDS[name].known))
            for live in found.values():
                live.rest()
            yield found


@pytest.fixture(scope="module")
def bus(clouds: dict[str, Live]) -> Witness:
    """Who hears the bus of the consumers; somebody reads their topic."""
    found = Witness(cloud=next(iter(clouds.values())), buses=(BUS,), name=BUS)
    found.cloud.client("events").create_event_bus(Name=BUS)
    found.stand_up()
    sns = found.cloud.client("sns")
    sns.subscribe(TopicArn=sns.create_topic(Name=TOPIC)["TopicArn"], Protocol="email", Endpoint=READER)
    return found


NIGHT = pytest.mark.night("by day those kinds live through it that differ most")


@pytest.fixture(params=[pytest.param(name, marks=[NIGHT] if kind.night else []) for name, kind in KINDS.items()])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kind(name: str) -> DataKind:
    return KINDS[name]


@pytest.fixture
def cloud(clouds: dict[str, Live], bus: Witness, name: str) -> Live:
    return clouds[name]


def kept(cloud: Live, source: str) -> list[Decision]:
    """The decisions in the lake that came so, in the order of their rows."""
    cloud.rest()
    found = [one for one in cloud.recorded() if one.source == source]
    return sorted(found, key=lambda one: [int(part) for part in re.findall(r"-(\d+)", one.id)[-1:]])


def as_told(value: Any) -> Any:
    """The value, or a number that is near it: what is answered together is added up in another order."""
    return value if isinstance(value, str) else pytest.approx(value, rel=1e-4)


def check_same(said: Sequence[Mapping[str, Any]], decisions: Sequence[Decision]) -> None:
    """The decisions are those of the requests for the same rows; who is not told an answer is told none either way."""
    for one, decision in zip(said, decisions, strict=True):
        assert (decision.action, decision.reason, decision.model_version) == (one["action"], one["reason"], "1")
        if one["reason"] != "held_out":
            assert decision.value == as_told(one["value"])


def test_the_same_rows_have_the_same_answers_by_request_file_stream_and_job(
    cloud: Live, kind: DataKind, name: str
) -> None:
    rows = kind.requested(0, ASKED)
    said = cloud.ask(f"{name}-first", rows)
    assert {(one["model_version"], one["fallback"]) for one in said} == {("1", False)}
    assert {one["reason"] for one in said} > {"held_out"}
    cloud.drop("scoring/asked", kind.asked(0, ASKED))
    check_same(said, kept(cloud, "batch"))
    records = [
        {"Data": json.dumps({"id": f"{name}-{at}", "row": row}), "PartitionKey": "1"} for at, row in enumerate(rows)
    ]
    cloud.client("kinesis").put_records(StreamName=cloud.names.stream, Records=records)
    of_stream = {one.id: one for one in kept(cloud, "stream")}
    check_same(said, [of_stream[f"{name}-{at}-stream"] for at in range(ASKED)])
    status, _, job = create_caller(cloud, cloud.names, f"shop-{name}").send("POST", f"/{name}/jobs", {"rows": rows})
    assert status == 202, job
    check_same(said, kept(cloud, "async"))


def test_consumers_get_each_decision_that_acts_and_a_mail_says_what_waits(
    cloud: Live, receiver: Receiver, bus: Witness, ledger: int
) -> None:
    cloud.rest()
    recorded = cloud.recorded()
    acting = {one.id: one for one in recorded if one.action == "automated"}
    assert len(acting) > ASKED
    events = {one["detail"]["id"]: one["detail"] for one in bus.told("decision.made")}
    written = {
        name: {"workload": workload, "answer": answer}
        for name, workload, answer in asked(ledger, "SELECT id, workload, answer FROM decisions")
    }
    for told in (receiver.acted, events, written):
        came = {name: one for name, one in told.items() if one["workload"] == cloud.names.workload}
        assert came.keys() == acting.keys()
        assert all(came[name]["answer"]["value"] == as_told(one.value) for name, one in acting.items())
    lines = {line.partition("  ")[0] for mail in mails(cloud, READER) for line in mail.splitlines()}
    assert lines >= {one.id for one in recorded if one.action == "review" and one.source != "batch"} != set()
    assert not lines & acting.keys()


def test_people_decide_what_is_held_out_and_their_answer_is_its_label_and_acts(
    cloud: Live, kind: DataKind, receiver: Receiver
) -> None:
    environment = local_environment(cloud)
    person = Reviewer.of(environment, cloud.names, source="terminal")
    while (held := person.next()) and held.item.reason != "held_out":
        person.skip(held)
    assert held is not None
    assert held.item.is_blind
    truth, spec = kind.truth(held.item.key), person.question.prediction
    person.answer(held, truth, seconds=5)
    cloud.rest()
    assert held.item.id not in receiver.acted, "an answer can be taken back for a while"
    person.finish()
    cloud.rest()
    (decision,) = [one for one in cloud.recorded() if one.id == held.item.id]
    (labels,) = find_labels(environment, cloud.names, [decision]).values()
    assert "/labels/review/" in labels[0].drop
    told, task = receiver.acted[held.item.id], tasks.declare(spec, person.question.labels.column(spec.label_columns[0]))
    assert (told["action"], told["reason"], told["model_version"]) == ("answered", "held_out", None)
    assert (told["key"], told["answer"].keys()) == (decision.key, decision.told.keys())
    assert task.error(told["answer"]["value"], [*truth.values()] if isinstance(truth, dict) else truth) == 0
    assert told["answer"].get(MOMENT) == decision.predicted_for
    edited = Declared.read(workloads_folder() / cloud.names.workload)
    assert "dry run on" in try_policy(environment, cloud.names, cloud.champion(), edited.workload, edited.contract)


def test_a_version_of_more_rows_is_trained_and_goes_live_after_a_canary(cloud: Live, kind: DataKind, name: str) -> None:
    cloud.drop("training/more", kind.rows.slice(kind.known))
    typed("train", "--workload", name)
    cloud.rest()
    assert status("2", "--workload", name) == "canary"
    cloud.move_clock(cloud.now() + timedelta(seconds=15))  # what functions have read of the pointers is older than that
    rows = kind.requested(0, ASKED)
    heard = [cloud.ask(f"{name}-canary-{at}", [rows[at % ASKED]])[0]["model_version"] for at in range(3 * REQUESTS)]
    assert set(heard) == {"1", "2"}
    cloud.later(minutes=16)
    assert cloud.champion().version == "2"


def test_without_endpoints_those_answer_who_are_declared(cloud: Live, kind: DataKind, name: str) -> None:
    # Of a key its newest rows are known; a rule that looks back finds no label before older ones.
    rows, sagemaker = kind.requested(len(kind.rows) - kind.known - ASKED, ASKED), cloud.client("sagemaker")
    for endpoint, who in zip((cloud.names.endpoint, cloud.names.challenger), kind.fallback, strict=False):
        sagemaker.delete_endpoint(EndpointName=endpoint)
        cloud.move_clock(cloud.now() + timedelta(seconds=40))
        by = next(iter(who)) if isinstance(who, Mapping) else who
        said = [one for one in cloud.ask(f"{name}-without-{by}", rows) if one["reason"] != "held_out"]
        assert {one.get("answered_by") for one in said} == {by}
        assert all(one["value"] is not None for one in said)


def test_a_monitor_has_figures_of_the_week(cloud: Live) -> None:
    cloud.go_to(max(cloud.now() + timedelta(seconds=1), CLOCK + timedelta(days=10)))
    runs = find_monitor_runs(local_environment(cloud), cloud.names, limit=20)
    found, decided = windows(sorted(runs, key=lambda run: run.started)), cloud.recorded()
    assert found
    for week in found:
        assert week.decisions == sum(week.start <= one.event_time.date() < week.end for one in decided)
    assert any(week.ratios["input-drift"] is not None for week in found), found


@pytest.mark.parametrize("name", ["intent", pytest.param("recommended", marks=[NIGHT])])
def test_nothing_has_the_texts_of_people_who_were_erased(cloud: Live, kind: DataKind, bus: Witness, name: str) -> None:
    """Those of the newest hundred rows that were learnt or asked and of a sample, that nobody else has written."""
    cloud.ask(f"{name}-erased", kind.requested(0, ASKED))
    cloud.rest()
    text = {"intent": "text", "recommended": "review_text"}[name]
    samples = [body for store, body in everything(cloud) if f"/{name}/" in store and store.endswith(SAMPLE_FILE)]
    shown = {each.decode() for body in samples for each in re.findall(rb'"key": {"id": "([^"]+)"', body)}
    newest, rows = kind.rows.slice(kind.known - 100 + ASKED, 100).to_pylist(), kind.rows.to_pylist()
    people = {row["id"] for row in newest} | shown
    wrote, rows = "\n".join(row[text] for row in rows), [row for row in rows if row["id"] in people]
    marks = [
        (row["id"], mark.encode()) for row in rows for mark in (row["id"], row[text]) if mark and wrote.count(mark) < 2
    ]

    def known(body: bytes) -> set[str]:
        return {person for person, mark in marks if mark in body}

    bus.look()  # what consumers have got stays theirs
    found = whereabouts(cloud, known)
    places = ("landing", "lake", "artefacts", "state") if shown else ("a sample",)
    assert [place for place in places if not any(f"-{place}" in store for store in found)] == [], found.keys()
    check_forgotten(cloud, name, people, known)
