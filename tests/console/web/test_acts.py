"""What a person does from a page: it happens and the audit says who did it; without the right nothing changes."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.stepfunctions.models import stepfunctions_backends

from millrace.console.environment import Environment, find_environment
from millrace.console.queries.audit import find_records
from millrace.console.web import app
from millrace.messages.audit import AuditEvent, FileDropped
from millrace.names import WorkloadNames, drop_id_of
from tests.console import stored_cloud
from tests.console.web.queue_of_items import NAMES as INCOME
from tests.console.web.served import Answer, Browser, opened, send
from tests.console.web.test_app import text_of

NAMES = stored_cloud.NAMES
"""Of a workload without a policy; INCOME has one."""
DROP = "/electricity/drop"
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


def reader(environment: Environment, *denied: str) -> Environment:
    """The same for somebody who may read everything, and write nothing or only not what is `denied`."""

    def deny(model: Any, **_: Any) -> None:
        if model.name in (denied or WRITES):
            raise ClientError(
                {"Error": {"Code": "AccessDeniedException", "Message": f"ann may not {model.name}"}}, model.name
            )

    def client(service: str) -> Any:
        made = boto3.client(service)
        made.meta.events.register("before-call", deny)
        return made

    return replace(environment, client=client)


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
        with opened(who) as browser:
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
        done = json.loads(max(own, key=lambda one: one.as_of).details.model_dump_json())
    else:
        done = json.loads(releases()[-1].execution_input)["rollback"]
    assert (done.get("by", done.get("who")), done["reason"]) == (environment.identity(), "complaints")


def test_an_act_that_makes_no_sense_is_refused_in_a_sentence(environment: Environment) -> None:
    with opened(environment) as browser:
        for act, of in (("acknowledge", "no-such"), ("rerun", "no-such"), ("rollback", "99")):
            path = f"/electricity/acts/{act}?of={of}"
            after = send(browser, browser.ask(path), path, reason="x")
            assert (after.status, of in after.text, "Traceback" in after.text) == (200, True, False)
        assert browser.ask("/electricity/acts/destroy").status == 404


HEADER = "timestamp,day_of_week,period,nswprice,nswdemand,vicprice,vicdemand,transfer,class\n"
GOOD = HEADER + "1999-01-01T00:00:00,6,0.0,0.05,0.4,0.003,0.4,0.4,1\n"
BAD = GOOD + "1999-01-01T00:30:00,6,0.02,7.5,0.4,0.003,0.4,0.4,1\n"


@pytest.fixture
def landing(environment: Environment) -> Iterator[Callable[[], list[str]]]:
    """The keys of the landing bucket, which keeps versions."""
    s3, bucket = environment.client("s3"), NAMES.platform.bucket("landing")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return lambda: [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]


def drop(browser: Browser, body: str, *, token: str = "", **asked: str) -> Answer:
    token = token or re.findall(r'data-token="([^"]+)"', browser.ask(DROP).text)[0]
    headers = {"origin": f"http://127.0.0.1:{browser.port}", "x-token": token}
    query = {"feed": "training", "name": "may.csv", "reason": ""} | asked
    return browser.ask(f"{DROP}?{urlencode(query)}", "POST", body, **headers)


def test_a_file_is_looked_at_and_then_dropped_in_the_person_s_name(
    environment: Environment, landing: Callable[[], list[str]]
) -> None:
    with opened(environment) as browser:
        before, looked = traces(environment, NAMES), drop(browser, BAD)
        assert (looked.status, landing(), traces(environment, NAMES)) == (200, [], before)
        assert "Of its two rows, 1 would be quarantined: range 1. First, line 3: nswprice: expected" in text_of(
            looked.text
        )
        dropped = drop(browser, BAD, reason="the rows of May")
        assert (dropped.status, landing()) == (200, ["electricity/training/may.csv"])
        assert "may.csv is there already" in text_of(drop(browser, GOOD).text)
    (record,) = [one for one in find_records(environment, NAMES) if one.event is AuditEvent.FILE_DROPPED]
    assert isinstance(record.details, FileDropped)
    assert (record.details.by, record.details.reason) == (environment.identity(), "the rows of May")
    assert record.details.drop_id in (drop_id_of(*place) for place in versions(environment))
    assert traces(environment, NAMES) == (before[0] + 1, before[1])


def versions(environment: Environment) -> Iterator[tuple[str, str, str]]:
    bucket = NAMES.platform.bucket("landing")
    for one in environment.client("s3").list_object_versions(Bucket=bucket)["Versions"]:
        yield bucket, one["Key"], one["VersionId"]


@pytest.mark.parametrize("denied", ["PutObject", "PutItem"])
def test_without_either_right_no_file_is_dropped(
    environment: Environment, landing: Callable[[], list[str]], denied: str
) -> None:
    before = traces(environment, NAMES)
    with opened(reader(environment, denied)) as browser:
        answer = drop(browser, GOOD, reason="the rows of May")
    assert (answer.status, f"may not {denied}" in answer.text) == (422, True)
    assert (landing(), traces(environment, NAMES)) == ([], before)


def test_what_cannot_be_dropped_is_refused_with_what_was_expected(
    environment: Environment, landing: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "MOST_FILE_BYTES", 2_000)
    with opened(environment) as browser:
        for body, asked, status, told in (
            (GOOD, {"token": "forged"}, 403, "expected a form of this console"),  # pragma: allowlist secret
            ("x" * 2_001, {}, 413, "expected 2,000 bytes at most"),
            ("", {}, 422, "1 byte to"),
            (GOOD, {"feed": "others"}, 422, "expected one of"),
            (GOOD.replace("nswprice", "price"), {}, 422, "missing: &#39;nswprice&#39;"),
            ("a,b\n1,2\n", {}, 422, "2 other names"),
        ):
            answer = drop(browser, body, reason="x", **asked)
            assert (answer.status, told in answer.text) == (status, True), answer.text
        assert landing() == []
        # A name is no place.
        assert drop(browser, GOOD, name="../../elsewhere/may.csv", reason="x").status == 200
    assert landing() == ["electricity/training/may.csv"]
