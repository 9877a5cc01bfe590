"""A file as somebody has it, by `new` into a contract, and next month's file by that contract into rows."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from millrace.console.new.proposal import propose
from millrace.console.new.remarks import notes_of
from millrace.console.new.roles import Choices
from millrace.console.new.writing import write
from millrace.contract.odcs import check_contract
from millrace.contract.row import as_declared, check_row
from millrace.contract.schema import Contract, Feed
from millrace.contract.validate import Validator
from millrace.files.catalogue import read_drop
from millrace.files.origin import Origin
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests.console.new.conftest import TODAY, read_path

FIRST = datetime(2023, 1, 1, 5)  # noqa: DTZ001 the file says no zone
HEAD = "Seen At ;_code;Größe, m;Price;price;Empty;Städte;Trend"


def lines(hours: range) -> list[str]:
    """American times, decimal commas, points between thousands, three words for nothing."""
    found = []
    for n in hours:
        at = FIRST + timedelta(hours=n)
        time = (
            f"{at.month}/{at.day}/{at.year} {(at.hour + 11) % 12 + 1}:{at.minute:02} {'AM' if at.hour < 12 else 'PM'}"
        )
        size = f"{n % 90 * 37:,}".replace(",", ".") + f",{n % 10}"
        price = ("NA", "?", "-")[n % 3] if n % 11 == 0 else f"{n % 7},25"
        city = ("Köln", "Åre", "São Paulo")[n % 3]
        trend = "up" if (n % 7) > 3 else "down"
        found.append(f'{time}; 0{n % 5};{size} ;{price};{n % 13};;"{city}";{trend}')
    return found


def file(path: Path, hours: range, *more: str, without: str = "") -> Path:
    text = [HEAD, *lines(hours), *more]
    if without:
        text = [line.rpartition(";")[0] for line in text]
    path.write_bytes("\r\n".join([*text, ""]).encode("cp1252"))
    return path


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    folder = tmp_path_factory.mktemp("own")
    path = file(folder / "own.csv", range(1500))
    proposal = propose(read_path(path), Choices(name="market", label="Trend", has_no_key=True), today=TODAY)
    here = write(proposal, folder / "workloads", folder / "drops", force=False)
    assert (proposal.accepted.num_rows, proposal.refused) == (1500, ())
    assert here.drops[0].read_bytes() == path.read_bytes()
    assert any("'_code' is called 'code'" in note for note in notes_of(proposal))
    return check_fit(load_workload(here.folder), check_contract(here.folder))


def ingest(path: Path, contract: Contract, feed: Feed) -> tuple[list[dict[str, object]], list[tuple[int | None, str]]]:
    """Rows and refused lines, as the two functions find them."""
    origin = Origin(
        name=path.name,
        at=datetime(2023, 6, 1, tzinfo=UTC),
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        fetch=lambda key, version: b"",
    )
    table, rows, refused = contract.table(feed), [], []
    validator = Validator(table)
    for part in read_drop(path, table, origin=origin):
        verdict = validator.judge(part.rows)
        rows += verdict.accepted.to_pylist()
        refused += [(row.line, row.detail) for row in (*part.unparsable, *verdict.refused)]
    return rows, sorted(refused)


@pytest.mark.parametrize(
    ("label", "values", "classes"),
    [
        ("Trend", ("none", "cat", "dog"), {"none", "cat", "dog"}),
        ("class", ("none", "cat", "dog"), {"none", "cat", "dog"}),
        ("Trend", ("+", "-"), {"+", "-"}),
        ("Trend", ("ill", "none"), {"ill", "none"}),
        ("Trend", ("yes", "no", "none"), {"yes", "no"}),
        ("Trend", ("stays", "leaves", "-"), {"stays", "leaves"}),
        ("Trend", ("stays", "leaves", "NA"), {"stays", "leaves"}),
    ],
)
def test_a_class_that_is_called_none_is_one(
    tmp_path: Path, label: str, values: tuple[str, ...], classes: set[str]
) -> None:
    """Beside a feature in which the same word means that nothing is known."""
    path, word = tmp_path / "own.csv", values[-1] if values[-1] in ("-", "NA") else "none"
    found = [f"{at:%Y-%m-%d %H:%M};{n % 17};{word if n % 50 == 3 else 'ab'[n % 2]};{values[n % 3 % len(values)]}"
             for n in range(1500) for at in [FIRST + timedelta(hours=n)]]  # fmt: skip
    path.write_text("\n".join([f"Seen;Size;Kind;{label}", *found, ""]))
    choices = Choices(name="market", label="" if label == "class" else label, has_no_key=True)
    proposal = propose(read_path(path), choices, today=TODAY)
    here = write(proposal, tmp_path / "workloads", tmp_path / "drops", force=False)
    rows, _ = ingest(path, check_fit(load_workload(here.folder), check_contract(here.folder)), "training")
    assert {row[label] for row in rows} == classes
    assert sum(row["Kind"] is None for row in rows) >= 15
    assert any(f"{values[-1]!r} taken as" in note or "'none' taken as" in note for note in notes_of(proposal))


def test_the_contract_says_how_the_file_is_written(contract: Contract) -> None:
    form, rows = contract.rows.csv, contract.rows
    assert (form.delimiter, form.encoding, form.decimal, form.thousands) == (";", "cp1252", ",", ".")
    assert [column.name for column in rows.columns] == [
        "Seen At", "code", "Größe, m", "Price", "price_2", "Städte", "Trend", "row_id",
    ]  # fmt: skip
    assert rows.ignored == ("Empty",)
    assert rows.column("Seen At").time_format.pattern == "M/d/yyyy h:mm a"  # type: ignore[union-attr]
    assert {*rows.column("Price").missing_words} == {"NA", "?", "-"}


def test_next_months_file_is_a_drop(contract: Contract, tmp_path: Path) -> None:
    rows, refused = ingest(file(tmp_path / "next.csv", range(1500, 2200)), contract, "training")
    assert (len(rows), refused) == (700, [])
    assert rows[0]["Seen At"] == FIRST + timedelta(hours=1500)
    assert rows[89]["Größe, m"] == (1589 % 90) * 37 + 0.9
    assert {row["Städte"] for row in rows} == {"Köln", "Åre", "São Paulo"}
    scored, refused = ingest(file(tmp_path / "new.csv", range(2200, 2300), without="Trend"), contract, "scoring")
    assert (len(scored), refused) == (100, [])


def test_hostile_neighbours_are_quarantined_and_said(contract: Contract, tmp_path: Path) -> None:
    good = lines(range(1500, 1501))[0].partition(";")[2]
    more = [
        f"2/30/2023 1:00 AM;{good}",
        f"03/04/2023 1:00 AM;{good}",
        f"3/4/23 1:00 AM;{good}",
        f"2023-03-04 01:00;{good}",
        f"NA;{good}",
        "3/4/2023 1:00 AM;01;1.23,5;1,25;1;;Åre;up",
        "3/4/2023 1:00 AM;01;1.5.5;1.25;1;;Åre;up",
    ]
    rows, refused = ingest(file(tmp_path / "worse.csv", range(1500, 1510), *more), contract, "training")
    assert len(rows) == 10
    assert [line for line, _ in refused] == list(range(12, 19))
    written = "Seen At: expected a time written as M/d/yyyy h:mm a, got "
    assert [detail.startswith(written) for _, detail in refused] == [True, True, True, True, False, False, False]
    assert refused[4][1].startswith("Seen At: expected a value")


def test_a_request_may_bring_a_row_as_the_file_has_it(contract: Contract) -> None:
    table = contract.table("scoring")
    row = {"Seen At": "3/4/2023 1:00 PM", "_code": "01", "Größe, m": 1.5, "Price": "NA", "price": 4, "Städte": "Åre"}
    read = as_declared(row, table)
    assert read["Seen At"] == "2023-03-04T13:00:00"
    assert (read["code"], read["Price"], read["price_2"]) == ("01", None, 4)
    assert check_row(read | {"row_id": "x-0"}, table) == ()
