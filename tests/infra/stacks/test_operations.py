"""The operations alarms and notices: catalogue, what is deployed, and runbook say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from moto.events.models import EventPattern

from localcloud.cloudwatch.install import holds
from localcloud.cloudwatch.metric_math import Frame, evaluate
from localcloud.events.rules import target_input
from millrace.infra.app import build, warnings
from millrace.infra.constructs.notifications import CHAT_ALONE, alarm_notices
from millrace.infra.options import Options
from millrace.infra.rules.assembly import Stack, read
from millrace.infra.settings import settings_for
from millrace.messages.events import EVENTS as OF_BUS
from millrace.monitoring.alarms import FIGURES, FLOOR, OVERRIDES, figure_alarms, monitor_alarms
from millrace.names import Platform, WorkloadNames
from millrace.operations.alarms import (
    ALARMS,
    ENDPOINT_ALARMS,
    JOB_ALARMS,
    REVIEW_ALARMS,
    SERVING,
    STAGE_ALARMS,
    STREAM_ALARMS,
    consumer_alarms,
)
from millrace.operations.dead_letters import DEAD_LETTERS, EVENTS, dead
from millrace.operations.notices import NOTICES
from millrace.workload.ends import BusinessFigure

ROOT = Path(__file__).resolve().parents[3]
STAGES = ("local", "dev", "prod")
OF_WORKLOADS = ALARMS | ENDPOINT_ALARMS | monitor_alarms(None)

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
        for kind in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"):
            for alarm in of_type(template, kind).values():
                name = alarm["AlarmName"].removeprefix(f"{names.prefix}-").removeprefix(f"{names.platform.prefix}-")
                found[name] = alarm
        found |= {"budget": {} for _ in of_type(template, "AWS::Budgets::Budget")}  # noqa: B035 - there is one
    platform = templates[stage][f"millrace-{stage}-platform"]
    for rule in of_type(platform, "AWS::Events::Rule").values():
        found[rule["Name"].removeprefix(f"{names.platform.prefix}-")] = rule
    return found


def catalogue() -> set[str]:
    """Every alarm and notice that the product declares."""
    return {*OF_WORKLOADS, FIGURES, "budget", SERVING, *STAGE_ALARMS, *NOTICES}


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_declared_is_deployed(templates: Templates, stage: str) -> None:
    assert (catalogue() | alarm_notices().keys()) - {CHAT_ALONE} == set(deployed(templates, stage))


def test_a_day_is_beyond_a_bound_of_any_figure() -> None:
    given = {"refunds": {"above": 120, "below": 2}, "orders": {"below": 5}}
    figures = {name: BusinessFigure(namespace="Shop", name=name, bounds=bounds) for name, bounds in given.items()}
    alarm = figure_alarms(figures)[FIGURES]
    assert alarm.description.endswith(": refunds above 120 or below 2; orders below 5")
    for refunds, orders, is_beyond in ((121, 5, 1), (120, 4, 1), (1, 5, 1), (120, 5, 0), (None, 4, 1), (2, None, 0)):
        series = {f"m{at}": {} if one is None else {0.0: one} for at, one in enumerate((refunds, orders))}
        frame = Frame(series=series, metrics=("m0", "m1"), timeline=(0.0,))
        assert evaluate(alarm.formula, frame) == {0.0: is_beyond}


def test_each_has_a_runbook() -> None:
    """With a command to type: its table links to a section of its name."""
    page = (ROOT / "docs" / "runbooks.md").read_text()
    sections = dict(re.findall(r"^## ([a-z-]+)\n(.+?)(?=^## |\Z)", page, re.M | re.S))
    assert {name for name, text in sections.items() if "```console\n$ " in text} == {
        *catalogue(),
        *consumer_alarms(["orders"]),
        *STREAM_ALARMS,
        *JOB_ALARMS,
        *REVIEW_ALARMS,
        FLOOR,
        OVERRIDES,
    }


@pytest.mark.parametrize("stage", STAGES)
def test_one_message_stands_for_all_alarms_of_the_endpoint(templates: Templates, stage: str) -> None:
    found, names = deployed(templates, stage), names_of(stage)
    rule, states = found[SERVING]["AlarmRule"], {names.alarm(name): "OK" for name in ENDPOINT_ALARMS}
    assert holds(rule, states) is False
    for name in states:
        assert holds(rule, states | {name: "ALARM"}) is True
    # CloudFormation makes it after the alarms that its rule names.
    template = templates[stage][f"{names.prefix}-monitoring"]["Resources"]
    before = {template[one]["Properties"]["AlarmName"] for one in found[SERVING]["DependsOn"]}
    assert before == states.keys()


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
    assert {name for name in queues if not name.endswith("-dead")} == {names.queue(name) for name in DEAD_LETTERS}
    shared = of_type(templates[stage][f"millrace-{stage}-platform"], "AWS::SQS::Queue").values()
    assert [queue["QueueName"] for queue in shared] == [names.platform.queue(dead(EVENTS))]
    readers = {
        mapping["FunctionName"].removeprefix(f"arn:aws:lambda:eu-west-1:123456789012:function:{names.prefix}-")
        for template in templates[stage].values()
        for mapping in of_type(template, "AWS::Lambda::EventSourceMapping").values()
        if ":sqs:" in json.dumps(mapping["EventSourceArn"]) or "Fn::GetAtt" in mapping["EventSourceArn"]
    }
    assert readers == {one.reader for one in DEAD_LETTERS.values()}


def test_a_budget_with_other_notifications_has_another_name(templates: Templates) -> None:
    """They replace it, and what is made beside the old one cannot have its name: here they go to another topic."""
    digests = set()
    for stage in STAGES:
        prefix = names_of(stage).prefix
        (found,) = of_type(templates[stage][f"{prefix}-monitoring"], "AWS::Budgets::Budget").values()
        assert re.fullmatch(rf"{prefix}-[0-9a-f]{{8}}", found["Budget"]["BudgetName"])
        digests.add(found["Budget"]["BudgetName"][-8:])
    assert len(digests) == len(STAGES)


RUN_EVENT = json.loads((Path(__file__).parents[2] / "openlineage.json").read_text())
TOLD = {
    "alarm_webhook": "chat/url",
    "lineage": {"url": "https://marquez.example.com/", "secret": "marquez"},  # pragma: allowlist secret
}


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> list[Stack]:
    """The platform of `prod` with a webhook, and a catalogue of data."""
    folder = tmp_path_factory.mktemp("chatting")
    settings = settings_for("prod", account="123456789012", region="eu-west-1", options=Options.model_validate(TOLD))
    build(settings, workloads=[], outdir=str(folder)).synth()
    return read(folder)


def test_the_webhook_gets_what_the_topic_gets_and_no_template_its_url(chatting: list[Stack]) -> None:
    (platform,) = (dict(stack.template) for stack in chatting if stack.name.endswith("-platform"))
    destinations = {one["Name"]: one for one in of_type(platform, "AWS::Events::ApiDestination").values()}
    url = destinations["millrace-prod-webhook"]["InvocationEndpoint"]
    assert url == "{{resolve:secretsmanager:chat/url:SecretString}}"
    rules = {
        rule["Name"]: rule["Targets"]
        for rule in of_type(platform, "AWS::Events::Rule").values()
        if "-lineage-" not in rule["Name"]
    }
    names = names_of("prod").platform
    assert rules.keys() == {names.rule(name) for name in (*NOTICES, *alarm_notices())}
    for targets in rules.values():
        posted = next(one for one in targets if one["Id"] == "webhook")
        assert posted["InputTransformer"]["InputTemplate"].startswith('{"text": "')
        assert posted["DeadLetterConfig"] == {"Arn": names.arn("sqs", names.queue(dead(EVENTS)))}


def test_a_catalogue_of_data_is_told_of_each_event_that_a_run_started_and_ended(chatting: list[Stack]) -> None:
    (platform,) = (dict(stack.template) for stack in chatting if stack.name.endswith("-platform"))
    ends: dict[str, tuple[str, str]] = {}
    for rule in of_type(platform, "AWS::Events::Rule").values():
        if "-lineage-" not in rule["Name"]:
            continue
        (kind,) = rule["EventPattern"]["detail-type"]
        detail = {name: f"some {name}" for name in OF_BUS[kind].model_fields}
        event = {"id": "7f3c1a52-6a0e-4c7e-9d7b-1a2b3c4d5e6f", "time": "2026-11-30T08:00:00Z", "detail": detail}
        started, ended = (json.loads(target_input(target, event, {})) for target in rule["Targets"])
        Draft202012Validator(RUN_EVENT).validate(started)
        Draft202012Validator(RUN_EVENT).validate(ended)
        assert started == {**ended, "eventType": "START"}
        assert ended["run"]["facets"]["externalQuery"]["externalQueryId"] == "some run"
        ends[kind] = (ended["job"]["name"].removeprefix("some workload."), ended["eventType"])
    assert ends == {
        "dataset.committed": ("ingest", "COMPLETE"),
        "drop.rejected": ("ingest", "FAIL"),
        "model.registered": ("train", "COMPLETE"),
        "model.refused": ("train", "FAIL"),
        "model.released": ("release", "COMPLETE"),
        "scores.delivered": ("score", "COMPLETE"),
    }


@pytest.mark.parametrize(
    ("kind", "reason", "notice"),
    [
        ("training.refused", "budget", "spent-budget"),
        ("training.refused", "corrections", "held-training"),
        ("training.refused", "busy", ""),
        ("retrain.refused", "budget", "spent-budget"),
        ("retrain.refused", "cool_down", ""),
        ("model.refused", "first", "refused-model"),
    ],
)
def test_a_refusal_that_needs_a_person_is_told(kind: str, reason: str, notice: str) -> None:
    """Of a training, a model and, after an alarm, a retraining; what else keeps one from starting passes by itself."""
    event = {"source": "millrace", "detail-type": kind, "detail": {"workload": "electricity", "reason": reason}}
    matching = [
        name
        for name, one in NOTICES.items()
        if EventPattern.load(json.dumps(one.pattern(names_of("prod").platform))).matches_event(event)
    ]
    assert matching == ([notice] if notice else [])


@pytest.mark.parametrize("chosen", [{}, {"alarm_email": "team@example.com"}, {"alarm_webhook": "chat/url"}])
def test_the_synthesis_warns_of_a_stage_whose_alarms_nobody_is_sent(chosen: dict[str, str]) -> None:
    settings = settings_for("prod", account="123456789012", region="eu-west-1", options=Options(**chosen))
    said = [sentence for name, sentence in warnings(settings, {}) if name == "unheard"]
    assert len(said) == (0 if chosen else 1)
    assert all('"alarm_email": "<address>"' in one and "millrace-prod-alarms" in one for one in said)


@pytest.mark.parametrize(
    ("alarm", "before", "state", "rule"),
    [
        ("electricity-dead-letters", "OK", "ALARM", "raised-alarm"),
        ("electricity-dead-letters", "ALARM", "OK", "ended-alarm"),
        ("electricity-serving", "OK", "ALARM", "raised-serving"),
        ("electricity-serving", "ALARM", "OK", "ended-serving"),
        ("undelivered", "OK", "ALARM", CHAT_ALONE),
        ("electricity-serving", "INSUFFICIENT_DATA", "OK", ""),
        ("electricity-fallbacks", "OK", "ALARM", ""),
        ("electricity-v3-7f-0-0-live-errors", "OK", "ALARM", ""),
    ],
)
def test_an_alarm_that_notifies_is_told_once_by_a_rule(alarm: str, before: str, state: str, rule: str) -> None:
    patterns = {
        name: EventPattern.load(json.dumps(notice.pattern(names_of("prod").platform)))
        for name, notice in alarm_notices().items()
    }

    def told(stage: str) -> list[str]:
        event = {
            "source": "aws.cloudwatch",
            "detail-type": "CloudWatch Alarm State Change",
            "resources": [f"arn:aws:cloudwatch:eu-west-1:123456789012:alarm:millrace-{stage}-{alarm}"],
            "detail": {
                "alarmName": f"millrace-{stage}-{alarm}",
                "state": {"value": state},
                "previousState": {"value": before},
            },
        }
        return [name for name, pattern in patterns.items() if pattern.matches_event(event)]

    assert told("prod") == ([rule] if rule else [])
    assert told("dev") == []
