"""A file through the prediction function: pieces, order, refusals; the function is the real one."""

import io
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.console.actions.predict import predict
from millrace.contract.load import load_contract
from millrace.contract.schema import Contract
from millrace.decisions.road import check_rows
from millrace.errors import AnswerError, DropError
from millrace.features.history import History
from millrace.functions.prediction.request import read_rows

CONTRACT = load_contract(Path("workloads/electricity"))
COLUMNS = CONTRACT.table("scoring").names


WHY = {"explains": "log odds of 1", "contributions": [{"column": "period", "contribution": 1.5}]}


class Function:
    """A stand-in for Lambda's API: it judges rows by the function's own rules, and keeps what it was asked and took."""

    def __init__(
        self,
        *,
        contract: Contract = CONTRACT,
        histories: tuple[History, ...] = (),
        broken: bool = False,
        forgets: int = 0,
        fallback: bool = False,
    ) -> None:
        self.calls: list[list[dict[str, Any]]] = []
        self.rows: list[dict[str, Any]] = []
        self._contract, self._histories = contract, histories
        self._broken, self._forgets, self._fallback = broken, forgets, fallback

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:
        document = json.loads(Payload)
        rows = read_rows(document)
        assert isinstance(rows, tuple), rows
        self.calls.append([dict(row) for row in rows])
        if self._broken:
            said: dict[str, Any] = {"errorType": "QueueError", "errorMessage": "1 of 1 messages refused"}
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(said).encode())}
        admitted, rejected = check_rows(rows, self._contract.table("scoring"), self._histories)
        self.rows += [dict(row.cells) for row in admitted]
        said = {
            "predictions": [
                {
                    "id": f"call{len(self.calls)}-{row.number}", "row": row.number, "value": 1, "probability": 0.75,
                    "confidence": 0.75, "model_version": None if self._fallback else "1", "phase": "live",
                    "fallback": self._fallback, **({"explanation": WHY} if document.get("explain") else {}),
                }
                for row in admitted
            ][self._forgets :],
            "rejected": [vars(row) for row in rejected],
        }  # fmt: skip
        return {"Payload": io.BytesIO(json.dumps(said).encode())}


def rows(count: int) -> list[dict[str, Any]]:
    start = datetime(1997, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    return [
        {
            "timestamp": start + timedelta(minutes=30 * number), "day_of_week": 3, "period": 0.25, "nswprice": 0.056443,
            "nswdemand": 0.439155, "vicprice": 0.003467, "vicdemand": 0.422915, "transfer": 0.414912,
        }
        for number in range(count)
    ]  # fmt: skip


def parquet(path: Path, found: list[dict[str, Any]], **more: Any) -> Path:
    pq.write_table(pa.Table.from_pylist([{**row, **more} for row in found]), path)
    return path


def csv(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
    return path


def line(row: dict[str, Any], **changes: Any) -> str:
    return ",".join(str(cell) for cell in (row | changes | {"timestamp": row["timestamp"].isoformat()}).values())


def test_pieces_of_a_thousand_in_the_order_of_the_file(tmp_path: Path) -> None:
    function = Function()
    answers = list(predict(function, "f", parquet(tmp_path / "rows.parquet", rows(2100)), CONTRACT))
    assert [len(call) for call in function.calls] == [1000, 1000, 100]
    assert [answer.line for answer in answers] == list(range(1, 2101))
    assert len({answer.id for answer in answers}) == 2100
    assert answers[1000].id == "call2-0"
    assert function.calls[0][1]["timestamp"] == "1997-01-01T00:30:00"


def test_each_format_asks_the_same(tmp_path: Path) -> None:
    few = rows(3)
    texts = [{**row, "timestamp": row["timestamp"].isoformat()} for row in few]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, texts)))
    asked = []
    for path in (
        tmp_path / "rows.jsonl",
        csv(tmp_path / "rows.csv", [line(row) for row in few]),
        parquet(tmp_path / "rows.parquet", few),
    ):
        function = Function()
        assert len(list(predict(function, "f", path, CONTRACT))) == 3
        asked.append(function.calls)
    assert asked[0] == asked[1] == asked[2] == [texts and [{**row} for row in texts]]


def test_refused_rows_stand_where_they_stood(tmp_path: Path) -> None:
    """What cannot be sent is refused here, what breaks a rule by the function; neither is lost, neither has an id."""
    good = rows(4)
    lines = [line(good[0]), line(good[1], nswprice="dear"), line(good[2], nswdemand=17.5), line(good[3])]
    answers = list(predict(Function(), "f", csv(tmp_path / "rows.csv", lines), CONTRACT))
    assert [answer.line for answer in answers] == [2, 3, 4, 5]
    assert [answer.reason for answer in answers] == [None, "type", "range", None]
    assert [answer.id is None for answer in answers] == [False, True, True, False]
    assert (answers[2].column, answers[2].expected, answers[2].came) == ("nswdemand", "<= 1", "17.5")
    assert (answers[1].column, answers[1].expected, answers[1].came) == ("nswprice", "a number", "'dear'")


def test_of_rows_with_the_same_key_the_first_is_answered(tmp_path: Path) -> None:
    """As of a drop; a row that is refused does not use up its key."""
    good = rows(3)
    lines = [line(good[0]), line(good[0], nswprice=0.5), line(good[1], nswprice="inf"), line(good[1]), line(good[2])]
    function = Function()
    answers = list(predict(function, "f", csv(tmp_path / "rows.csv", lines), CONTRACT))
    assert [answer.reason for answer in answers] == [None, "duplicate_key", "not_finite", None, None]
    assert (answers[1].column, answers[1].key) == ("timestamp", str(good[0]["timestamp"]))
    assert [row["nswprice"] for call in function.calls for row in call] == [0.056443] * 3


def test_a_number_that_json_has_no_word_for_does_not_spoil_the_call(tmp_path: Path) -> None:
    spoilt = rows(3)
    spoilt[1]["nswprice"] = math.nan
    function = Function()
    answers = list(predict(function, "f", parquet(tmp_path / "rows.parquet", spoilt), CONTRACT))
    assert [answer.reason for answer in answers] == [None, "not_finite", None]
    assert [len(call) for call in function.calls] == [2]


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_labelled_file_is_asked_without_its_labels(tmp_path: Path, ending: str) -> None:
    function, path, label = Function(), tmp_path / f"rows.{ending}", CONTRACT.label.name
    if ending == "parquet":
        parquet(path, rows(2), **{label: 1})
    elif ending == "csv":
        path.write_text("\n".join([",".join([*COLUMNS, label]), *(f"{line(row)},1" for row in rows(2))]))
    else:
        texts = [{**row, "timestamp": row["timestamp"].isoformat(), label: 1} for row in rows(2)]
        path.write_text("\n".join(map(json.dumps, texts)))
    assert [answer.reason for answer in predict(function, "f", path, CONTRACT)] == [None, None]
    assert all(label not in row for row in function.calls[0])


def test_a_file_that_is_none_asks_nothing(tmp_path: Path) -> None:
    function = Function()
    (tmp_path / "rows.csv").write_text("price,demand\n1,2\n")
    with pytest.raises(DropError, match=r"expected the columns .*nswprice"):
        list(predict(function, "f", tmp_path / "rows.csv", CONTRACT))
    assert function.calls == []


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (Function(broken=True), "f: expected predictions, got QueueError: 1 of 1 messages refused"),
        (Function(forgets=1), "f: expected one answer to each of 3 rows, got 2"),
    ],
)
def test_a_function_that_fails_is_an_error(tmp_path: Path, function: Function, told: str) -> None:
    with pytest.raises(AnswerError, match=told):
        list(predict(function, "f", parquet(tmp_path / "rows.parquet", rows(3)), CONTRACT))
