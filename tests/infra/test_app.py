"""Which workloads the app takes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from millrace.errors import ConfigurationError, WorkloadError
from millrace.infra.app import (
    build,
    check_cards,
    check_rules,
    chosen,
    main,
    warnings,
    without,
)
from millrace.infra.options import options_of
from millrace.infra.settings import settings_for
from millrace.names import Platform
from millrace.workload.load import SUITE, load_workload, read_workloads
from tests.consumers import with_consumers
from tests.credentials import set_credentials
from tests.infra.conftest import ELECTRICITY

FOLDERS = [Path("workloads/electricity"), Path("workloads/mine"), Path("workloads/yours")]


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ("", ["electricity", "mine", "yours"]),
        ("mine", ["mine"]),
        ("yours, electricity,yours", ["yours", "electricity"]),
    ],
)
def test_all_or_those_that_the_context_lists(names: str, taken: list[str]) -> None:
    assert [folder.name for folder in chosen(FOLDERS, names)] == taken


@pytest.mark.parametrize("names", ["mine,theirs", "theirs"])
def test_an_unknown_name_is_refused(names: str) -> None:
    said = r"context: workloads: expected .* of electricity, mine, yours.*'theirs'"
    with pytest.raises(ConfigurationError, match=said):
        chosen(FOLDERS, names)


def test_all_workloads_without_a_card_are_named_and_none_of_them_is_proposed() -> None:
    """What `make synth STAGE=dev` types needs one more run for each that is not named."""
    shipped = [load_workload(SUITE / "workloads" / name) for name in ("income", "electricity", "xray")]
    lacking = [shipped[0].model_copy(update={"card": None}), shipped[1], shipped[2].model_copy(update={"card": None})]
    with pytest.raises(WorkloadError) as refused:
        check_cards(Platform(stage="dev", account="123456789012", region="eu-west-1"), lacking)
    assert str(refused.value).startswith("income/workload.yaml, xray/workload.yaml: card: expected intended_use, ")
    advice = without(refused.value, ["electricity", "income", "xray"], "dev")
    assert advice == ": `cdk … -c workloads=electricity` or `make synth WORKLOADS=electricity` leaves them out"
    check_cards(Platform(stage="local", account="123456789012", region="eu-west-1"), lacking)


def test_a_workload_that_cannot_be_read_is_one_line_and_stops_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SUITE / "workloads" / "electricity", tmp_path / "electricity")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "workload.yaml").write_text("name: broken\n")
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path))
    monkeypatch.setenv("CDK_DEFAULT_ACCOUNT", "123456789012")
    monkeypatch.setenv("CDK_DEFAULT_REGION", "eu-west-1")
    advice = r": `millrace up --workload electricity`, .* `make synth WORKLOADS=electricity` leaves it out$"
    with pytest.raises(SystemExit, match=rf"^broken/workload.yaml: .*{advice}"):
        main()
    found, broken = read_workloads(tmp_path)
    assert [workload.name for workload in found] == ["electricity"]
    assert [error.where for error in broken] == ["broken/workload.yaml"]
    assert [folder.name for folder in chosen([tmp_path / "broken", tmp_path / "electricity"], "electricity")] == [
        "electricity"
    ]


def test_a_deployed_workload_whose_folder_is_gone_is_a_warning_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    set_credentials(monkeypatch)
    settings = settings_for("dev", account="123456789012", region="eu-west-1")
    template = json.dumps({"Resources": {"queue": {"Type": "AWS::SQS::Queue"}}})
    with mock_aws():
        for workload in ("electricity", "delay"):
            name = f"millrace-dev-{workload}-training"
            boto3.client("cloudformation").create_stack(StackName=name, TemplateBody=template)
        monkeypatch.setenv("CDK_DEFAULT_ACCOUNT", "123456789012")
        (warning,) = [said for name, said in warnings(settings, {}) if name.startswith("folder-gone")]
    assert warning.startswith("delay is deployed and has no folder in ")
    assert "`millrace down --workload delay --stage dev` removes it" in warning


def test_targets_are_checked_and_in_prod_none_is_open_by_itself(tmp_path: Path) -> None:
    folder, place = with_consumers(tmp_path), {"account": "123456789012", "region": "eu-west-1"}
    with pytest.raises(WorkloadError, match=r"expected one of stages\.prod\.targets in cdk.json \(none yet\)"):
        build(settings_for("prod", **place), workloads=[folder])
    assert settings_for("dev", **place).targets is None


def test_jobs_that_nobody_can_leave_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "electricity"
    shutil.copytree(ELECTRICITY, folder)
    with (folder / "workload.yaml").open("a") as declaration:
        declaration.write("jobs: {}\n")
    place, options = {"account": "123456789012", "region": "eu-west-1"}, options_of({"dev": {"api": {}}}, "dev")
    with pytest.raises(WorkloadError) as refused:
        build(settings_for("dev", **place), workloads=[folder])
    assert (refused.value.where, refused.value.field) == ("workloads/electricity", "jobs")
    assert (str(refused.value.expected)[:16], refused.value.came) == ("the option `api`", "a stage without it")
    build(settings_for("dev", **place, options=options), workloads=[folder], outdir=str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("content", "came"),
    [
        (None, "no such file"),
        (b" \n", "2, of which 0 are not UTF-8"),
        (b"x" * 20_001, "20,001, of which 0 are not UTF-8"),
        ("gro\u00df".encode("latin-1"), "4, of which 1 are not UTF-8"),
    ],
)
def test_a_guideline_that_nobody_can_read_is_refused(content: bytes | None, came: str, tmp_path: Path) -> None:
    folder = tmp_path / "income"
    shutil.copytree(SUITE / "workloads" / "income", folder, ignore=shutil.ignore_patterns("sample", "*.md"))
    if content is not None:
        (folder / "guideline.md").write_bytes(content)
    with pytest.raises(WorkloadError) as refused:
        build(settings_for("local", account="123456789012", region="eu-west-1"), workloads=[folder])
    assert (refused.value.where, refused.value.field, refused.value.came) == (
        "income/workload.yaml", "policy.review.guideline", came,
    )  # fmt: skip


def test_a_template_that_breaks_a_rule_stops_the_synthesis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"Tags": []}}
    (tmp_path / "edited.template.json").write_text(json.dumps({"Resources": {"Queue": queue}}))
    with pytest.raises(ConfigurationError) as refused:
        check_rules(tmp_path, is_deployed=True)
    printed = capsys.readouterr().err.splitlines()
    assert {line.partition(":")[0] for line in printed} == {"customer-key", "tags"}
    assert (refused.value.field, refused.value.came) == ("rules", len(printed))
