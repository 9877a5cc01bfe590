"""What is written: a workload that synthesis takes, drops that the contract accepts, nothing over what is there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
import yaml

from millrace.console.files.catalogue import TABLE_FILES, cut_into
from millrace.console.new import writing
from millrace.console.new.writing import write
from millrace.contract.schema import Column, Table
from millrace.errors import ConfigurationError
from millrace.files.catalogue import read_drop
from tests.console.new.conftest import Row, proposed

Writer = Callable[..., Path]


def declare(workloads: Path, *names: str) -> None:
    for name in names:
        (workloads / name).mkdir(parents=True)
        (workloads / name / "workload.yaml").touch()


def test_what_is_there_is_replaced_only_by_force(market: list[Row], as_csv: Writer, tmp_path: Path) -> None:
    proposal = proposed(as_csv(market))
    folder = tmp_path / "workloads" / "market"
    folder.mkdir(parents=True)
    (folder / "contract.yaml").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"contract.yaml: NAME: expected nothing there yet, or --force"):
        write(proposal, folder.parent, tmp_path / "drops", force=False)
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [("contract.yaml", "mine")]
    (folder / "contract.yaml").unlink()
    (tmp_path / "drops").mkdir()
    with pytest.raises(ConfigurationError, match=r"drops: NAME: .* got 'drops of a workload of that name"):
        write(proposal, folder.parent, tmp_path / "drops", force=False)
    (folder / "README.md").write_text("kept")
    write(proposal, folder.parent, tmp_path / "drops", force=True)
    assert yaml.safe_load((folder / "contract.yaml").read_text())["name"] == "market"
    assert (folder / "README.md").read_text() == "kept"


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ("mark", None),
        ("markets", None),
        (
            "market_2",
            "with which, and _ behind it, no other begins as market_2 does: .*; there are income, market_2, got",
        ),
    ],
)
def test_a_name_that_synthesis_refuses_beside_another_is_refused(
    market: list[Row], as_csv: Writer, tmp_path: Path, there: str, told: str | None
) -> None:
    declare(tmp_path / "workloads", "income", there)
    proposal = proposed(as_csv(market))
    with pytest.raises(ConfigurationError, match=told) if told else nullcontext():
        write(proposal, tmp_path / "workloads", tmp_path / "drops", force=True)
    assert (tmp_path / "workloads" / "market").exists() == (tmp_path / "drops").exists() == (told is None)


def test_drops_that_are_there_are_not_mixed_with_new_ones(
    market: list[Row], as_csv: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = as_csv(market)
    monkeypatch.setattr(writing, "MOST_BYTES", path.stat().st_size // 3)
    write(proposed(path), tmp_path / "a", tmp_path / "drops", force=False)
    with pytest.raises(ConfigurationError, match=r"drops: NAME: .* --force"):
        write(proposed(path), tmp_path / "b", tmp_path / "drops", force=False)
    monkeypatch.setattr(writing, "MOST_BYTES", path.stat().st_size)
    again = write(proposed(path), tmp_path / "b", tmp_path / "drops", force=True)
    assert sorted((tmp_path / "drops" / "training").iterdir()) == sorted(again.drops)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_pieces_are_the_lines_of_the_file_behind_its_names(ends: str, tmp_path: Path) -> None:
    names, lines = f"\n  {ends}a,b{ends}", [f'{n},"x{ends}y {n}"{ends}' for n in range(10)]
    path = tmp_path / "rows.csv"
    path.write_bytes(("\ufeff" + names + "".join(lines)).encode())
    table = Table(name="rows", columns=(Column(name="a", kind="int64"), Column(name="b", kind="string")))
    pieces = list(cut_into(path, TABLE_FILES["csv"], table, tmp_path, 3))
    assert [piece.name for piece in pieces] == ["rows-001.csv", "rows-002.csv", "rows-003.csv"]
    assert [piece.read_bytes().decode() for piece in pieces] == [
        "\ufeff" + names + "".join(lines[first:end]) for first, end in ((0, 3), (3, 6), (6, 10))
    ]
    read = [row["a"] for piece in pieces for part in read_drop(piece, table) for row in part.rows.to_pylist()]
    assert read == list(range(10))


def test_of_two_at_once_one_is_refused_and_nothing_is_mixed(market: list[Row], as_csv: Writer, tmp_path: Path) -> None:
    proposals = [proposed(as_csv(market, name=name)) for name in ("a.csv", "b.csv")]
    with ThreadPoolExecutor(2) as pool:
        make = partial(write, workloads=tmp_path / "workloads", drops=tmp_path / "drops", force=False)
        done = [pool.submit(make, proposal) for proposal in proposals]
    [told] = filter(None, [one.exception() for one in done])
    assert isinstance(told, ConfigurationError)
    [kept] = [one.result() for one in done if not one.exception()]
    assert tuple((tmp_path / "drops" / "training").iterdir()) == kept.drops


def test_a_signal_in_the_last_step_leaves_nothing(
    market: list[Row], as_csv: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposal = proposed(as_csv(market))
    monkeypatch.setattr(writing, "_write_rows", lambda *_: sys.exit(130))
    with pytest.raises(SystemExit):
        write(proposal, tmp_path / "workloads", tmp_path / "drops", force=False)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["market.csv", "workloads"]
