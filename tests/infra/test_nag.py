"""cdk-nag's packs AwsSolutions and Serverless: no finding but those acknowledged where they stand, with a reason."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import cdk_nag
import pytest

from localcloud.ledger.ledger import ledger
from millrace.infra.app import build
from millrace.infra.options import Options
from millrace.infra.rules.assembly import read
from millrace.infra.rules.catalogue import findings
from millrace.infra.settings import settings_for
from millrace.workload.load import SUITE, workload_folders
from tests.consumers import with_consumers
from tests.infra.conftest import ELECTRICITY, OWN

EXACT = re.compile(r"(AwsSolutions|Serverless)-(?!IAM[45]$)\w+(\[.+\])?")
"""A finding on a wildcard names the wildcard: the bare id would cover them all."""
LEAST_REASON = 30


@dataclass(frozen=True, order=True, kw_only=True)
class Acknowledged:
    path: str
    finding: str
    reason: str
    on_resource: bool


def app_of(stage: str, outdir: Path, folders: Sequence[Path] = (ELECTRICITY,)) -> cdk.App:
    settings = settings_for(stage, account="123456789012", region="eu-west-1")
    return build(settings, workloads=folders, outdir=str(outdir))


HEARD = {"alarm_email": "team@example.com", "alarm_webhook": "chat/url"}
CHOSEN: dict[str, dict[str, Any]] = {
    "dev": {
        "access_audit": True,
        "tracking": "app",
        "tags": {"team": "forecast"},
        "bulk": {"vcpus": 16},
        "prediction_provisioned": 1,
        "machine_log": "errors",
        "dashboards": True,
        "prediction_reserved": 5,
        "decision_writers": 4,
        "api": {"requests_per_s": 20, "private": ["vpce-0a1b2c3d"]},
        "partners": {"444455556666": {"drops": ["electricity/labels"], "calls": ["intents"]}},
        "callers": {"requests_per_s": 5, "burst": 10},
        "released_to": [{"account": "444455556666", "stage": "prod"}],
    },
    "prod": {
        "tracking": "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/runs",
        "lineage": {"url": "https://marquez.example.com", "secret": "marquez"},  # pragma: allowlist secret
        "targets": ["*"],
        **OWN,
        "github": {"repository": "example/forecast"},
        "pulls_from": {
            "account": "111122223333",
            "stage": "dev",
            "key_arn": "arn:aws:kms:eu-west-1:111122223333:key/0",
            "signing_key_arn": "arn:aws:kms:eu-west-1:111122223333:key/1",
        },
    },
}
"""By stage, all that its owner may choose; what excludes each other is in the one or the other."""


def app_of_chosen(stage: str, outdir: Path) -> cdk.App:
    """A stage whose owner has left nothing out."""
    settings = settings_for(
        stage,
        account="123456789012",
        region="eu-west-1",
        options=Options.model_validate({**HEARD, **CHOSEN[stage]}),
    )
    workloads = [with_consumers(outdir.with_suffix(".own")), ELECTRICITY.with_name("intents")]
    return build(settings, workloads=workloads, outdir=str(outdir))


def found(app: cdk.App) -> set[tuple[str, str]]:
    """What the packs find in the app: construct and finding."""
    cdk.Validations.of(app).add_plugins(cdk_nag.AwsSolutionsChecks(app), cdk_nag.ServerlessChecks(app))
    try:
        app.synth()
    except RuntimeError as error:
        assert "ValidationFailed" in str(error)  # noqa: PT017 - it comes with findings only
    reports = json.loads((Path(app.outdir) / "validation-report.json").read_text())["pluginReports"]
    return {
        (construct["constructPath"], violation["ruleName"])
        for report in reports
        for violation in report["violations"]
        for construct in violation["violatingConstructs"]
    }


def acknowledged(assembly: Path) -> Iterator[Acknowledged]:
    """What the constructs of an assembly acknowledge, as CDK recorded it."""
    for file in sorted(assembly.glob("*.metadata.json")):
        for path, entries in json.loads(file.read_text()).items():
            on_resource = any(entry["type"] == "aws:cdk:logicalId" for entry in entries)
            for entry in entries:
                if entry["type"] == "aws:cdk:acknowledged-rules":
                    for finding, reason in entry["data"].items():
                        yield Acknowledged(
                            path=path.removeprefix("/"),
                            finding=finding.removeprefix("Annotation::"),
                            reason=reason,
                            on_resource=on_resource,
                        )


def improper(all_of: list[Acknowledged]) -> list[Acknowledged]:
    """Acknowledgements that cover more than one resource or finding, or that say nothing."""
    reasons = {(one.reason, re.sub(r"\[.*", "", one.finding)) for one in all_of}
    shared = {reason for reason, times in Counter(reason for reason, _ in reasons).items() if times > 1}
    return [
        one
        for one in all_of
        if not one.on_resource
        or not EXACT.fullmatch(one.finding)
        or len(one.reason) < LEAST_REASON
        or one.reason in shared
    ]


@pytest.fixture(scope="module", params=["dev", "prod"])
def checked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, set[tuple[str, str]]]:
    folder = tmp_path_factory.mktemp("nag")
    return folder, found(app_of(request.param, folder))


def test_no_finding_is_left(checked: tuple[Path, set[tuple[str, str]]]) -> None:
    assert checked[1] == set()


@pytest.mark.night("by day electricity; the others differ in values")
def test_no_finding_is_left_in_another_workload(tmp_path: Path) -> None:
    others = [folder for folder in workload_folders(SUITE / "workloads") if folder != ELECTRICITY]
    assert found(app_of("dev", tmp_path, others)) == set()


@pytest.mark.parametrize("stage", CHOSEN)
def test_no_finding_is_left_where_all_is_chosen(stage: str, tmp_path: Path) -> None:
    assert found(app_of_chosen(stage, tmp_path)) == set()
    assert improper(list(acknowledged(tmp_path))) == []
    assert findings(read(tmp_path)) == [], "our own rules know every type that may be chosen"
    assert ledger(tmp_path), "the parity ledger has a row for all that it holds"


def test_all_that_may_be_chosen_is_among_them() -> None:
    """An option that is added is looked at, too."""
    chosen = {name for one in (HEARD, *CHOSEN.values()) for name in one}
    assert chosen | {"accepted_findings", "like"} == set(Options.model_fields)


def test_every_acknowledgement_is_exact_and_has_a_reason(checked: tuple[Path, set[tuple[str, str]]]) -> None:
    all_of = list(acknowledged(checked[0]))
    assert all_of
    assert improper(all_of) == []


def test_every_acknowledgement_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any of them the packs find exactly what is acknowledged: so they do look, and no reason is stale."""
    said: set[tuple[str, str]] = set()

    def note(self: cdk.Validations, *rules: cdk.Acknowledgment) -> None:
        said.update((self_paths[-1], rule.id) for rule in rules)

    self_paths: list[str] = []
    of = cdk.Validations.of

    def remember(scope: cdk.CfnResource) -> cdk.Validations:
        self_paths.append(scope.node.path)
        return of(scope)

    monkeypatch.setattr(cdk.Validations, "of", remember)
    monkeypatch.setattr(cdk.Validations, "acknowledge", note)
    assert found(app_of("prod", tmp_path)) == said
