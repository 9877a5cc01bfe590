"""`millrace validate` on an archive: what it prints and with which status it ends."""

from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from millrace.console.cli.app import app
from tests.console.queries.test_model_validation import FINE, build


def test_a_bad_archive_ends_with_1_and_says_why(tmp_path: Path) -> None:
    archive = build(replace(FINE, contract="c" * 64), tmp_path).archive
    done = CliRunner().invoke(app, ["validate", str(archive), "--workload", "electricity"], env={"COLUMNS": "200"})
    assert done.exit_code == 1
    assert "FAILED" in done.output
    assert "as contract.yaml is now" in done.output
