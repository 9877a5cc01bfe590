"""The prediction function while the version before the live one is warm at the challenger's endpoint."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from millrace.decisions.record import from_line
from millrace.state.pointers import CanaryVersion, Pointers, ReleasePointers, Version
from millrace.state.table import StateTable
from tests.challenger import answering
from tests.electricity import live_at_once
from tests.functions.cold_start import NAMES, cold_starts
from tests.functions.prediction.conftest import SAMPLES
from tests.functions.prediction.test_handler import request

BEFORE = Version(package_arn="arn/2", version="2", model_name="m2", run="r", baseline_uri="s3://b/k")
LIVE = replace(BEFORE, package_arn="arn/3", version="3", model_name="m3")
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
def ask(endpoints: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """`ask(canary=None)`: what a caller hears while the pointers have this canary."""
    own = shutil.copytree(SAMPLES / "electricity", tmp_path / "electricity")
    text = live_at_once((own / "workload.yaml").read_text())
    text = text.replace("  phases: [live]\n", "  phases: [live]\n  warm_hours: 24\n")
    text = text.replace("  label: class\n", "  label: class\n  fallback: [previous, {constant: 0.25}]\n")
    (own / "workload.yaml").write_text(text)
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path))
    pointers = ReleasePointers(StateTable(boto3.client("dynamodb"), NAMES))
    with cold_starts() as start:

        def asked(canary: CanaryVersion | None = STANDBY) -> dict[str, Any]:
            pointers.move(Pointers(champion=LIVE, previous=BEFORE, canary=canary, revision=pointers.read().revision))
            one = start("prediction")(request())["predictions"][0]
            return {name: one.get(name) for name in ("model_version", "answered_by", "fallback", "phase")}

        yield asked


def test_the_version_before_answers_while_the_live_one_does_not(
    endpoints: Endpoints, ask: Callable[..., Any], decisions: Callable[[], list[str]]
) -> None:
    assert ask() == {"model_version": "3", "answered_by": None, "fallback": False, "phase": "live"}
    endpoints.is_broken = True
    assert ask() == {"model_version": "2", "answered_by": "previous", "fallback": False, "phase": "live"}
    kept = from_line(decisions()[-1])
    assert (kept.model_version, kept.answered_by, kept.fallback) == ("2", "previous", False)


@pytest.mark.parametrize("case", ["nothing is warm", "a canary stands there", "another version answers"])
def test_nobody_else_answers_in_its_place(endpoints: Endpoints, ask: Callable[..., Any], case: str) -> None:
    endpoints.is_broken = True
    newer = CanaryVersion(version=replace(LIVE, version="4"), share=0.0, execution="e")
    endpoints.warm = "2" if case == "nothing is warm" else "4"
    canary = {"nothing is warm": None, "a canary stands there": newer}.get(case, STANDBY)
    assert ask(canary) == {"model_version": None, "answered_by": "constant", "fallback": True, "phase": "live"}


def test_a_rollback_is_heard_at_once(ask: Callable[..., Any]) -> None:
    assert ask(replace(STANDBY, share=1.0))["model_version"] == "2"
