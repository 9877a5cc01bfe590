"""Whose decisions become rows of whom is judged before anything is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.errors import WorkloadError
from millrace.workload.chains import check_chains
from millrace.workload.load import load_workload
from tests.plant import write_plant

ROW = {"at": "row.at", "site": "row.site", "load": "answer.confidence", "kind": "answer.value", "open": "row.open"}


def judge(root: Path, *chains: str, **changes: Any) -> None:
    """The workloads of chains such as `a b`, whose decisions go to the next one; `changes` are of what is declared."""
    nexts: dict[str, list[str]] = {}
    for chain in chains:
        names = chain.split()
        for name, target in zip(names, [*names[1:], ""], strict=True):
            nexts.setdefault(name, []).extend([target] * bool(target))
    for name, ends in nexts.items():
        folder = write_plant(root, "multiclass").folder.rename(root / name)
        declared = {"to": "workload", "row": ROW} | changes
        consumers = {f"to-{number}": declared | {"workload": one} for number, one in enumerate(ends)}
        document = yaml.safe_load((folder / "workload.yaml").read_text()) | {"name": name, "consumers": consumers}
        (folder / "workload.yaml").write_text(yaml.safe_dump(document))
    check_chains("dev", [(root / name, load_workload(root / name)) for name in nexts])


@pytest.mark.parametrize(
    ("chains", "cells", "field", "came"),
    [
        (["one one"], {}, "workload", "one -> one"),
        (["one two one"], {}, "workload", "one -> two -> one"),
        (["one two three two"], {}, "workload", "one -> two -> three -> two"),
        (["one two", "one two"], {}, "workload", "2"),
        (["one two"], {"load": "answer.sureness"}, "row.load", "answer.sureness"),
        (["one two"], {"load": "row.kind"}, "row.load", "row.kind"),
        (["one two"], {"open": {"constant": "yes"}}, "row.open", "constant='yes'"),
        (["one two"], {"open": None}, "row.open", "nothing"),
    ],
)
def test_what_comes_back_or_is_no_row_is_refused(
    chains: list[str], cells: dict[str, Any], field: str, came: str, tmp_path: Path
) -> None:
    row = {name: place for name, place in (ROW | cells).items() if place}
    with pytest.raises(WorkloadError) as refused:
        judge(tmp_path, *chains, row=row)
    error = refused.value
    assert (error.where, error.field, error.came) == ("workloads/one", f"consumers.to-0.{field}", came)


def test_what_meets_again_comes_back_to_nobody_and_a_target_must_be_there(tmp_path: Path) -> None:
    judge(tmp_path, "one two four", "one three four")
    judge(tmp_path / "prod", "five five", stages=["prod"])
    with pytest.raises(WorkloadError, match=r"consumers.to-0.workload: .*one"):
        check_chains("dev", [(tmp_path / "one", load_workload(tmp_path / "one"))])
