"""A part of a real run as the cloud told it: `lived.json` holds executions, deeds and what was read back."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from console.demo.driver import Answer
from console.demo.narrative.findings import Findings, Kept, Model, Record, Refused
from console.demo.narrative.timeline import Lived
from console.demo.narrative.usage import Usage
from console.demo.steps import Noted, Step, steps
from console.queries.executions import Execution
from millrace.decisions.record import from_line
from millrace.evaluation.report import Evaluation
from millrace.messages.monitor import MonitorReport
from millrace.release.registry import Package


def typed(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).validate_python(value)


@pytest.fixture(scope="session")
def document() -> Any:
    return json.loads(Path(__file__).with_name("lived.json").read_text())


@pytest.fixture
def found(document: Any) -> list[Execution]:
    return typed(list[Execution], document["executions"])


@pytest.fixture
def deeds(document: Any) -> list[Step]:
    return typed(list[Step], document["deeds"])


@pytest.fixture
def noted(document: Any) -> list[Noted]:
    return typed(list[Noted], document["noted"])


@pytest.fixture
def findings(document: Any) -> Findings:
    told = document["findings"]
    return Findings(
        reports=typed(dict[str, MonitorReport], told["reports"]),
        error_bounds=told["error_bounds"],
        evaluations=typed(dict[str, Evaluation], told["evaluations"]),
        models=typed(dict[str, Model], told["models"]),
        refused=typed(dict[str, tuple[Refused, ...]], told["refused"]),
        packages=typed(dict[str, Package], told["packages"]),
        kept=Kept(uri=told["kept"]["uri"], decision=from_line(told["kept"]["line"])),
        records=typed(tuple[Record, ...], told["records"]),
        usage=typed(Usage, told["usage"]),
    )


@pytest.fixture
def lived(document: Any, found: list[Execution], deeds: list[Step], noted: list[Noted], findings: Findings) -> Lived:
    return Lived(
        steps=steps(found, deeds, noted),
        executions={execution.arn: execution for execution in found},
        answers=typed(list[Answer], document["answers"]),
        findings=findings,
    )
