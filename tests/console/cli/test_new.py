"""`millrace new`: what it tells, what it refuses, and that README types what it prints."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.cli.new import commands
from millrace.console.new.writing import Written
from millrace.contract.load import load_contract
from millrace.contract.row import check_row
from millrace.errors import ConfigurationError
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests.documentation.pages import typed


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twenty days of readings, hourly, with a word for the outcome."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["time", "level", "site", "outcome"])
        for hour in range(480):
            at = f"2024-03-{hour // 24 + 1:02}T{hour % 24:02}:00:00"
            writer.writerow([at, (hour * 37) % 101, ("north", "south")[hour % 3 == 0], ("good", "bad")[hour % 5 == 0]])
    return path


def run(*words: str) -> Any:
    """Without a trial, which has tests of its own."""
    return CliRunner().invoke(app, ["new", *words, "--minutes", "0"], catch_exceptions=False)


def test_it_tells_guesses_columns_and_what_to_type_next(file: Path) -> None:
    told = run("mine", "--from", "rows.csv", "--label", "outcome")
    assert told.exit_code == 0
    assert "positive    'bad': the other one is 'good'; or good" in told.stdout
    assert "event time  time: the only column of times" in told.stdout
    assert "480 rows keep the contract, 0 would be quarantined" in told.stdout
    assert told.stdout.count(" has a list of ") == 1
    assert "- site has a list of 2 values: " in told.stdout
    for line in typed("millrace new mine")[1:]:
        assert f"  {line}\n" in told.stdout
    assert "\nto_predict.jsonl holds the last 5 rows as a request holds them, without outcome.\n" in told.stdout
    assert sorted(path.name for path in Path("workloads/mine").iterdir()) == ["contract.yaml", "workload.yaml"]


def test_a_text_without_its_list_takes_a_new_word_as_unknown(file: Path) -> None:
    run("mine", "--from", "rows.csv", "--label", "outcome")
    folder = Path("workloads/mine")
    lines = (folder / "contract.yaml").read_text().splitlines()
    kept = [line for line in lines if "validValues: [north, south]" not in line]
    assert len(kept) == len(lines) - 1
    (folder / "contract.yaml").write_text("\n".join(kept))
    contract = check_fit(load_workload(folder), load_contract(folder))
    request = {"time": "2024-05-01T00:00:00", "level": 3, "site": "east"}
    assert check_row(request, contract.table("scoring")) == ()


def test_readme_types_what_it_prints() -> None:
    drops = Path("build/drops/mine")
    here = Written(
        folder=Path("workloads/mine"),
        drops=(drops / "training" / "rows.csv",),
        to_predict=drops / "to_predict.jsonl",
        predicted="the last 5 rows",
    )
    assert typed("millrace new mine") == ["millrace new mine --from rows.csv --label outcome", *commands("mine", here)]


def test_as_json_it_holds_the_same(file: Path) -> None:
    said = json.loads(run("mine", "--from", "rows.csv", "--label", "outcome", "--json").stdout)
    assert said["guesses"]["label"] == {"value": "outcome", "reason": "you said so", "others": []}
    assert said["features"] == ["level", "site", {"name": "when", "calendar": "time", "parts": ["hour", "weekday"]}]
    assert [Path(path).name for path in said["drops"]] == ["rows.csv"]
    assert all(Path(path).is_file() for path in [*said["drops"], said["to_predict"]])


def test_an_error_is_one_line_and_leaves_nothing(file: Path) -> None:
    command = [sys.executable, "-m", "millrace.console.cli", "new", "mine", "--from", "rows.csv", "--label", "time"]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    *phases, line = done.stderr.splitlines()
    assert all(phase.startswith("[") for phase in phases)
    assert line.startswith("millrace: rows.csv: --label: expected a column of two classes")
    assert line.endswith("got 'time, a timestamp with 480 values'")
    assert [path.name for path in file.parent.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("--label", "Outcom"), "did you mean 'outcome'?"),
        (("--label", "outcome", "--event-time", "tme"), "did you mean 'time'?"),
        (("--label", "outcome", "--leave-out", "levels,site"), "did you mean 'level'?"),
    ],
)
def test_a_column_that_is_misspelled_is_proposed(words: tuple[str, ...], meant: str, file: Path) -> None:
    assert meant in str(run_badly("mine", "--from", "rows.csv", *words))
    assert "did you mean" not in str(run_badly("mine", "--from", "rows.csv", "--label", "zzz"))


def run_badly(*words: str) -> BaseException:
    with pytest.raises(ConfigurationError) as error:
        run(*words)
    return error.value


@pytest.mark.parametrize("hours", [["0"], ["-1"], ["nan"], ["inf"], ["1", "--horizon-hours", "2"]])
def test_a_horizon_lies_ahead_and_is_one(file: Path, hours: list[str]) -> None:
    done = run("mine", "--from", "rows.csv", "--label", "level", "--horizon-hours", *hours)
    assert done.exit_code == 2
    assert ("above 0" if len(hours) == 1 else "expected it once") in done.output


def test_a_word_too_many_may_be_a_comma_too_few(file: Path) -> None:
    done = run("mine", "--from", "rows.csv", "--key", "id", "day")
    assert (done.exit_code, "id,day" in done.output) == (2, True)


def test_a_workload_that_is_there_stays(file: Path) -> None:
    assert run("mine", "--from", "rows.csv", "--label", "outcome").exit_code == 0
    before = Path("workloads/mine/workload.yaml").read_bytes()
    with pytest.raises(Exception, match="--force"):
        run("mine", "--from", "rows.csv", "--label", "site")
    assert Path("workloads/mine/workload.yaml").read_bytes() == before
    assert run("mine", "--from", "rows.csv", "--label", "site", "--force").exit_code == 0
    assert Path("workloads/mine/workload.yaml").read_bytes() != before
