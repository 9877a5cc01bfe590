"""The operations alarms and notices: catalogue, what is deployed, and runbook say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from infra.local.cloudwatch.alarm_evaluation import Rule, judge
from infra.settings import settings_for
from millrace.errors import ConfigurationError
from millrace.monitoring import alarms as monitors
from millrace.names import Platform, WorkloadNames
from millrace.operations.alarms import ALARMS, STAGE_ALARMS, runbook
from millrace.operations.dead_letters import DEAD_LETTERS, dead
from millrace.operations.notices import NOTICES
from millrace.workload.load import load_workload

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "runbooks.md").read_text()
STAGES = ("local", "dev", "prod")
MONITORS = {**monitors.ALARMS, **monitors.COUNTED}
ROW = re.compile(r"^\| `([a-z-]+)` \| (act|look) \| (workload|stage) \| .+ \| ([\d.]+) \|$", re.M)

Template = dict[str, Any]
Templates = dict[str, dict[str, Template]]


def of_type(template: Template, kind: str) -> dict[str, Template]:
    return {
        name: one["Properties"] | {"DependsOn": one.get("DependsOn", [])}
        for name, one in template["Resources"].items()
        if one["Type"] == kind
    }


def names_of(stage: str) -> WorkloadNames:
    platform = Platform(stage=stage, account="123456789012", region="eu-west-1")
    return WorkloadNames(platform=platform, workload="electricity")


def deployed(templates: Templates, stage: str) -> dict[str, Template]:
    """Every alarm and notice of the templates, by its name in the catalogues."""
    names = names_of(stage)
    found: dict[str, Template] = {}
    for template in templates[stage].values():
        for alarm in of_type(template, "AWS::CloudWatch::Alarm").values():
            found[alarm["AlarmName"].removeprefix(f"{names.prefix}-").removeprefix(f"{names.platform.prefix}-")] = alarm
    platform = templates[stage][f"millrace-{stage}-platform"]
    for rule in of_type(platform, "AWS::Events::Rule").values():
        found[rule["Name"].removeprefix(f"{names.platform.prefix}-")] = rule
    return found


def catalogue(stage: str) -> dict[str, tuple[str, str, float]]:
    """By name: severity, whose it is, and what it costs a month."""
    names = names_of(stage)
    return {
        **{name: (one.severity, "workload", one.usd_per_month(names)) for name, one in ALARMS.items()},
        **{name: (one.severity, "workload", 0.1) for name, one in MONITORS.items()},
        **{name: (one.severity, "stage", one.usd_per_month(names.platform)) for name, one in STAGE_ALARMS.items()},
        **{name: (one.severity, "stage", 0.0) for name, one in NOTICES.items()},
    }


def disagreements(page: str, known: dict[str, tuple[str, str, float]], found: set[str]) -> list[str]:
    """Names that are not in all of catalogue, templates, table and sections; rows that say something else."""
    rows = {name: (severity, whose, float(usd)) for name, severity, whose, usd in ROW.findall(page)}
    sections = dict(re.findall(r"^## ([a-z-]+)\n(.+?)(?=^## |\Z)", page, re.M | re.S))
    wrong = [f"{name}: deployed" for name in sorted(known.keys() ^ found)]
    wrong += [f"{name}: row" for name in sorted(known.keys() | rows.keys()) if rows.get(name) != known.get(name)]
    wrong += [f"{name}: section" for name in sorted(known.keys() ^ sections.keys())]
    for name, text in sections.items():
        wrong += [f"{name}: no {part}" for part in ("```console\n$ ", "Worry") if part not in text]
    return wrong


@pytest.mark.parametrize("stage", STAGES)
def test_catalogue_templates_and_runbook_agree(templates: Templates, stage: str) -> None:
    assert disagreements(PAGE, catalogue(stage), set(deployed(templates, stage))) == []


def test_a_runbook_that_lacks_something_is_found(templates: Templates) -> None:
    """The negative controls."""
    known, found = catalogue("dev"), set(deployed(templates, "dev"))
    assert disagreements(PAGE, known, found - {"fallbacks"}) == ["fallbacks: deployed"]
    assert disagreements(PAGE.replace("## undelivered", "## not-delivered"), known, found) == [
        "not-delivered: section",
        "undelivered: section",
    ]
    row = next(line for line in PAGE.splitlines() if line.startswith("| `dead-letters`"))
    for other in (row.replace("0.50", "0.10"), row.replace("act", "look"), ""):
        assert disagreements(PAGE.replace(row, other), known, found) == ["dead-letters: row"]
    assert disagreements(PAGE.replace("Worry after an hour", "Then"), known, found) == ["oldest-drop: no Worry"]


def test_what_a_workload_and_a_stage_pay_is_on_the_page() -> None:
    usd = {
        whose: sum(cost for _, one, cost in catalogue("prod").values() if one == whose)
        for whose in ("workload", "stage")
    }
    assert f"{usd['workload']:.2f} USD a month, whether it is used or not, and a stage {usd['stage']:.2f}" in PAGE
    assert sum(one.usd_per_month(names_of("prod")) for one in ALARMS.values()) <= 1.0


@pytest.mark.parametrize("stage", STAGES)
def test_an_alarm_reads_the_metrics_of_its_entry(templates: Templates, stage: str) -> None:
    found, names = deployed(templates, stage), names_of(stage)
    for name, alarm in (*ALARMS.items(), *STAGE_ALARMS.items()):
        wanted = alarm.metrics(names if name in ALARMS else names.platform)  # type: ignore[arg-type]
        stats = [query["MetricStat"] for query in found[name]["Metrics"] if "MetricStat" in query]
        assert [
            (
                one["Metric"]["Namespace"],
                one["Metric"]["MetricName"],
                {each["Name"]: each["Value"] for each in one["Metric"].get("Dimensions", [])},
            )
            for one in stats
        ] == [(one.namespace, one.name, dict(one.dimensions)) for one in wanted]
        assert next(query["Id"] for query in found[name]["Metrics"] if query.get("ReturnData") is not False) == (
            "m0" if len(wanted) == 1 else "largest"
        )
        assert {(one["Stat"], one["Period"]) for one in stats} == {(alarm.statistic, alarm.period_s)}
        assert found[name]["AlarmDescription"].endswith(f"({alarm.severity}; {runbook(name)})")
        assert found[name]["AlarmActions"] == found[name]["OKActions"]
        assert not name.startswith("v")
    gate = load_workload(ROOT / "workloads" / "electricity").gates.latency
    assert found["endpoint-latency"]["Threshold"] == gate.max_p99_ms * 1000


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("endpoint-errors", [0, 0, 1.0], "OK"),
        ("endpoint-errors", [0.04, 0.04, 0.04], "OK"),
        ("endpoint-errors", [0.2, 0, 0.2], "ALARM"),
        ("endpoint-latency", [9e9, 9e9, None], "OK"),
        ("endpoint-latency", [9e9, 0, 9e9], "OK"),
        ("endpoint-latency", [9e9, 9e9, 9e9], "ALARM"),
        ("fallbacks", [None, None, 1], "ALARM"),
        ("fallbacks", [1, None, None], "ALARM"),
        ("oldest-drop", [1800], "OK"),
        ("oldest-drop", [1801], "ALARM"),
    ],
)
def test_few_bad_samples_of_the_endpoint_raise_nothing(
    templates: Templates, name: str, values: list[float | None], expected: str
) -> None:
    """Judged as the local cloud does; the last value is of the newest period."""
    found = deployed(templates, "prod")[name]
    rule = Rule(
        comparison=found["ComparisonOperator"],
        threshold=found["Threshold"],
        evaluation_periods=found["EvaluationPeriods"],
        datapoints_to_alarm=found["DatapointsToAlarm"],
        missing=found["TreatMissingData"],
    )
    periods = [(300.0 * index, value) for index, value in enumerate(values)]
    assert judge(rule, periods, "OK").state == expected


@pytest.mark.parametrize("stage", STAGES)
def test_every_dead_letter_queue_has_its_entry(templates: Templates, stage: str) -> None:
    """A queue that is added without one would fill without an alarm."""
    names = names_of(stage)
    queues = {
        queue["QueueName"]
        for room, template in templates[stage].items()
        if room != f"millrace-{stage}-platform"
        for queue in of_type(template, "AWS::SQS::Queue").values()
    }
    assert {name for name in queues if name.endswith("-dead")} == {names.queue(dead(name)) for name in DEAD_LETTERS}
    readers = {
        mapping["FunctionName"].removeprefix(f"arn:aws:lambda:eu-west-1:123456789012:function:{names.prefix}-")
        for template in templates[stage].values()
        for mapping in of_type(template, "AWS::Lambda::EventSourceMapping").values()
    }
    assert readers == {one.reader for one in DEAD_LETTERS.values() if one.reader}


@pytest.mark.parametrize("stage", STAGES)
def test_eventbridge_may_publish_without_a_condition(templates: Templates, stage: str) -> None:
    """AWS says no account and no rule with it; the key names the topic instead."""
    platform = templates[stage][f"millrace-{stage}-platform"]
    (topic_policy,) = of_type(platform, "AWS::SNS::TopicPolicy").values()
    (statement,) = (
        one
        for one in topic_policy["PolicyDocument"]["Statement"]
        if one["Principal"] == {"Service": "events.amazonaws.com"}
    )
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sns:Publish")
    assert "Condition" not in statement
    (key,) = of_type(platform, "AWS::KMS::Key").values()
    (notices,) = (one for one in key["KeyPolicy"]["Statement"] if one.get("Sid") == "Notices")
    topic = names_of(stage).platform.alarm_topic_arn
    assert notices["Condition"] == {"StringEquals": {"kms:EncryptionContext:aws:sns:topicArn": topic}}
    for rule in of_type(platform, "AWS::Events::Rule").values():
        assert {"AlarmsPolicy"} <= set(rule["DependsOn"])


def test_the_topic_keeps_its_logical_id(templates: Templates) -> None:
    """It has a fixed name: a stage that has it would not get a second one."""
    platform = templates["prod"]["millrace-prod-platform"]
    assert list(of_type(platform, "AWS::SNS::Topic")) == ["Alarms"]
    assert list(of_type(platform, "AWS::SNS::TopicPolicy")) == ["AlarmsPolicy"]


def test_an_address_is_subscribed_where_the_stage_has_one(templates: Templates) -> None:
    subscribed = {
        stage: [
            one["Endpoint"]
            for one in of_type(templates[stage][f"millrace-{stage}-platform"], "AWS::SNS::Subscription").values()
        ]
        for stage in STAGES
    }
    assert subscribed == {"local": ["operator@example.com"], "dev": [], "prod": []}
    named = settings_for("prod", account="123456789012", region="eu-west-1", alarm_email="team@example.com")
    assert named.alarm_email == "team@example.com"
    with pytest.raises(ConfigurationError, match="alarm_email: expected an e-mail address"):
        settings_for("prod", account="123456789012", region="eu-west-1", alarm_email="team")
