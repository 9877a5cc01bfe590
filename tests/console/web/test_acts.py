"""What a person does from a page: it happens and the audit says who did it; without the right nothing changes."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.stepfunctions.models import stepfunctions_backends

from millrace.console.environment import Environment, find_environment
from millrace.console.queries.audit import find_records
from millrace.console.web.app import console_app
from millrace.messages.audit import AuditEvent
from millrace.names import WorkloadNames
from tests.console import stored_cloud
from tests.console.web.queue_of_items import NAMES as INCOME
from tests.console.web.served import send, serving

NAMES = stored_cloud.NAMES
"""Of a workload without a policy; INCOME has one."""
WRITES = ("PutItem", "UpdateItem", "StartExecution")
RECORDS = {
    "pause": AuditEvent.AUTOMATION_PAUSED,
    "resume": AuditEvent.AUTOMATION_RESUMED,
    "acknowledge": AuditEvent.ALARM_ACKNOWLEDGED,
}


@pytest.fixture
def environment() -> Iterator[Environment]:
    with stored_cloud.running():
        yield find_environment("dev", Path("build"))


def reader(environment: Environment) -> Environment:
    """The same for somebody who may read everything and write nothing."""

    def client(service: str) -> Any:
        made = boto3.client(service)
        made.meta.events.register("before-call", deny)
        return made

    return replace(environment, client=client)


def deny(model: Any, **_: Any) -> None:
    if model.name in WRITES:
        raise ClientError(
            {"Error": {"Code": "AccessDeniedException", "Message": f"ann may not {model.name}"}}, model.name
        )


def releases() -> list[Any]:
    """Of electricity. moto cannot list executions of which some are stored ones."""
    backend = stepfunctions_backends[NAMES.platform.account][NAMES.platform.region]
    return backend.describe_state_machine(NAMES.machine_arn("release")).executions


def traces(environment: Environment, names: WorkloadNames) -> tuple[int, int]:
    """How many records the audit has, and how many releases there are."""
    return len([*find_records(environment, names)]), len(releases())


@pytest.mark.parametrize("act", [*RECORDS, "rollback"])
def test_an_act_happens_in_the_person_s_name_or_not_at_all(environment: Environment, act: str) -> None:
    names = INCOME if act in ("pause", "resume") else NAMES
    before = traces(environment, names)
    for who, is_allowed in ((reader(environment), False), (environment, True)):
        with serving(console_app(who)[0]) as (browser, url):
            browser.open(url)
            alarm = re.search(r'href="[^"]*/acknowledge\?of=([^"]+)"', browser.ask("/").text)
            assert alarm
            path = f"/{names.workload}/acts/{act}?of={unescape(alarm[1]) if act == 'acknowledge' else ''}"
            shown = browser.ask(path)
            assert send(browser, shown, path, reason="  ").status == 200
            assert traces(environment, names) == before
            after = send(browser, shown, path, reason="complaints")
        assert ("may not" in after.text, "lede good" in after.text) == (not is_allowed, is_allowed), after.text
        assert (traces(environment, names) == before) is not is_allowed
    if act in RECORDS:
        own = [one for one in find_records(environment, names) if one.event is RECORDS[act]]
        record = max(own, key=lambda one: one.as_of)
        done = json.loads(record.details.model_dump_json())
    else:
        done = json.loads(releases()[-1].execution_input)["rollback"]
    assert (done.get("by", done.get("who")), done["reason"]) == (environment.identity(), "complaints")


def test_an_act_that_makes_no_sense_is_refused_in_a_sentence(environment: Environment) -> None:
    with serving(console_app(environment)[0]) as (browser, url):
        browser.open(url)
        for act, of in (("acknowledge", "no-such"), ("rerun", "no-such"), ("rollback", "99")):
            path = f"/electricity/acts/{act}?of={of}"
            after = send(browser, browser.ask(path), path, reason="x")
            assert (after.status, of in after.text, "Traceback" in after.text) == (200, True, False)
        assert browser.ask("/electricity/acts/destroy").status == 404
