"""`millrace try`: from what the plain wheel brings, and with the figures that scikit-learn has by itself."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PROJECT = tomllib.loads((Path(__file__).resolve().parents[3] / "pyproject.toml").read_text())["project"]
HEAVY = {"torch", "aws-cdk-lib", "moto", "mlflow-skinny", "awswrangler", "mcp", "onnxruntime", "duckdb"}
PLAIN = """
import importlib.abc, json, sys

class Only(importlib.abc.MetaPathFinder):
    left_out = {*json.loads(sys.argv.pop(1))}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.left_out:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Only())
from millrace.console.cli.app import run
run()
"""
"""A process that has what a plain install has, whatever else lies in this environment."""


def named(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def with_what_they_need(wanted: list[Requirement]) -> set[str]:
    """The names of the distributions that pip would install."""
    found: set[str] = set()
    while wanted:
        one = wanted.pop()
        extras = one.extras or {""}
        if (name := named(one.name)) in found and not one.extras:
            continue
        found.add(name)
        try:
            needed = [Requirement(each) for each in requires(one.name) or ()]
        except PackageNotFoundError:  # another platform's
            continue
        wanted += [
            each for each in needed if not each.marker or any(each.marker.evaluate({"extra": e}) for e in extras)
        ]
    return found


@pytest.fixture(scope="module")
def installed() -> set[str]:
    return with_what_they_need([Requirement(each) for each in PROJECT["dependencies"]])


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """Two numbers that tell a label by a line and a third that tells nothing, the oldest row first."""
    draws = np.random.default_rng(3)
    x_NC = draws.normal(size=(4_000, 3)).round(4)
    is_yes_N = 4 * x_NC[:, 0] - 2 * x_NC[:, 1] + draws.logistic(size=4_000) > 0
    path = tmp_path_factory.mktemp("rows") / "My rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["first", "second", "third", "left"])
        writer.writerows([*x_C, "yes" if is_yes else "no"] for x_C, is_yes in zip(x_NC, is_yes_N, strict=True))
    return path, x_NC, is_yes_N


def typed(installed: set[str], *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    left_out = [top for top, names in packages_distributions().items() if not installed & {*map(named, names)}]
    mine = json.dumps([top for top in left_out if top not in ("millrace", "localcloud") and "editable" not in top])
    line = [sys.executable, "-c", PLAIN, mine, *words]
    return subprocess.run(line, capture_output=True, text=True, cwd=cwd, timeout=120)


def test_a_plain_install_is_light(installed: set[str]) -> None:
    assert not installed & HEAVY


def test_the_figures_are_those_of_scikit_learn(installed: set[str], rows: tuple[Path, Any, Any]) -> None:
    path, x_NC, is_yes_N = rows
    words = ["try", str(path), "--label", "left", "--rows-in-order", "--html", "report.html", "--json"]
    ended = typed(installed, *words, cwd=path.parent)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    train, _, test = report["rows"]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(x_NC[:train], is_yes_N[:train])
    p_T, is_yes_T = pipeline.predict_proba(x_NC[-test:])[:, 1], is_yes_N[-test:]
    found = report["assessment"]
    linear, *_ = found["contenders"]
    assert [each["name"] for each in found["contenders"][:2]] == ["linear", "boosted trees"]
    assert linear["scores"]["log_loss"]["value"] == pytest.approx(log_loss(is_yes_T, p_T), abs=2e-3)
    assert linear["scores"]["error"]["value"] == pytest.approx(np.mean((p_T > 0.5) != is_yes_T), abs=5e-3)
    [promise] = [each for each in found["promises"] if each["promised_error"] == 0.05]
    acts_T = np.maximum(p_T, 1 - p_T) >= promise["threshold"]
    assert promise["coverage"]["value"] == pytest.approx(acts_T.mean(), abs=1e-2)
    assert promise["error"]["value"] == pytest.approx(np.mean((p_T > 0.5) != is_yes_T, where=acts_T), abs=1e-2)
    assert [*found["rises"]] == ["first", "second", "third"]
    page = (path.parent / "report.html").read_text()
    assert all(one["title"] in page for one in report["sections"])


def test_a_command_says_that_a_plain_install_lacks_it(installed: set[str], tmp_path: Path) -> None:
    ended = typed(installed, "mcp", cwd=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "millrace[all]" in ended.stderr
