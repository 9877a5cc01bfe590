from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millrace.artefact.artefact import read_folder
from millrace.artefact.inference import Model
from millrace.artefact.rows_per_pass import MOST
from millrace.serving.application import Application
from millrace.serving.settings import Settings
from tests import builders


@pytest.fixture(scope="module")
def model(model_1996: Path) -> Model:
    return Model(read_folder(model_1996))


@pytest.fixture
def application(model: Model) -> Application:
    return Application(model, Settings(model_version="3", workers=2))


@pytest.fixture
def row(model: Model) -> Callable[[int], dict[str, Any]]:
    """A row like those of training, another one for each number."""

    def make(number: int) -> dict[str, Any]:
        values = np.random.default_rng(number).random(len(model.description.columns)).tolist()
        return dict(zip(model.description.columns, values, strict=True))

    return make


def rows(*given: dict[str, Any]) -> bytes:
    return json.dumps({"rows": given}).encode()


@pytest.mark.parametrize(("what", "bad"), [("answer", np.nan), ("answer", np.nextafter(1, 2)), ("measure", np.inf)])
def test_a_row_without_a_usable_answer_is_rejected_and_no_other(model: Model, row: Any, what: str, bad: float) -> None:
    """Of all requests of a turn; what lies in the middle keeps its place."""

    class Overflowing:
        measures_likeness = True
        description = model.description

        def outputs(self, tensors: Any) -> Any:
            found = model.outputs(tensors)
            return np.where(tensors["numbers"][:, :1] > 1e37, bad if what == "answer" else found, found)

        def with_likeness(self, tensors: Any) -> Any:
            far_N = tensors["numbers"][:, 0] > 1e37
            measured = {"likeness": np.ones(len(far_N)), "embedding.0": np.where(far_N, bad, 0.0)}
            return self.outputs(tensors), measured if what == "measure" else {}

    application = Application(Overflowing(), Settings(model_version="3", workers=2))  # type: ignore[arg-type]
    name = model.description.columns[0]
    given = [row(0), row(1) | {name: 1e38}, row(2)]
    first, second = application.answer([builders.invocation(rows(*given)), builders.invocation(rows(given[2]))])
    alone = json.loads(
        Application(model, Settings(model_version="3", workers=2)).answer([builders.invocation(rows(given[2]))])[0].body
    )
    reason = {"column": "prediction", "expected": "a finite number in its range", "came": "another"}
    predictions = json.loads(first.body)["predictions"]
    assert predictions[1] == {"rejected": reason}
    assert predictions[2].items() >= alone["predictions"][0].items()
    assert [predictions[2]] == json.loads(second.body)["predictions"]


def test_requests_of_one_turn_do_not_mix(application: Application, row: Any) -> None:
    """Good and bad ones, each as when it is asked alone."""
    requests = [
        builders.invocation(rows(row(1))),
        builders.invocation(b"{"),
        builders.invocation(rows(row(2), row(3), row(4))),
        builders.invocation(method="GET", path="/ping"),
        builders.invocation(rows(row(5))),
        builders.invocation(rows({"a": 1})),
        builders.invocation(rows(*[row(number) for number in range(MOST + 5)])),
    ]
    together = application.answer(requests)
    assert [answer.status for answer in together] == [200, 400, 200, 200, 200, 400, 200]
    for one, answer in zip(requests, together, strict=True):
        [alone] = application.answer([one])
        assert alone.status == answer.status
        _assert_alike(alone.body, answer.body)


def _assert_alike(one: bytes, other: bytes) -> None:
    """Equal but for the last digits: a pass of other width may add up in another order."""
    if not one.startswith(b'{"model_version"'):
        if b"probability" not in one:
            assert one == other
        return
    mine, others = json.loads(one)["predictions"], json.loads(other)["predictions"]
    assert [p["value"] for p in mine] == [p["value"] for p in others]
    np.testing.assert_allclose([p["probability"] for p in mine], [p["probability"] for p in others], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ping", 200),
        ("GET", "/execution-parameters", 200),
        ("POST", "/ping", 405),
        ("GET", "/invocations", 405),
        ("GET", "/", 404),
        ("GET", "/ping/", 404),
    ],
)
def test_paths_and_methods(application: Application, method: str, path: str, status: int) -> None:
    [answer] = application.answer([builders.invocation(method=method, path=path)])
    assert answer.status == status
    if status >= 400:
        assert json.loads(answer.body).keys() == {"error", "expected", "came", "where"}


def test_ping_has_an_empty_body_and_batch_transform_is_told_what_suits(application: Application) -> None:
    asked = [builders.invocation(method="GET", path=path) for path in ("/ping", "/execution-parameters")]
    ping, parameters = application.answer(asked)
    assert ping.body == b""
    assert json.loads(parameters.body) == {
        "MaxConcurrentTransforms": 2,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": 6,
    }


def test_an_engine_that_fails_is_our_fault_and_costs_only_its_turn(
    application: Application,
    model: Model,
    row: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_rows: object) -> None:
        raise RuntimeError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(model, "outputs", fail)
        asked = [*map(builders.invocation, (rows(row(1)), b"{")), builders.invocation(method="GET", path="/ping")]
        assert [answer.status for answer in application.answer(asked)] == [500, 400, 200]
    assert "no memory" in capsys.readouterr().err
    assert application.answer([builders.invocation(rows(row(1)))])[0].status == 200


def test_a_request_with_explain_says_what_each_column_added(application: Application, model: Model) -> None:
    """Near the mean of the training rows, where the answer is not sure of itself."""
    assert model.description.reference is not None
    means = model.description.reference.means["numbers"]
    near = [dict(zip(model.description.columns, [mean * by for mean in means], strict=True)) for by in (0.8, 1.2)]
    plain, explained = application.answer(
        [builders.invocation(rows(*near)), builders.invocation(json.dumps({"rows": near, "explain": True}).encode())]
    )
    for before, after in zip(*(json.loads(one.body)["predictions"] for one in (plain, explained)), strict=True):
        assert "explanation" not in before
        found = after.pop("explanation")
        assert after == before
        p = before["probability"]
        assert found["output"] == pytest.approx(np.log(p / (1 - p)), rel=1e-3)
        added = sum(one["contribution"] for one in found["contributions"]) + found["others"]
        assert added == pytest.approx(found["output"] - found["base"], abs=1e-4)
        assert {"nswprice", "nswdemand"} <= {one["column"] for one in found["contributions"]}
        assert (found["method"], found["standard_error"]) == ("shapley", 0.0)


@pytest.mark.parametrize(("explain", "count", "status"), [(1, 1, 400), (True, 9, 413), (False, 9, 200), (True, 8, 200)])
def test_explanations_are_of_a_few_rows(
    application: Application, row: Any, explain: Any, count: int, status: int
) -> None:
    body = json.dumps({"rows": [row(number) for number in range(count)], "explain": explain}).encode()
    [answer] = application.answer([builders.invocation(body)])
    assert answer.status == status, answer.body
