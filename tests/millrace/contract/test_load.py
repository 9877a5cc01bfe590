"""A wrong contract says file, field, what was expected and what came; the standard's own checks included."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.contract.csv_form import CsvForm
from millrace.contract.load import load_contract
from millrace.contract.odcs import check_contract
from millrace.contract.time_format import TimeFormat
from millrace.errors import WorkloadError
from millrace.workload.declaration import Workload
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload

FOLDER = Path(__file__).parents[3] / "workloads" / "electricity"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "electricity"
    target.mkdir()
    shutil.copy(FOLDER / "contract.yaml", target)
    return target


def change(folder: Path, how: Change) -> None:
    document = copy.deepcopy(yaml.safe_load((folder / "contract.yaml").read_bytes()))
    how(document)
    (folder / "contract.yaml").write_text(yaml.safe_dump(document))


def column(document: dict[str, Any], number: int, table: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = document["schema"][table]["properties"][number]
    return found


def test_reading_needs_nothing_heavy() -> None:
    program = (
        "import sys; from pathlib import Path; from millrace.contract.load import load_contract; "
        "import millrace.contract.row; "
        f"load_contract(Path({str(FOLDER)!r})); "
        "print([m for m in ('pyarrow', 'numpy', 'jsonschema', 'open_data_contract_standard') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_digest_follows_the_words_not_the_layout(folder: Path) -> None:
    before = load_contract(folder).digest
    path = folder / "contract.yaml"
    path.write_text("# another comment\n" + path.read_text())
    assert load_contract(folder).digest == before
    change(folder, lambda document: column(document, 3)["logicalTypeOptions"].update(maximum=2))
    assert load_contract(folder).digest != before


def options(document: dict[str, Any], number: int, table: int = 0, **changes: Any) -> None:
    column(document, number, table)["logicalTypeOptions"].update(changes)


WRONG: dict[str, Change] = {
    "apiVersion": lambda d: d.update(apiVersion="v2.2.2"),
    "status": lambda d: d.update(status=5),
    "schema.rows, column `timestamp`, logicalType": lambda d: column(d, 0).update(logicalType="datetime"),
    "schema.rows, column `day_of_week`, physicalType": lambda d: column(d, 1).update(physicalType="TINY"),
    "schema.rows, column `day_of_week`, quality.0": lambda d: column(d, 1)["quality"][0].update(mustBe=3),
    "schema.rows, column `period`, minimum": lambda d: options(d, 2, minimum=True),
    "schema.rows, properties": lambda d: column(d, 2).update(name="timestamp"),
    "schema": lambda d: d["schema"][1].update(name="truth"),
    "schema.rows": lambda d: column(d, 8).pop("customProperties"),
    "schema.labels, column `prediction_id`": lambda d: options(d, 2, 1, pattern="("),
    "schema.rows, relationships": lambda d: d["schema"][0].update(relationships=[{"from": "rows.period", "to": "a.b"}]),
    "schema.rows, column `period`, relationships": lambda d: column(d, 2).update(relationships=[{"to": "periods.id"}]),
    "schema.rows, quality.0": lambda d: d["schema"][0].update(quality=[{"type": "sql", "mustBe": 1, "query": "x"}]),
}


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_word_stops_at_synth(field: str, folder: Path) -> None:
    workload: Workload = load_workload(FOLDER)
    check_fit(workload, check_contract(folder))
    change(folder, WRONG[field])
    with pytest.raises(WorkloadError) as caught:
        check_fit(workload, check_contract(folder))
    assert caught.value.where == "electricity/contract.yaml"
    assert caught.value.field == field
    assert "expected" in str(caught.value)


def custom(value: dict[str, Any], **values: Any) -> None:
    value["customProperties"] = [{"property": name, "value": each} for name, each in values.items()]


def name_classes(document: dict[str, Any], names: Any) -> None:
    document["schema"][0]["properties"][8] = copy.deepcopy(column(document, 8))
    custom(column(document, 8), role="label", classNames=names)


def in_files(document: dict[str, Any], **values: Any) -> None:
    custom(document["schema"][0], **values)


def more(document: dict[str, Any], table: int, **column: Any) -> None:
    """One more column."""
    custom(column, **column.pop("custom", {}))
    document["schema"][table]["properties"].append(column)


def unique_together(document: dict[str, Any], *names: str) -> None:
    rule = {"metric": "duplicateValues", "arguments": {"properties": list(names)}, "mustBe": 0}
    document["schema"][0]["quality"] = [rule]


COMPARED = {"type": "custom", "engine": "millrace", "dimension": "consistency"}


def list_columns(document: dict[str, Any], *label: str) -> None:
    """Files without names, whose label has the physical name `outcome`."""
    column(document, 8).update(physicalName="outcome")
    names = [each["name"] for each in document["schema"][0]["properties"][:8]]
    in_files(document, csv={"columns": [*names, *label]})


def test_how_files_are_written_is_read(folder: Path) -> None:
    def say(document: dict[str, Any]) -> None:
        in_files(document, csv={"delimiter": ";", "decimal": ","}, missingValues=["NA"], ignoredColumns=["remark"])
        column(document, 0).update(physicalName="Seen At")
        column(document, 0)["logicalTypeOptions"] = {"format": "dd.MM.yyyy HH:mm"}
        custom(column(document, 1), missingValues=["-"])
        more(document, 0, name="sky", logicalType="string", custom={"repair": {"map": {"n/a": None, "g": "grey"}}})
        document |= {"team": {"name": "market"}, "support": [{"channel": "a", "url": "mailto:m@b.example"}]}
        custom(document["schema"][1], owner="meters")

    change(folder, say)
    contract = check_contract(folder)
    assert (contract.rows.owner, contract.labels.owner) == ("market, mailto:m@b.example", "meters")
    rows = contract.rows
    assert (rows.column("sky").missing_words, rows.column("sky").mapped) == (("NA", "n/a"), (("g", "grey"),))
    first, second, third = rows.columns[:3]
    assert (rows.csv, rows.ignored) == (CsvForm(delimiter=";", decimal=","), ("remark",))
    assert (first.physical_name, first.time_format) == ("Seen At", TimeFormat("dd.MM.yyyy HH:mm"))
    assert (first.missing_words, second.missing_words, third.missing_words) == (("NA",), ("-",), ("NA",))
    assert rows.name_of["Seen At"] == rows.name_of[first.name] == first.name
    assert rows.name_of["remark"] == ""


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            lambda d: in_files(d, csv={"delimiter": "x"}),
            r"schema\.rows, csv: .* delimiter: one",
        ),
        (
            lambda d: in_files(d, csv={"columns": ["a"]}),
            r"expected physical names .*unknown: \['a'\], missing",
        ),
        (
            lambda d: in_files(d, missingValues=[None]),
            r"schema\.rows, missingValues: expected a list of texts \(in quotation marks where YAML .*, got \[None\]",
        ),
        (lambda d: in_files(d, ignoredColumns=["timestamp"]), r"schema\.rows: expected names, .* that differ, got"),
        (lambda d: column(d, 1).update(physicalName="timestamp"), r"schema\.rows: expected names, .* that differ"),
        (lambda d: column(d, 1).update(logicalTypeOptions={"format": "dd.MM.yyyy"}), r"on a date or a timestamp"),
        (
            lambda d: column(d, 0).update(logicalTypeOptions={"format": "mm/dd/yyyy"}),
            r"column `timestamp`, format: expected a month",
        ),
        (
            lambda d: (
                in_files(d, missingValues=["up"]),
                more(d, 0, name="a", logicalType="string", enum=["up"]),
            ),
            r"schema\.rows, column `a`, missingValues: expected words that are no values of .*own, got \['up'\]",
        ),
        (
            lambda d: (in_files(d, missingValues=["NA", "0", "False"]), more(d, 0, name="sold", logicalType="boolean")),
            r"column `sold`, missingValues: expected words that are no values of .*own, got \['0', 'False'\]",
        ),
        (
            lambda d: more(d, 1, name="id", logicalType="string", custom={"generated": "row_id"}),
            r"schema\.labels: expected no generated row_id",
        ),
        (
            lambda d: more(d, 0, name="id", logicalType="string", custom={"generated": "prediction_id"}),
            r"schema\.rows: expected the property prediction_id, which fills it",
        ),
        (
            lambda d: column(d, 0, 1).update(logicalType="string", physicalType="STRING", logicalTypeOptions={}),
            r"schema\.labels, column `timestamp`: expected a timestamp, as in schema\.rows, got 'a string'",
        ),
        (
            lambda d: custom(column(d, 1), input="true"),
            r"schema\.rows, column `day_of_week`, input: expected true or false, got 'true'",
        ),
        (
            lambda d: custom(column(d, 1), ahead={"column": "period"}),
            r"schema\.rows, column `day_of_week`, ahead: expected a column of this table and hours above 0",
        ),
        (
            lambda d: custom(column(d, 3), part={"of": "cell", "tag": "red"}),
            "part: expected a column of boolean, got 'a",
        ),
        *(
            (lambda d, word=word: custom(column(d, 3), **{word: None}), f"{word}: expected")
            for word in ("part", "numberFormat", "input", "ahead")
        ),
        *(
            (
                lambda d, map_=map_: more(d, 0, name="a", logicalType="string", custom={"repair": map_}),
                "column `a`, repair: expected",
            )
            for map_ in ({}, {"map": {}}, {"map": {"a": 1}}, {"map": {1: "a"}}, {"clip": {"a": "b"}})
        ),
        (lambda d: custom(column(d, 3), repair={"map": {"a": "b"}}), "repair: expected a column of string"),
        (lambda d: custom(column(d, 3), formerly="period"), "names, those of `formerly` too, that differ"),
        (lambda d: custom(column(d, 3), part={"of": "period", "place": 2}), "names, physical names and ignored"),
        (lambda d: custom(column(d, 3), numberFormat={"units": {"%": 0}}), "numberFormat: expected"),
        (lambda d: unique_together(d, "nope"), r"schema\.rows, quality\.0: expected .* each once, got \['nope'\]"),
        (lambda d: unique_together(d, "period", "period"), r"each once, got \['period', 'period'\]"),
        (lambda d: custom(column(d, 0), generated=["row_id"]), r"column `timestamp`, generated: expected event_time"),
        *(
            (lambda d, rule=rule: d["schema"][0].update(quality=[COMPARED | {"implementation": rule}]), "two columns")
            for rule in ("", "period", "period <= nope", "period < period", "period <= timestamp", {"a": 1})
        ),
        *(
            (
                lambda d, logic=logic: more(d, 0, name="ratio", logicalType="number", transformLogic=logic),
                f"column `ratio`, transformLogic: expected .*{message}",
            )
            for logic, message in {
                "": "debt / income",
                "period ** 2": r"not period \*\* 2",
                "ratio + 1": "day_of_week, .*; not ratio",
                "timestamp + 1": "not timestamp, a timestamp",
                "timestamp - period": "another timestamp, not minus period",
                "exec(period)": r"not exec\(period\)",
                "log(period, 2)": r"not log\(period, 2\)",
                "1e999 * period": "not 1e309",
                "1": "one of timestamp",
            }.items()
        ),
        (lambda d: column(d, 1).update(transformLogic="1"), "no transformLogic on a int"),
        (
            lambda d: column(d, 3).update(transformLogic="period", unique=True),
            r"which no file need have, got \['unique",
        ),
        *(
            (lambda d, names=names: name_classes(d, names), r"classNames: expected one name for each class \(0, 1\)")
            for names in (["down", "up"], {1: "up"}, {False: "down", True: "up"}, {0: 7, 1: "up"}, {0: " ", 1: "up"})
        ),
        (lambda d: name_classes(d, {0: "up", 1: "up"}), r"\(0, 1\), all different"),
        (lambda d: name_classes(d, {0: "1", 1: "up"}), r"\(0, 1\), .* none the value of another class"),
        (lambda d: name_classes(d, {0: "low", 1: "high"}), "a int32 low, high, as in schema.rows, got .* down, up"),
        (lambda d: custom(column(d, 2), classNames={0: "night"}), r"for each class \(of a label with validValues"),
        (lambda d: list_columns(d, "class", "outcome"), r"csv: expected .* each once, .*twice: \['outcome'\]"),
    ],
)
def test_what_would_be_read_in_two_ways_is_refused(how: Change, message: str, folder: Path) -> None:
    change(folder, how)
    with pytest.raises(WorkloadError, match=message):
        load_contract(folder)


OPERATORS = ["mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan"]
OPERATORS += ["mustBeLessOrEqualTo", "mustBeBetween", "mustNotBeBetween"]
KEPT = [{3}, {2, 4, 5, 6}, {4, 5, 6}, {3, 4, 5, 6}, {2}, {2, 3}, {3, 4, 5}, {2, 6}]
NULLS = {"metric": "nullValues", "unit": "percent"}


def of_drop(document: dict[str, Any], rule: dict[str, Any]) -> None:
    """The rule on the rows, or on the price if it is about cells."""
    column(document, 3).update(required="required" in rule)
    place = document["schema"][0] if rule.get("metric", "rowCount") == "rowCount" else column(document, 3)
    place["quality"] = [{name: value for name, value in rule.items() if name != "required"}]


@pytest.mark.parametrize(("operator", "kept"), [*zip(OPERATORS, KEPT, strict=True)])
def test_a_drop_is_judged_by_each_operator_of_the_standard(operator: str, kept: set[int], folder: Path) -> None:
    rule = {"metric": "rowCount", operator: [3, 5] if operator.endswith("Between") else 3}
    change(folder, lambda d: of_drop(d, rule))
    [found] = check_contract(folder).rows.drop_rules
    assert {rows for rows in range(2, 7) if not found.broken({"good": rows})} == kept


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"metric": "rowCount", "mustBeLessThan": 5, "mustBe": 2}, "one of mustBe,"),
        ({"metric": "rowCount"}, "one of mustBe,"),
        ({"metric": "rowCount", "mustBe": 5, "arguments": {}}, "rowCount, duplicateValues with"),
        ({"metric": "rowCount", "mustBeGreaterThan": True}, "mustBeGreaterThan: a number, from 0"),
        ({"metric": "rowCount", "mustBeBetween": [5, 3]}, "two numbers in order"),
        ({"metric": "rowCount", "mustBe": -1}, "a number, from 0"),
        ({"metric": "rowCount", "mustBe": 5, "unit": "percent"}, "unit: rows, got"),
        (NULLS | {"mustBeLessThan": 101}, "mustBeLessThan: a number, from 0 to 100"),
        (NULLS | {"mustBeLessThan": 0}, "mustBe: 0, or a number above 0"),
        (NULLS | {"mustBeGreaterThan": 5}, "one of mustBeLessThan, mustBeLessOrEqualTo"),
        (NULLS | {"mustBeLessThan": 5, "required": True}, "a column that is not required"),
        (NULLS | {"mustBeLessThan": 5, "arguments": {"missingValues": ["NA"]}}, "arguments of invalidValues: validV"),
        *(
            (COMPARED | {"implementation": text}, "mean of A")
            for text in (
                "mean of nswprice between 1 and 0",
                "mean of nswprice betwen 0 and 1",
                "mean of price between 0 and 1",
                "mean of timestamp between 0 and 1",
            )
        ),
    ],
)
def test_a_rule_on_drops_that_nothing_would_check_is_refused(rule: dict[str, Any], message: str, folder: Path) -> None:
    change(folder, lambda d: of_drop(d, rule))
    with pytest.raises(WorkloadError, match=message):
        load_contract(folder)
