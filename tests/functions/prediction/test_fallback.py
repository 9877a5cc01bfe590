"""The prediction function while the live endpoint does not answer: what is declared in its place does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from millrace.state.pointers import CanaryVersion, Pointers
from tests.builders import version
from tests.challenger import answering
from tests.functions.cold_start import NAMES
from tests.functions.conftest import Aws
from tests.functions.prediction.conftest import gone_live
from tests.functions.prediction.test_handler import request


def published(capsys: pytest.CaptureFixture[str]) -> set[str]:
    """The metrics that were published."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    metrics = [one["_aws"]["CloudWatchMetrics"][0]["Metrics"] for one in lines if "_aws" in one]
    return {metric["Name"] for found in metrics for metric in found}


def test_for_an_endpoint_that_is_gone_the_fallback_answers_and_alarms_hear_of_it(
    queue_url: str, endpoint: Any, declare: Any, load: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    gone_live()
    endpoint.status, endpoint.code = 400, "ValidationError"
    declare({"  label: class\n": "  label: class\n  fallback: [{constant: 0.25}]\n"})
    answer = load("prediction")(request("prediction_http"))
    assert answer["statusCode"] == 200, "the declared fallback answers"
    said = json.loads(answer["body"])["predictions"]
    assert {(one["fallback"], one["answered_by"], one["probability"]) for one in said} == {(True, "constant", 0.25)}
    assert published(capsys) == {"Unavailable", "Fallbacks"}


BEFORE, LIVE = version("2"), version("3")
STANDBY = CanaryVersion(version=BEFORE, share=0.0, execution="e")


@dataclass
class Endpoints:
    """Whether the live one answers, and which version the challenger's serves."""

    is_broken: bool = False
    warm: str = "2"

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        is_live = path == f"/endpoints/{NAMES.endpoint}/invocations"
        if is_live and self.is_broken:
            return 500, b"{}"
        said = [{"value": 1, "probability": 0.75, "confidence": 0.75} for _ in json.loads(body)["rows"]]
        return 200, json.dumps({"model_version": "3" if is_live else self.warm, "predictions": said}).encode()


@pytest.fixture
def endpoints(queue_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoints]:
    found = Endpoints()
    with answering(monkeypatch, found.answer):
        yield found


@pytest.fixture
def ask(endpoints: Endpoints, aws: Aws, load: Any, declare: Any) -> Callable[..., Any]:
    """`ask(canary=None)`: what a caller hears while the pointers have this canary."""
    fallback = "  label: class\n  fallback: [previous, {constant: 0.25}]\n"
    declare({"  phases: [live]\n": "  phases: [live]\n  warm_hours: 24\n", "  label: class\n": fallback})

    def asked(canary: CanaryVersion | None = STANDBY) -> dict[str, Any]:
        revision = aws.pointers.read().revision
        aws.pointers.move(Pointers(champion=LIVE, previous=BEFORE, canary=canary, revision=revision))
        one = load("prediction")(request())["predictions"][0]
        return {name: one.get(name) for name in ("model_version", "answered_by", "fallback", "phase")}

    return asked


@pytest.mark.parametrize("case", ["", "nothing is warm", "a canary stands there", "another version answers"])
def test_only_the_version_before_answers_while_the_live_one_does_not(
    endpoints: Endpoints, ask: Callable[..., Any], case: str
) -> None:
    assert ask() == {"model_version": "3", "answered_by": None, "fallback": False, "phase": "live"}
    endpoints.is_broken = True
    newer = CanaryVersion(version=replace(LIVE, version="4"), share=0.0, execution="e")
    endpoints.warm = "4" if case and case != "nothing is warm" else "2"
    canary = {"nothing is warm": None, "a canary stands there": newer}.get(case, STANDBY)
    who = (None, "constant", True) if case else ("2", "previous", False)
    assert (*ask(canary).values(),) == (*who, "live")


def test_a_rollback_is_heard_at_once(ask: Callable[..., Any]) -> None:
    assert ask(replace(STANDBY, share=1.0))["model_version"] == "2"
