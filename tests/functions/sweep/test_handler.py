"""The sweep: what no running execution holds is free, whatever was lost on the way."""

import json
import sys
from dataclasses import replace
from datetime import timedelta

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.events.models import EventPattern
from moto.sagemaker.models import sagemaker_backends

from millrace.aws.endpoints import BROKEN, CHANGING
from millrace.operations.alarms import STAGE_ALARMS
from millrace.operations.notices import NOTICES
from millrace.release.registry import Registry
from millrace.state.climbing import Climbing
from millrace.state.pointers import Pointers
from millrace.state.retraining import LastRetraining
from millrace.state.reviews import ReviewQueue
from millrace.state.unanswered import UnansweredAlarm
from millrace.timestamps import format_utc, parse_utc
from tests.alarm import put_alarm
from tests.builders import candidate, version
from tests.millrace.state.test_reviews import ITEM_0

AS_OF = parse_utc("1997-06-01T07:00:00Z")
VERSION = version("1")


@pytest.fixture
def start(aws):
    """`start("ingest", "a1")`: a running execution of the machine; its ARN."""
    states, arn_of = aws.machines("ingest", "release"), aws.names.machine_arn
    return lambda machine, name: states.start_execution(stateMachineArn=arn_of(machine), name=name)["executionArn"]


@pytest.fixture
def sweep(aws, load, event):
    """`sweep(hours=1)`: the sweep of that hour, its answer and the events that `cleanup` was called with."""
    handler, calls = load("sweep"), []

    class Lambda:
        def invoke(self, **given):
            calls.append(given)

    sys.modules["millrace.functions.sweep.handler"].LAMBDA = Lambda()

    def run(hours=0):
        calls.clear()
        answer = handler(event("sweep", as_of=format_utc(AS_OF + timedelta(hours=hours))))
        assert all(one["InvocationType"] == "Event" for one in calls)
        return answer, [json.loads(one["Payload"]) for one in calls]

    return run


def taken(aws):
    """The holder of each slot and lease, without its machine."""
    return {one.holder.rpartition(":")[2] for held in (aws.slots, aws.leases) for one in held.holdings()}


def test_what_no_running_execution_holds_is_free(aws, start, sweep):
    """One runs, one has ended and its event was lost, two were never started, of which one is about to be, and a sweep
    could not give its lease back."""
    runs, ended = start("ingest", "runs"), start("ingest", "ended")
    boto3.client("stepfunctions").stop_execution(executionArn=ended, error="Broken")
    never, late = (aws.names.execution_arn("ingest", name) for name in ("never", "late"))
    for holder in (runs, ended, never, late):
        aws.slots.take("ingest-training", holder=holder, limit=4)
    aws.leases.take("release", holder="sweep 1", as_of=AS_OF, expires_at=AS_OF + timedelta(hours=1))
    for hours in (0, 0.4):  # a sweep that is repeated soon frees nothing
        answer, calls = sweep(hours)
        assert (answer["ended"], answer["freed"]) == ([ended], [])
        assert [(call["detail"]["executionArn"], call["detail"]["status"]) for call in calls] == [(ended, "ABORTED")]
    aws.slots.free(ended)  # as `cleanup` does
    aws.slots.take("ingest-training", holder=late, limit=4)  # its drop comes again, whose first start failed
    assert sorted(sweep(1)[0]["freed"]) == ["lease#release", "slots#ingest-training"]
    start("ingest", "late")
    assert sweep(2) == ({"ended": [], "freed": [], "deleted": []}, [])
    assert taken(aws) == {"runs", "late"}


def test_a_slot_that_is_taken_again_while_the_sweep_looks_stays(aws, start, sweep):
    start("ingest", "another")
    missing = aws.names.execution_arn("ingest", "late")
    aws.slots.take("ingest-training", holder=missing, limit=2)
    sweep()
    module = sys.modules["millrace.functions.sweep.handler"]

    def take(**_):
        aws.slots.take("ingest-training", holder=missing, limit=2)

    module.STATES.meta.events.register("before-call.sfn.DescribeExecution", take)
    assert sweep(1)[0]["freed"] == []
    assert taken(aws) == {"late"}


@pytest.fixture
def challenger(aws):
    """An endpoint that a release left behind."""
    aws.endpoint(aws.names.challenger, model="m", config="c")
    put_alarm(boto3.client("cloudwatch"), f"{aws.names.prefix}-v2-5d2c7e-0-0-live-errors")


def begins_at_the_first_look(aws, function, release):
    """The release has the lease as soon as the function looks at an endpoint."""
    module = sys.modules[f"millrace.functions.{function}.handler"]
    describe = module.LEFTOVERS.sagemaker.describe_endpoint

    class Slow:
        def describe_endpoint(self, **given):
            aws.leases.take("release", holder=release, as_of=AS_OF, expires_at=AS_OF + timedelta(days=60))
            return describe(**given)

    module.LEFTOVERS = replace(module.LEFTOVERS, sagemaker=Slow())


def endpoints(aws):
    return [one["EndpointName"] for one in aws.sagemaker.list_endpoints()["Endpoints"]]


def test_a_release_that_begins_while_the_sweep_looks_keeps_its_challenger(aws, start, sweep, challenger):
    release = start("release", "r1")
    begins_at_the_first_look(aws, "sweep", release)
    assert sweep()[0]["deleted"] == []
    assert (endpoints(aws), aws.leases.find("release").holder) == ([aws.names.challenger], release)


@pytest.fixture
def live(aws, challenger):
    """`live("InService")`: the live endpoint is in this state; there is no challenger."""
    aws.sagemaker.delete_endpoint(EndpointName=aws.names.challenger)
    aws.sagemaker.create_endpoint(EndpointName=aws.names.endpoint, EndpointConfigName="c")

    def put(status):
        sagemaker_backends["123456789012"]["eu-west-1"].endpoints[aws.names.endpoint].endpoint_status = status

    return put


@pytest.fixture
def registered(aws):
    """`registered("Approved", was_live=True)`: the registry has a version with this approval."""

    def put(approval, was_live=False):
        aws.sagemaker.create_model_package(
            ModelPackageGroupName=aws.names.package_group,
            ModelApprovalStatus=approval,
            CustomerMetadataProperties={"was_live": "r"} if was_live else {"run": "r"},
        )

    return put


PENDING, LIVE, REFUSED = [("PendingManualApproval", False)], [("Approved", True)], [("Rejected", True)]
STANDS = {
    "nobody was promoted to it": (PENDING, "InService", {}, "deleted"),
    "nobody was, and it is broken": (PENDING, BROKEN[0], {}, "deleted"),
    "nobody was, and it changes": (PENDING, CHANGING[0], {}, "left"),
    # A person may have refused the version since; without any version there is no evidence.
    "the pointers are lost": (LIVE + PENDING, "InService", {}, "told"),
    "the pointers are lost, it was refused": (REFUSED, "InService", {}, "told"),
    "the registry is empty": ([], "InService", {}, "told"),
    "it is live": ([], "InService", {"live": True}, "left"),
    "it is live and broken": ([], BROKEN[0], {"live": True}, "left"),
    # In service and marked as live, and only then named by the pointers.
    "its release runs": (LIVE, "InService", {"releases": True}, "left"),
}
"""The versions of the registry, the status of the live endpoint, what else there is, and what becomes of it."""


@pytest.mark.parametrize("case", STANDS)
def test_what_becomes_of_a_live_endpoint(case, aws, start, sweep, live, registered, told):
    versions, status, more, becomes = STANDS[case]
    for one in versions:
        registered(*one)
    live(status)
    release = start("release", "r1")
    if "live" in more:
        aws.pointers.move(Pointers(champion=VERSION))
    if "releases" in more:
        aws.leases.take("release", holder=release, as_of=AS_OF, expires_at=AS_OF + timedelta(days=60))
    deleted, name, events = sweep()[0]["deleted"], aws.names.endpoint, told()
    assert (f"endpoint {name}" in deleted, endpoints(aws)) == (becomes == "deleted", [name] * (becomes != "deleted"))
    assert len(events) == (becomes == "told")
    for event in events:
        run = aws.names.function_arn("sweep")
        told_of = {"workload": aws.names.workload, "run": run, "cause": event["detail"]["cause"], "endpoint": name}
        assert (event["source"], event["detail-type"], event["detail"]) == ("millrace", "endpoint.orphaned", told_of)
        pattern = NOTICES["orphaned-endpoint"].pattern(aws.names.platform)
        assert EventPattern.load(json.dumps(pattern)).matches_event(event)


@pytest.fixture
def raised(aws):
    """`raised("error")` raises the alarm; False ends it. An alarm of a canary is always raised."""
    cloudwatch = boto3.client("cloudwatch")

    def turn(name, on=True):
        put_alarm(cloudwatch, aws.names.alarm(name))
        state = {"StateValue": "ALARM" if on else "OK", "StateReason": "test"}
        cloudwatch.set_alarm_state(AlarmName=aws.names.alarm(name), **state)

    turn("v3-errors")
    return turn


def reminders(sweep, told, hours):
    """By hour what was told in its sweep."""
    found = {}
    for hour in hours:
        sweep(hour)
        if events := told():
            found[hour] = [one["detail"] for one in events]
    return found


def test_of_an_alarm_people_are_reminded_later_and_later_then_its_owner(aws, sweep, told, raised):
    raised("error")
    found = reminders(sweep, told, (0, 1, 23, 24, 47, 48, 95, 96, 97, 191, 192))
    assert {hour: [(one["reminder"], one["urgency"]) for one in all_] for hour, all_ in found.items()} == {
        24: [(1, "reminder")], 48: [(2, "reminder")], 96: [(3, "escalation")], 192: [(4, "escalation")]
    }  # fmt: skip
    assert found[96][0].items() >= {
        "alarm": "error", "since": "1997-06-01T07:00:00Z", "hours": 96, "owner": "energy-ml",
        "runbook": "docs/runbooks.md#error",
    }.items()  # fmt: skip
    for hour, name in ((24, "unanswered-alarm"), (96, "escalated-alarm")):
        event = {"source": "millrace", "detail-type": "alarm.unanswered", "detail": found[hour][0]}
        assert [
            one
            for one in ("unanswered-alarm", "escalated-alarm")
            if EventPattern.load(json.dumps(NOTICES[one].pattern(aws.names.platform))).matches_event(event)
        ] == [name]
    raised("error", on=False)
    assert reminders(sweep, told, (400,)) == {}
    raised("error")
    assert [*reminders(sweep, told, (401, 402, 425))] == [425], "it begins anew"


def test_who_has_acknowledged_an_alarm_is_not_reminded_until_it_is_raised_anew(aws, sweep, told, raised):
    raised("error")
    UnansweredAlarm(alarm="error", since=AS_OF).acknowledge(aws.state, by="arn:ann")
    assert reminders(sweep, told, (0, 24, 400)) == {}
    raised("error", on=False)
    sweep(401)
    raised("error")
    assert [*reminders(sweep, told, (402, 426))] == [426]


@pytest.mark.parametrize(("alarm", "again"), [("error", []), ("figures", []), ("dead-letters", [48])])
def test_a_retraining_acts_on_the_alarms_that_start_one(alarm, again, aws, sweep, told, raised):
    raised(alarm)
    assert [*reminders(sweep, told, (0, 24))] == [24]
    LastRetraining.record(aws.state, execution_arn="arn:x", as_of=AS_OF + timedelta(hours=30), labels_total=0)
    assert [*reminders(sweep, told, (48,))] == again


def test_an_orphaned_endpoint_is_told_once_a_day(aws, sweep, live, registered, told):
    registered("Approved", was_live=True)
    live("InService")
    counts = []
    for hour in (0, 1, 23, 24, 25):
        sweep(hour)
        counts.append(len(told()))
    assert counts == [1, 0, 0, 1, 0]


def test_a_registry_that_gives_no_answer_is_no_evidence(aws, sweep, live, registered, told):
    registered("PendingManualApproval")
    live("InService")

    class Refusing:
        def get_paginator(self, name):
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, name)

        describe_endpoint = aws.sagemaker.describe_endpoint

    module = sys.modules["millrace.functions.sweep.handler"]
    module.LEFTOVERS = replace(module.LEFTOVERS, sagemaker=Refusing())
    with pytest.raises(ClientError, match="Rate exceeded"):
        sweep()
    assert endpoints(aws) == [aws.names.endpoint]


def restored(aws):
    """The releases that restore the live version."""
    states, machine = boto3.client("stepfunctions"), aws.names.machine_arn("release")
    found = states.list_executions(stateMachineArn=machine)["executions"]
    given = [json.loads(states.describe_execution(executionArn=one["executionArn"])["input"]) for one in found]
    return [one["rollback"] for one in given if "rollback" in one]


@pytest.mark.parametrize("model", ["another", "m"])
def test_the_live_version_is_restored_once_a_day_until_it_serves(model, aws, start, sweep, live):
    """Also if the endpoint has only lost its scaling. A release that runs may be about to do so."""
    running = start("release", "r1")
    aws.pointers.move(Pointers(champion=replace(VERSION, model_name=model)))
    aws.leases.take("release", holder=running, as_of=AS_OF, expires_at=AS_OF + timedelta(hours=1))
    sweep()
    aws.leases.free(running)
    live("Updating")
    sweep(1)
    assert restored(aws) == []
    live("InService")
    for hours in (2, 3, 30):
        sweep(hours)
    assert [(one["to"], one["who"], one["restores"]) for one in restored(aws)] == [("1", "sweep", True)] * 2


def test_a_record_that_the_chain_lacks_is_a_metric_of_the_stage(aws, sweep, capsys):
    """However it is kept from the chain; without one there is no metric, which would cost."""
    sweep()
    sweep(3)
    assert "AuditAge" not in capsys.readouterr().out
    aws.dynamodb.put_item(
        TableName=aws.names.platform.audit_table, Item={"pk": {"S": aws.names.workload}, "sk": {"S": "a"}}
    )
    for hour in (6, 9):
        sweep(hour)
    (metric,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    (watched,) = [one for one in STAGE_ALARMS["late-audit"].metrics(aws.names.platform) if one.name == "AuditAge"]
    (declared,) = metric["_aws"]["CloudWatchMetrics"]
    assert (declared["Namespace"], declared["Dimensions"]) == (watched.namespace, [[*watched.dimensions]])
    assert {name: metric[name] for name in watched.dimensions} == watched.dimensions
    assert metric["AuditAge"] == [3 * 3600 * 1000.0] > [STAGE_ALARMS["late-audit"].threshold]


def test_a_version_that_nobody_approves_in_time_is_refused(aws, sweep, monkeypatch):
    registry = Registry(aws.sagemaker, group=aws.names.package_group)
    made = [registry.register(candidate(run=run)) for run in ("late", "fresh")]
    kept = sagemaker_backends["123456789012"]["eu-west-1"].model_packages
    for package, hours in zip(made, (168, 167), strict=True):
        kept[package.arn].creation_time = AS_OF - timedelta(hours=hours)
    sweep()
    assert {one.version for one in registry.waiting()} == {"1", "2"}, "nobody has to approve one"
    module = sys.modules["millrace.functions.sweep.handler"]
    module.ROOM.settings = module.ROOM.settings.model_copy(update={"approval": "person"})
    sweep()
    assert [one.version for one in registry.waiting()] == ["2"]
    assert registry.describe(made[0].arn).said == "nobody has approved it within 168 hours"


@pytest.mark.parametrize("phase", ["assisted", "canary", None])
def test_items_of_a_phase_that_has_ended_are_withdrawn(aws, declare, load, event, phase):
    """Nobody is asked any more about a version that has left the phase `assisted`."""
    declare({"phases: [live]": "phases: [assisted, live]"}, "policy: {automate: {confidence: 0.5}}\n")
    handler, times = load("sweep"), {"opened_at": AS_OF - timedelta(hours=2), "expires_at": AS_OF + timedelta(days=7)}
    state, queue = aws.state, ReviewQueue(aws.dynamodb, aws.names)
    if phase:
        Climbing(execution="arn:release", version="3", phase=phase, since=AS_OF).put(state)
    for name, reason, model_version in (
        ("stopped", "assisted", "2"),
        ("blind", "assisted_blind", "2"),
        ("now", "assisted", "3"),
        ("label", "labels_wanted", "2"),
    ):
        queue.open(replace(ITEM_0, **times, id=name, reason=reason, model_version=model_version))
    handler(event("sweep"))
    left = {one.id for one in queue.waiting(most=10, now=AS_OF)}
    assert left == ({"now", "label"} if phase == "assisted" else {"label"})
    assert queue.find(["stopped"])["stopped"].status == "withdrawn"
