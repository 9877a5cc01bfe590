"""A person works through the queue by plain forms over a real socket, as a browser without scripts does."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from millrace.console.actions.reviews import LabelTimer, Reviewer
from millrace.console.environment import Environment, find_environment
from millrace.console.queries.reviews import reviews_of
from millrace.decisions.answered import UNDO
from millrace.decisions.review import ReviewAnswer, ReviewItem, label_body
from millrace.names import WorkloadNames
from tests.console.web.queue_of_items import NAMES, PATH, item, make_stores, open_items
from tests.console.web.served import Browser, hidden, opened, send
from tests.console.web.test_acts import reader
from tests.credentials import KEYS


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        make_stores()
        yield find_environment("dev", Path("build"))


@pytest.fixture
def browser(environment: Environment) -> Iterator[Browser]:
    open_items(environment, 3)
    with opened(environment) as browser:
        yield browser


def state(environment: Environment, number: int, names: WorkloadNames = NAMES) -> ReviewItem:
    return reviews_of(environment, names).queue.find([f"r-{number}"])[f"r-{number}"]


def label_files() -> list[list[dict[str, Any]]]:
    bucket, s3 = NAMES.platform.bucket("landing"), boto3.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    return [[json.loads(line) for line in body.splitlines()] for body in bodies]


def labels() -> list[dict[str, Any]]:
    return [label for file in label_files() for label in file]


def test_an_answer_leads_to_the_next_item_and_becomes_a_label(browser: Browser, environment: Environment) -> None:
    following = send(browser, browser.ask(PATH), value=">50K")
    assert hidden(following.text, "decision") == "r-2"
    answered = state(environment, 1).answer
    assert answered
    assert (answered.value, answered.source) == (">50K", "web")
    assert 0 <= answered.seconds < 60
    assert labels() == []
    send(browser, following, act="finish")
    assert [one["prediction_id"] for one in labels()] == ["r-1"]


def test_the_guideline_is_that_of_now(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree("workloads/income", tmp_path / "income", ignore=shutil.ignore_patterns("sample"))
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path))
    for text in ("By hand.", "By book."):
        (tmp_path / "income/guideline.md").write_text(text)
        assert text in browser.ask(PATH).text


def test_labels_of_who_goes_on_are_dropped_together(environment: Environment) -> None:
    open_items(environment, 3)
    reviewer = Reviewer.of(environment, NAMES, source="web")
    for ago in (2 * UNDO, UNDO, timedelta(0)):
        answer = ReviewAnswer(value=">50K", by=reviewer.by, at=(datetime.now(UTC) - ago), seconds=1, source="web")
        held = reviewer.next()
        assert held
        body = label_body([{"prediction_id": held.item.id}])
        assert reviewer.reviews.queue.answer(held, answer, label=body)
    timer = LabelTimer(reviewer, undo_s=0.01)
    timer.add()
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()
    timer.stop()
    assert [[one["prediction_id"] for one in file] for file in label_files()] == [["r-1", "r-2"]]
    assert reviewer.finish() == 1


def test_skip_pass_on_and_take_back(browser: Browser, environment: Environment) -> None:
    third = send(browser, send(browser, browser.ask(PATH), act="skip"), act="escalate", note="odd hours")
    assert hidden(third.text, "decision") == "r-3"
    assert (state(environment, 1).status, state(environment, 2).note) == ("waiting", "odd hours")
    assert 'value="undo"' not in third.text
    none = send(browser, third, value="<=50K")
    assert hidden(none.text, "decision") == ""
    again = send(browser, none, act="undo")
    assert hidden(again.text, "decision") == "r-3"
    assert state(environment, 3).answer is None


@pytest.mark.parametrize(("denied", "status"), [("PutItem", 200), ("Query", 403)])
def test_own_answers_are_shown_to_who_may_read_the_queue(environment: Environment, denied: str, status: int) -> None:
    with opened(reader(environment, denied)) as browser:
        answer = browser.ask(f"{PATH}/answers")
    assert (answer.status, f"ann may not {denied}" in answer.text) == (status, status == 403)


def test_an_answer_that_is_none_of_the_choices_is_said_and_changes_nothing(
    browser: Browser, environment: Environment
) -> None:
    again = send(browser, browser.ask(PATH), value="7")
    assert 'role="alert"' in again.text
    assert hidden(again.text, "decision") == "r-1"
    assert state(environment, 1).status == "waiting"
    assert 'role="alert"' not in browser.ask(PATH).text


@pytest.mark.parametrize(("reason", "is_told"), [("held_out", False), ("unsure", True)])
def test_a_blind_item_tells_nothing_of_the_model_s_answer(environment: Environment, reason: Any, is_told: bool) -> None:
    output = {"value": 1, "probability": 0.987, "confidence": 0.987}
    reviews_of(environment, NAMES).queue.open(item(1, reason=reason, output=output))
    with opened(environment) as browser:
        shown = browser.ask(PATH)
    assert hidden(shown.text, "decision") == "r-1"
    written = re.sub(r"<style>.*?</style>|<input[^>]*>", "", shown.text, flags=re.S)
    assert ("98.7" in written, 'class="suggested"' in written) == (is_told, is_told)


def test_the_next_item_is_read_ahead_and_given_back_in_the_end(browser: Browser, environment: Environment) -> None:
    send(browser, browser.ask(PATH), act="finish")
    # Whoever comes next gets the first one, at once.
    held = reviews_of(environment, NAMES).queue.next(by="ben", now=datetime.now(UTC))
    assert held
    assert held.item.id == "r-1"
