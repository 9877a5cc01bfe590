"""Stages by other names, and two regions in one account."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from millrace.errors import ConfigurationError, WorkloadError
from millrace.infra.app import build
from millrace.infra.options import declared_options, options_of
from millrace.infra.rules.assembly import Stack, read
from millrace.infra.rules.catalogue import findings
from millrace.infra.settings import settings_for
from millrace.names import LONGEST_PREFIX, Platform, WorkloadNames
from millrace.workload.load import SUITE

PLACE: dict[str, Any] = {"account": "123456789012", "region": "us-east-1"}


def workload(folder: Path, stage: str, name: str = "electricity") -> Path:
    """The workload, with instances for the stage as for prod."""
    made = folder / name
    made.mkdir()
    for file in ("workload.yaml", "contract.yaml"):
        text = (SUITE / "workloads" / "electricity" / file).read_text().replace("prod: ml.", f"{stage}: ml.")
        (made / file).write_text(text.replace("name: electricity", f"name: {name}"))
    return made


@pytest.fixture(scope="module")
def produs(tmp_path_factory: pytest.TempPathFactory) -> list[Stack]:
    """A stage that is like prod, in another region of the same account."""
    folder = tmp_path_factory.mktemp("produs")
    settings = settings_for("produs", **PLACE, options=options_of({"produs": {"like": "prod"}}, "produs"))
    made = workload(folder, "produs")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MILLRACE_WORKLOADS", str(folder))  # whose instances decide on the base image
        build(settings, workloads=[made], outdir=str(folder / "out")).synth()
    return read(folder / "out")


def names(stacks: list[Stack], kind: str, key: str) -> set[str]:
    return {one.properties[key] for stack in stacks for one in stack.resources(kind)}


def test_a_second_region_takes_no_name_of_the_first(produs: list[Stack], assemblies: dict[str, Path]) -> None:
    """Roles and buckets have one namespace for all regions."""
    prod = read(assemblies["prod"])
    for kind, key in (("AWS::IAM::Role", "RoleName"), ("AWS::S3::Bucket", "BucketName")):
        here, there = names(prod, kind, key), names(produs, kind, key)
        assert len(here) == len(there) > 0
        assert here.isdisjoint(there)


def test_it_is_set_up_as_the_one_that_it_is_like(produs: list[Stack]) -> None:
    groups = [one.properties for stack in produs for one in stack.resources("AWS::Logs::LogGroup")]
    assert {group["RetentionInDays"] for group in groups} == {365}
    assert findings(produs) == []
    assert "eu-west-1" not in json.dumps([stack.template for stack in produs])


@pytest.mark.parametrize("stage", ["staging", "prod-2", "Prod", "x"])
def test_a_stage_that_nobody_declared_is_refused(stage: str) -> None:
    with pytest.raises(ConfigurationError, match="expected one of local, dev, prod, or a name like"):
        settings_for(stage, **PLACE)


def test_a_name_with_a_dash_is_refused_though_it_is_declared() -> None:
    with pytest.raises(ConfigurationError, match="expected one of"):
        settings_for("prod-2", **PLACE, options=options_of({"prod-2": {"like": "prod"}}, "prod-2"))


def test_a_workload_without_an_instance_for_the_stage_is_named(tmp_path: Path) -> None:
    settings = settings_for("staging", **PLACE, options=options_of({"staging": {"like": "dev"}}, "staging"))
    with pytest.raises(WorkloadError, match=r"training\.instance: expected an instance for the stage staging"):
        build(settings, workloads=[workload(tmp_path, "produs")], outdir=str(tmp_path / "out"))


def test_stage_and_workload_share_the_length_of_their_names(tmp_path: Path) -> None:
    stage, name = "productions", "w" * 20
    settings = settings_for(stage, **PLACE, options=options_of({stage: {"like": "prod"}}, stage))
    with pytest.raises(WorkloadError, match=f"makes {LONGEST_PREFIX} letters at most"):
        build(settings, workloads=[workload(tmp_path, stage, name)], outdir=str(tmp_path / "out"))
    longest = WorkloadNames(platform=Platform(stage="prod", **PLACE), workload="w" * 24)
    assert len(longest.prefix) == LONGEST_PREFIX


def test_what_runs_beside_the_cdk_reads_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert declared_options("dev").like is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cdk.json").write_text(json.dumps({"context": {"stages": {"staging": {"like": "prod"}}}}))
    assert declared_options("staging").like == "prod"
