"""A failed execution whose status event never came is told by the sweep; one that was told is not told again."""

import itertools
import json
import sys
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError
from moto.events.models import EventPattern
from moto.stepfunctions.models import stepfunctions_backends

from millrace.errors import QueueError
from millrace.names import MACHINES
from millrace.operations.notices import NOTICES
from millrace.timestamps import format_utc, parse_utc

AS_OF = parse_utc("1997-06-01T07:00:00Z")


@pytest.fixture
def end(aws):
    """`end("train", "t1", minutes=20)`: an execution that was stopped so long after AS_OF; its ARN."""
    states, made = aws.machines(*MACHINES), set()

    def ended(machine, name, *, minutes, status="ABORTED"):
        backend, arn = stepfunctions_backends["123456789012"]["eu-west-1"], aws.names.execution_arn(machine, name)
        if arn not in made:
            made.add(arn)
            states.start_execution(stateMachineArn=aws.names.machine_arn(machine), name=name)
            states.stop_execution(executionArn=arn)
        execution = backend.describe_execution(arn)
        execution.status, execution.stop_date = status, AS_OF + timedelta(minutes=minutes)
        return arn

    return ended


@pytest.fixture
def load_sweep(aws, load):
    handler = load("sweep")

    def complete(parsed, **_):
        """Moto leaves the time out where an execution timed out; AWS and the local cloud do not."""
        backend = stepfunctions_backends["123456789012"]["eu-west-1"]
        for one in parsed.get("executions", []):
            one.setdefault("stopDate", backend.describe_execution(one["executionArn"]).stop_date)

    sys.modules["millrace.functions.sweep.handler"].STATES.meta.events.register(
        "after-call.sfn.ListExecutions", complete
    )
    return handler


@pytest.fixture
def hear(aws, load_sweep):
    """`hear(arn, minutes=20)`: Step Functions' event of the execution comes, as the rule hands it on."""

    def called(arn, *, minutes, status="ABORTED"):
        machine = arn.replace(":execution:", ":stateMachine:").rpartition(":")[0]
        detail = {"executionArn": arn, "stateMachineArn": machine, "status": status}
        at = format_utc((AS_OF + timedelta(minutes=minutes)).replace(microsecond=0))
        return load_sweep({"cause": "5c2a", "as_of": at, "detail": detail})

    return called


@pytest.fixture
def sweep(load_sweep, event, told):
    """`sweep(1)`: the names of the executions that the sweep of that hour told."""

    def run(hours=0):
        load_sweep(event("sweep", as_of=format_utc(AS_OF + timedelta(hours=hours))))
        return [one["detail"]["name"] for one in told()]

    return run


def noted(aws):
    items = aws.dynamodb.scan(TableName=aws.names.platform.state_table)["Items"]
    return [one["sk"]["S"] for one in items if one["sk"]["S"].startswith("reported#")]


def test_failures_whose_events_were_lost_are_told_once(aws, end, load_sweep, event, sweep, told):
    """Of every machine, however they have ended; neither what succeeded nor what runs."""
    sweep()
    lost = [*zip(MACHINES, itertools.cycle(("FAILED", "TIMED_OUT", "ABORTED")))]
    for machine, status in lost:
        end(machine, "lost", minutes=20, status=status)
    end("train", "good", minutes=20, status="SUCCEEDED")
    end("train", "runs", minutes=20, status="RUNNING")
    load_sweep(event("sweep", as_of=format_utc(AS_OF + timedelta(hours=1))))
    sent = [*told(), *told()]
    assert sorted((one["detail"]["machine"], one["detail"]["status"]) for one in sent) == sorted(
        (aws.names.machine_arn(machine), status) for machine, status in lost
    )
    assert sweep(2) == []
    assert sent[0]["detail"] == sent[0]["detail"] | {
        "workload": aws.names.workload,
        "run": aws.names.function_arn("sweep"),
        "name": "lost",
        "ended": "1997-06-01T07:20:00Z",
    }
    assert EventPattern.load(json.dumps(NOTICES["unheard-run"].pattern(aws.names.platform))).matches_event(sent[0])


def test_what_was_told_at_once_is_not_told_again(aws, end, sweep, hear):
    sweep()
    arn = end("train", "heard", minutes=20.01)
    assert hear(arn, minutes=20.01) == hear(arn, minutes=20.01) == {"execution_arn": arn}
    assert noted(aws) == [f"reported#{arn}"]
    assert (sweep(1), sweep(2), noted(aws)) == ([], [], [])


def test_of_two_failures_of_one_execution_the_lost_one_is_told(end, sweep, hear):
    """It was redriven, and failed again."""
    sweep()
    hear(end("train", "twice", minutes=11), minutes=11)
    end("train", "twice", minutes=40)
    assert sweep(1) == ["twice"]


def test_an_execution_that_has_just_ended_is_left_to_the_next_sweep(end, sweep, hear):
    """Its event may be on its way, or has come and is kept until then."""
    sweep()
    end("train", "late", minutes=55)
    hear(end("monitor", "heard", minutes=56), minutes=56)
    assert [sweep(1), sweep(2)] == [[], ["late"]]


def test_the_first_sweep_looks_back_for_an_hour_and_one_that_was_off_for_a_day_tells_all_of_it(end, sweep):
    """Not to the first failure that Step Functions remembers."""
    end("train", "old", minutes=-61)
    end("train", "new", minutes=-59)
    assert sweep() == ["new"]
    end("train", "lost", minutes=60)
    assert sweep(24) == ["lost"]


def test_what_the_bus_refuses_is_told_by_the_next_sweep(end, sweep):
    sweep()
    end("train", "lost", minutes=20)
    module = sys.modules["millrace.functions.sweep.handler"]

    class Refusing:
        def put_events(self, **_):
            return {"FailedEntryCount": 1, "Entries": [{"ErrorMessage": "no"}]}

    module.ROOM.events = Refusing()
    with pytest.raises(QueueError, match="refused"):
        sweep(1)
    del module.ROOM.events
    assert sweep(2) == ["lost"]


def test_another_error_of_step_functions_stops_the_sweep(end, sweep):
    module = sys.modules["millrace.functions.sweep.handler"]

    def refuse(**_):
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "ListExecutions")

    module.STATES.meta.events.register("before-call.sfn.ListExecutions", refuse)
    with pytest.raises(ClientError, match="Rate exceeded"):
        sweep()
