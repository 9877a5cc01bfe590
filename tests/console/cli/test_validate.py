"""`millrace validate` on an archive: what it prints and with which status it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from millrace.console.cli.app import app
from tests.console.queries.test_model_validation import FINE, build


def test_a_fine_archive_ends_with_0(tmp_path: Path) -> None:
    archive = build(FINE, tmp_path).archive
    done = CliRunner().invoke(app, ["validate", str(archive), "--workload", "electricity", "--json"])
    assert done.exit_code == 0, done.output
    passed = {one["check"]: one["passed"] for one in json.loads(done.output)}
    assert passed["finite weights"] is True
    assert passed["gates"] is None, "a bare archive has no report"


def test_a_bad_archive_ends_with_1_and_says_why(tmp_path: Path) -> None:
    archive = build(replace(FINE, contract="c" * 64), tmp_path).archive
    done = CliRunner().invoke(app, ["validate", str(archive), "--workload", "electricity"], env={"COLUMNS": "200"})
    assert done.exit_code == 1
    assert "FAILED" in done.output
    assert "as contract.yaml is now" in done.output


@pytest.mark.parametrize("words", [["missing.tar.gz"], ["3"]])
def test_what_is_not_there_is_told(tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    words = ["validate", *words, "--workload", "electricity", "--build", str(tmp_path)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert type(done.exception).__name__ == "EnvironmentNotFoundError"
