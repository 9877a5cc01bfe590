"""What goes wrong in a deployed workload reaches the topic of alarms: nobody sets a state or publishes by hand."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from millrace.console.demo.electricity import STORY
from millrace.console.demo.months import SAMPLE, Month, months
from millrace.console.environment import Environment
from millrace.console.local_cloud.local_cloud import LocalCloud
from millrace.console.queries.alarms import Receiver, find_alarm_states, find_receivers
from millrace.console.queries.dead_letters import find_dead_queues, read_dead_letters, redrive
from millrace.errors import EnvironmentNotFoundError
from millrace.monitoring.alarms import FIGURES, monitor_alarms
from millrace.operations.alarms import ALARMS, ENDPOINT_ALARMS, SERVING, STAGE_ALARMS
from tests.end_to_end.conftest import REST_S, control
from tests.localcloud.waiting import until
from tests.mails import ADDRESS, mails

NAMES = STORY.names
LANDING = NAMES.platform.bucket("landing")


def mailed(cloud: LocalCloud, begins: str) -> str:
    """The first mail that begins so, as soon as it is there."""
    return until(lambda: next((mail for mail in mails(cloud) if mail.startswith(begins)), ""))


def states(environment: Environment) -> dict[str, str]:
    return {one.name: one.state for one in find_alarm_states(environment, NAMES, ())}


def counted(environment: Environment) -> dict[str, int]:
    """The queues that hold dead letters, and how many."""
    return {one.queue: one.messages for one in find_dead_queues(environment, NAMES) if one.messages}


def test_at_rest_nothing_is_raised_and_the_address_waits_for_its_owner(environment: Environment) -> None:
    found = {one.name: one for one in find_alarm_states(environment, NAMES, ())}
    of_workload = ALARMS | ENDPOINT_ALARMS | monitor_alarms(None)
    assert found.keys() == of_workload.keys() | STAGE_ALARMS.keys() | {SERVING, FIGURES}
    assert [one.name for one in found.values() if one.state == "ALARM"] == []
    assert (found["dead-letters"].severity, found["dead-letters"].runbook) == (
        "act",
        "docs/runbooks.md#dead-letters",
    )
    assert find_receivers(environment, NAMES) == (Receiver(protocol="email", endpoint=ADDRESS, is_confirmed=False),)


def test_a_message_that_is_no_drop_becomes_a_dead_letter_an_alarm_and_a_mail(
    cloud: LocalCloud, environment: Environment
) -> None:
    """A folder that somebody makes in S3's console is an object with an empty name."""
    cloud.client("s3").put_object(Bucket=LANDING, Key=f"{NAMES.workload}/training/", Body=b"")
    mail = mailed(cloud, f"ALARM {NAMES.alarm('dead-letters')}")
    assert mail.endswith("(act; docs/runbooks.md#dead-letters)")
    assert states(environment)["dead-letters"] == "ALARM"
    assert counted(environment) == {"drops": 1}
    (letter,) = read_dead_letters(environment, NAMES, "drops")
    assert "expected s3://" in letter.attributes["reason"]
    assert json.loads(letter.body)["detail"]["object"]["key"] == f"{NAMES.workload}/training/"
    # It is no drop when it comes back either, so it is a dead letter again, with another id.
    assert redrive(environment, NAMES, "drops") == 1
    (again,) = until(lambda: [one for one in read_dead_letters(environment, NAMES, "drops") if one.id != letter.id])
    assert again.attributes["reason"] == letter.attributes["reason"]
    assert counted(environment) == {"drops": 1}
    with pytest.raises(EnvironmentNotFoundError, match="expected a queue that a function reads"):
        redrive(environment, NAMES, "events")


def test_a_rejected_drop_is_mailed_with_its_key_and_reason(cloud: LocalCloud) -> None:
    key = f"{NAMES.workload}/training/empty.parquet"
    version = cloud.client("s3").put_object(Bucket=LANDING, Key=key, Body=b"")["VersionId"]
    mail = mailed(cloud, "REJECTED")
    assert mail.startswith(
        f"REJECTED: drop s3://{LANDING}/{key}?versionId={version} of {NAMES.workload}, reason empty, "
    )
    assert mail.endswith("(look; docs/runbooks.md#rejected-drop)")
    assert "owner: that of the workload" in mail


def test_a_figure_of_the_business_is_mailed_and_asks_for_a_retraining(cloud: LocalCloud) -> None:
    """Once the day is over. The guard weighs it like an alarm of the monitor: here no version is live."""
    spent = [{"MetricName": "DearLoadCost", "Value": 10_000.0 + each} for each in (0, 1)]
    cloud.client("cloudwatch").put_metric_data(Namespace="Market", MetricData=spent)
    cloud.wait(timeout_s=REST_S)
    assert not [mail for mail in mails(cloud) if NAMES.alarm(FIGURES) in mail]
    cloud.move_clock((cloud.now() + timedelta(days=1)).replace(hour=0, minute=1))
    expected = "dear_load above 20000 (look; docs/runbooks.md#figures)"
    assert mailed(cloud, f"ALARM {NAMES.alarm(FIGURES)}").endswith(expected)
    machine, states = NAMES.machine_arn("retrain"), cloud.client("stepfunctions")
    [run] = until(lambda: states.list_executions(stateMachineArn=machine, statusFilter="SUCCEEDED")["executions"])
    told = states.describe_execution(executionArn=run["executionArn"])
    assert NAMES.alarm(FIGURES) in told["input"]
    assert "there is no champion yet" in told["output"]


def drop_refused(cloud: LocalCloud, name: str, *, every: int) -> None:
    """Two days of rows; each so many of them has a demand beyond the contract's range."""
    (month,) = months(SAMPLE, "1996-05", "1996-05")
    rows = month.rows.slice(0, 96)
    demand = pa.array(
        [17.5 if at % every == 0 else cell for at, cell in enumerate(rows["nswdemand"].to_pylist())], pa.float64()
    )
    body = Month(name=name, rows=rows.set_column(rows.schema.get_field_index("nswdemand"), "nswdemand", demand)).drop()
    cloud.client("s3").put_object(Bucket=LANDING, Key=f"{NAMES.workload}/training/{name}.parquet", Body=body)


def test_a_larger_share_of_refused_rows_is_an_alarm_and_a_drop_without_a_good_row_another(
    cloud: LocalCloud, environment: Environment
) -> None:
    drop_refused(cloud, "half", every=2)
    assert mailed(cloud, f"ALARM {NAMES.alarm('refused-share')}").endswith("(look; docs/runbooks.md#refused-share)")
    assert states(environment)["refused-drops"] != "ALARM"
    drop_refused(cloud, "whole", every=1)
    assert mailed(cloud, f"ALARM {NAMES.alarm('refused-drops')}").endswith("(act; docs/runbooks.md#refused-drops)")


def predict(cloud: LocalCloud, *rows: Any) -> None:
    """A call that gets fallbacks, as no endpoint is there; with `rows`, one of which none keeps the contract."""
    (month,) = months(SAMPLE, "1997-01", "1997-01")
    payload = json.dumps({"rows": rows or next(iter(month.days()))}).encode()
    answer = json.loads(cloud.client("lambda").invoke(FunctionName=NAMES.prediction, Payload=payload)["Payload"].read())
    assert len(answer["rejected"]) == len(rows)
    assert all(one["fallback"] for one in answer["predictions"])


def test_a_caller_whose_rows_are_all_refused_is_an_alarm(cloud: LocalCloud, environment: Environment) -> None:
    predict(cloud, {"timestamp": "yesterday"})
    cloud.wait(timeout_s=REST_S)
    assert states(environment)["refused-calls"] != "ALARM", "somebody tries"
    cloud.move_clock(cloud.now() + timedelta(minutes=10))
    predict(cloud, {"timestamp": "yesterday"})
    assert mailed(cloud, f"ALARM {NAMES.alarm('refused-calls')}").endswith("(act; docs/runbooks.md#refused-calls)")


def test_an_endpoint_without_answers_is_one_mail(cloud: LocalCloud, environment: Environment) -> None:
    """The alarms are there before an endpoint is."""
    predict(cloud)
    cloud.wait(timeout_s=REST_S)
    assert states(environment)["fallbacks"] != "ALARM"
    cloud.move_clock(cloud.now() + timedelta(minutes=10))
    predict(cloud)
    assert mailed(cloud, f"ALARM {NAMES.alarm('serving')}").endswith("(act; docs/runbooks.md#serving)")
    found = states(environment)
    assert (found["fallbacks"], found["serving"], found["prediction-errors"]) == ("ALARM", "ALARM", "OK")


def test_labels_that_do_not_come_are_mailed(cloud: LocalCloud) -> None:
    """After five weeks, on the first of a month, when the local cloud looks; January's predictions wait for theirs."""
    cloud.move_clock((cloud.now().replace(day=1) + timedelta(days=64)).replace(day=1, hour=5, minute=1))
    mail = mailed(cloud, "LATE: labels of electricity, newest: none, allowed: 840.0 hours, owner: that")
    assert mail.endswith("(look; docs/runbooks.md#late-labels)")


def test_no_state_was_set_by_hand(cloud: LocalCloud) -> None:
    cloud.wait(timeout_s=REST_S)
    assert control(cloud, "api-calls")["by_operation"].get("cloudwatch:SetAlarmState", 0) == 0
    assert control(cloud, "denials") == []
    raised = {mail.partition(":")[0] for mail in mails(cloud) if mail.startswith("ALARM")}
    expected = FIGURES, "dead-letters", "refused-drops", "refused-share", "refused-calls", "serving"
    assert raised == {f"ALARM {NAMES.alarm(name)}" for name in expected}
