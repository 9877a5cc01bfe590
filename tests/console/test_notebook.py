"""`fit`, by the block of the docs: it answers as the serving container does, and saves what `millrace new` writes."""

from __future__ import annotations

import json
import re
from contextlib import chdir
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from millrace.artefact.inference import Model
from millrace.console.cli.app import app
from millrace.console.notebook import fit
from millrace.errors import ConfigurationError, DropError
from millrace.serving.application import Application
from millrace.serving.settings import Settings
from tests.builders import invocation

[BLOCK] = re.findall(
    r"```python\n(.*?)```",
    (Path(__file__).parents[2] / "docs/own-workload.md").read_text().partition("### From a notebook")[2],
    re.DOTALL,
)[:1]
"""What the page tells to type."""


def rows(count: int = 800) -> pd.DataFrame:
    draws = np.random.default_rng(3)
    x_NC = draws.normal(size=(count, 2)).round(4)
    is_yes_N = 4 * x_NC[:, 0] - 2 * x_NC[:, 1] + draws.logistic(size=count) > 0
    names = [f"r{number}" for number in range(count)]
    return pd.DataFrame({"id": names, "first": x_NC[:, 0], "second": x_NC[:, 1], "outcome": is_yes_N.astype(int)})


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the block of the page leaves, and the folder in which it was typed."""
    folder = tmp_path_factory.mktemp("notebook")
    rows().to_csv(folder / "rows.csv", index=False)
    left: dict[str, Any] = {}
    with chdir(folder):
        exec(BLOCK, left)
    return SimpleNamespace(**left, folder=folder)


def test_the_answers_are_those_of_the_serving_container_bit_for_bit(typed: Any) -> None:
    application = Application(Model(typed.model.artefact), Settings())
    asked = typed.rows.tail(5)[list(typed.model.artefact.description.inputs)].to_dict("records")
    [answer] = application.answer([invocation(json.dumps({"rows": asked}).encode())])
    served = json.loads(answer.body)["predictions"]
    fields = [field.name for field in typed.model.artefact.description.task.answer]
    assert [{name: one[name] for name in fields} for one in served] == typed.answers[fields].to_dict("records")


def test_what_it_saves_is_what_new_writes(typed: Any, tmp_path: Path) -> None:
    typed.rows.to_parquet(tmp_path / "mine.parquet", index=False)
    with chdir(tmp_path):
        done = CliRunner().invoke(
            app, ["new", "mine", "--from", "mine.parquet", "--label", "outcome", "--minutes", "0"]
        )
    assert done.exit_code == 0, done.output
    written, saved = (
        {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("workloads/mine/*"))}
        for folder in (tmp_path, typed.folder)
    )
    assert written == saved
    assert len(written) == 2
    [drop] = (typed.folder / "build/drops/mine/training").iterdir()
    assert pd.read_parquet(drop).equals(typed.rows)


def test_the_report_has_the_gates(typed: Any) -> None:
    assert all(verdict.passed and verdict.name in typed.model.report for verdict in typed.model.verdicts)


def test_a_row_that_breaks_the_contract_has_its_reason(typed: Any) -> None:
    odd = pa.Table.from_pandas(typed.rows.head(3)).set_column(1, "first", pa.array([0.5, None, 1e9]))
    answers = typed.model.predict(odd).to_pylist()
    assert [(one["value"] is None, one["reason"], one["column"]) for one in answers] == [
        (False, None, None),
        (True, "required", "first"),
        (True, "range", "first"),
    ]
    with pytest.raises(DropError, match="second"):
        typed.model.predict(odd.drop_columns(["second"]))


@pytest.mark.parametrize(
    ("frame", "label", "options", "field"),
    [
        ([1, 2], "outcome", {}, "frame"),
        (pd.DataFrame({"outcome": [1, "a"]}), "outcome", {}, "frame"),
        (rows(300), "outcom", {}, "--label"),
        (rows(300), "outcome", {"keys": "id"}, "keys"),
        (rows(300), "outcome", {"horizon_hours": -1}, "horizon_hours"),
    ],
)
def test_what_cannot_be_fitted_names_its_field(frame: Any, label: str, options: Any, field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        fit(frame, label, minutes=0, **options)
    assert caught.value.field == field
