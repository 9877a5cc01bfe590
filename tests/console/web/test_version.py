"""A person approves or refuses a version on its page, by a plain form over a real socket."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from millrace.aws.objects import put_object, read_object
from millrace.console.environment import Environment
from millrace.console.queries.versions import registry_of
from millrace.console.web.app import MOST_BYTES
from millrace.release.registry import ASKED_BY, Package
from tests.console.web.served import Browser, half, opened, send
from tests.console.web.test_acts import environment as environment
from tests.console.web.test_app import text_of
from tests.console.web.waiting_version import NAMES, PATH, let_wait

VERSIONS = "/electricity/versions"
EVIDENCE = Path(__file__).parents[1] / "pages/evidence.json"


@pytest.fixture
def browser(environment: Environment) -> Iterator[Browser]:
    with opened(environment) as browser:
        yield browser


def kept(environment: Environment) -> Package:
    return registry_of(environment, NAMES).describe(NAMES.package_arn("3"))


def test_a_form_beyond_every_note_and_a_cut_one_are_no_failure(
    environment: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(environment) as browser:
        own = {"origin": f"http://127.0.0.1:{browser.port}"}
        assert browser.ask(PATH, "POST", "x" * (2 * MOST_BYTES), **own).status == 413
        head = {"host": f"127.0.0.1:{browser.port}", "cookie": browser.cookie, "content-length": "9", **own}
        lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", "half"]
        with half(browser, "\r\n".join(lines)):
            pass
    assert [record for record in caplog.records if record.exc_info] == []


def test_the_page_has_what_a_person_needs_to_decide(environment: Environment, browser: Browser) -> None:
    let_wait(environment)
    html = browser.ask(PATH).text
    page = text_of(html)
    for told in (
        "Version 3 waits for a person",
        "asked for by assumed-role/Makers/bob",
        "Signed as it is registered",
        "closed &lt;market&gt;: a price of zero is no fall value 0 ✓ value 0",
        "latency",
        "version 3 version 2, live",
        "digest of its data dadadadadada",
    ):
        assert told in page, told
    assert "<market>" not in html


def test_any_two_versions_stand_beside_each_other(environment: Environment, browser: Browser) -> None:
    """Version 2 was evaluated beside version 1, on more than the champion's error here; version 3 beside neither."""
    let_wait(environment)
    s3, (older, newer) = (
        boto3.client("s3"),
        [registry_of(environment, NAMES).describe(NAMES.package_arn(number)).metadata["run"] for number in "12"],
    )
    uri = NAMES.run_uri(newer, "evaluation", "evaluation.json")
    measured = json.loads(EVIDENCE.read_text())
    figure = {"value": 0.25, "low": 0.24, "high": 0.26}
    gain = {"value": 0.05, "low": 0.04, "high": 0.06}
    beside = {
        "who": "champion",
        "name": "version 1",
        "rows": 900,
        "scores": {"error": figure},
        "improvements": {"error": gain},
    }
    more = {"contenders": [beside], "slices": measured["slices"]}
    put_object(s3, uri, json.dumps(json.loads(read_object(s3, uri)) | more).encode())
    declared = read_object(s3, NAMES.run_uri(older, "config", "workload.yaml")).decode()
    edited = re.sub(r"seed: \d+", "seed: 77", declared)
    assert edited != declared
    put_object(s3, NAMES.run_uri(older, "config", "workload.yaml"), edited.encode())
    for path in ("?first=1&second=2", "?first=2&second=1"):
        page = text_of(browser.ask(f"{VERSIONS}{path}").text)
        for told in (
            "share of wrong answers, test rows 900 0.2500 0.2000 +5.0% (+4.0 to +6.0)",
            "share of wrong answers, recent rows 1,344 0.2411 0.2381 +0.0030 (at least -0.0037)",
            "training.parameters.seed",
            "snapshot 7803096521539442234",
        ):
            assert told in page, told
    assert "region = south – 590 – 30.0% (29.0 to 31.0)" in text_of(browser.ask(f"{VERSIONS}?first=1&second=2").text)
    usual = text_of(browser.ask(VERSIONS).text)
    assert "Version 2 beside version 3" in usual
    assert "Neither was evaluated beside the other" in usual
    assert "cannot be read: " in usual  # the stored run of version 3 has no declaration
    assert browser.ask(f"{VERSIONS}?first=9").status == 404


@pytest.mark.parametrize(("act", "status"), [("approve", "Approved"), ("refuse", "Rejected")])
def test_a_person_decides_once(environment: Environment, browser: Browser, act: str, status: str) -> None:
    let_wait(environment)
    shown = browser.ask(PATH)
    after = send(browser, shown, PATH, act=act, reason="as good on our wards")
    assert (kept(environment).approval, kept(environment).said) == (status, "as good on our wards")
    assert ": as good on our wards" in text_of(after.text)
    assert "<form" not in after.text
    again = send(browser, shown, PATH, act="approve", reason="once more")
    assert again.status == 403 or "as good on our wards" in again.text
    assert kept(environment).said == "as good on our wards"


def test_a_form_without_the_console_s_token_or_with_another_act_decides_nothing(
    environment: Environment, browser: Browser
) -> None:
    let_wait(environment)
    shown = browser.ask(PATH)
    forged = "forged"
    assert send(browser, shown, PATH, act="approve", reason="x", token=forged).status == 403
    assert send(browser, shown, PATH, act="delete", reason="x").status == 400
    assert kept(environment).approval == "PendingManualApproval"


def test_an_asker_who_was_edited_is_seen(environment: Environment, browser: Browser) -> None:
    package = let_wait(environment)
    boto3.client("sagemaker").update_model_package(
        ModelPackageArn=package.arn,
        ModelApprovalStatus="PendingManualApproval",
        CustomerMetadataProperties={**package.metadata, ASKED_BY: "arn:aws:iam::1:user/nobody"},
    )
    page = text_of(browser.ask(PATH).text)
    assert "▲ Its signature: cannot be read: version 3: asked_by: expected" in page
    assert browser.ask("/electricity/versions/9").status == 404
