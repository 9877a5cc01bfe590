"""A proposal becomes files: the workload's folder, checked as synthesis checks it, and drops to begin with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from console.actions.past import FilePast
from console.new.pieces import write_pieces
from console.new.proposal import Proposal
from millrace.contract.kinds import as_json
from millrace.contract.odcs import check_contract
from millrace.contract.schema import LINE, Contract
from millrace.errors import ConfigurationError
from millrace.features import catalogue
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload, workload_folders
from millrace.workload.overlaps import overlaps

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.features.history import History
    from millrace.workload.declaration import Workload

FILES = ("workload.yaml", "contract.yaml")
MOST_BYTES = 64 * 2**20
"""Of a drop of images, about."""
PREDICTED = 5
"""Rows to ask the model about,"""
TRIED = 200
"""of so many last ones: an entity whose first rows these are has too short a past."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """Paths of the written files."""

    folder: Path
    drops: tuple[Path, ...]
    to_predict: Path
    """The last rows without their label."""
    predicted: str
    """What these are, in words."""


def write(proposal: Proposal, source: Path, workloads: Path, drops: Path, *, pieces: int, force: bool) -> Written:
    """Write `workloads/<name>/` and the folder `drops`, the latter with the file itself or `pieces` of its lines.

    Raises ConfigurationError for a name that cannot be beside those of other workloads, where something is there
    already that `force` does not allow to be replaced, and WorkloadError were the files not what synthesis takes."""
    _check_name(proposal.prediction.name, workloads)
    folder = workloads / proposal.prediction.name
    for path in (*(folder / name for name in FILES), drops):
        if path.exists() and not force:
            expected = "nothing there yet, or --force to replace it"
            came = "drops of a workload of that name" if path == drops else "a workload of that name"
            raise ConfigurationError(where=str(path), field="NAME", expected=expected, came=came)
    with TemporaryDirectory() as temporary:
        draft = Path(temporary) / proposal.prediction.name
        draft.mkdir()
        (draft / "workload.yaml").write_text(proposal.workload_yaml)
        (draft / "contract.yaml").write_text(proposal.contract_yaml)
        histories = _histories(checked(draft, proposal), load_workload(draft))
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(draft / name, folder / name)
    written = tuple(_write_drops(proposal, source, drops, pieces))
    to_predict = drops / "to_predict.jsonl"
    predicted = _write_rows(proposal, histories, to_predict)
    return Written(folder=folder, drops=written, to_predict=to_predict, predicted=predicted)


def _check_name(name: str, workloads: Path) -> None:
    """Raise ConfigurationError for a name that synthesis refuses beside those that are there."""
    known = [folder.name for folder in workload_folders(workloads)]
    for other in overlaps(name, known):
        begins = f"a name that does not begin with {other}_"
        is_begun = f"a name with which, and _ behind it, no other begins as {other} does"
        expected = f"{begins if name.startswith(other) else is_begun}; there are {', '.join(known)}"
        raise ConfigurationError(where=str(workloads), field="NAME", expected=expected, came=name)


def checked(folder: Path, proposal: Proposal) -> Contract:
    """The contract as synthesis reads it; raises WorkloadError where it is not the one that was proposed."""
    contract = check_fit(load_workload(folder), check_contract(folder))
    assert contract.rows == proposal.contract, "the document says what the proposal says"
    return contract


def _write_drops(proposal: Proposal, source: Path, folder: Path, pieces: int) -> Iterator[Path]:
    training, prediction = folder / "training", proposal.prediction
    shutil.rmtree(training, ignore_errors=True)
    training.mkdir(parents=True)
    if source.is_file() and not prediction.image_side:
        yield from write_pieces(source, proposal.contract, training, pieces)
        return
    import pyarrow.parquet as pq

    rows = proposal.accepted.drop_columns([LINE])
    rows = rows if prediction.is_in_time else rows.drop_columns([prediction.event_time])
    for name, part in cut_evenly(rows, pieces or 1 + rows.nbytes // MOST_BYTES):
        path = training / f"{name}.parquet"
        pq.write_table(part, path, write_page_checksum=True)
        yield path


def cut_evenly(rows: pa.Table, pieces: int) -> list[tuple[str, pa.Table]]:
    """As many rows in each piece; a piece has one row at least."""
    count = min(pieces, rows.num_rows)
    edges = [rows.num_rows * number // count for number in range(count + 1)]
    return [(f"{n + 1:03}", rows.slice(edges[n], edges[n + 1] - edges[n])) for n in range(count)]


def _histories(contract: Contract, workload: Workload) -> tuple[History, ...]:
    return catalogue.histories(catalogue.declare(workload.prediction.features, contract.table("scoring")))


def _write_rows(proposal: Proposal, histories: Sequence[History], path: Path) -> str:
    """Write the last rows as a request has them: without what is generated and, unless it is an input, the label, and
    with the past that their histories read; in words what was written."""
    prediction, rows = proposal.prediction, proposal.accepted
    rows = rows if prediction.is_in_time else rows.sort_by(LINE)
    unknown = [LINE] if prediction.horizon_hours else [LINE, prediction.label]
    unknown += [column.name for column in proposal.contract.columns if column.is_generated]
    last = rows.drop_columns(unknown)
    lines = _with_past(last, proposal, histories) if histories else _as_json(last.slice(max(0, len(last) - PREDICTED)))
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    said = f"the last {len(lines)} rows"
    if histories:
        named = ", ".join(f"`{history.name}`" for history in histories)
        return f"{said}, each with the past that its history reads ({named}), as a request holds them"
    return f"{said} as a request holds them" + ("" if prediction.horizon_hours else f", without {prediction.label}")


def _with_past(rows: pa.Table, proposal: Proposal, histories: Sequence[History]) -> list[dict[str, Any]]:
    """The last of the rows whose past reaches back far enough; the last ones where none's does."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    event_time = proposal.prediction.event_time
    last = rows.slice(max(0, len(rows) - TRIED))
    oldest = last[event_time][0].as_py() - timedelta(hours=max(history.hours for history in histories))
    read = rows.filter(pc.greater_equal(rows[event_time], pa.scalar(oldest, rows[event_time].type)))
    with TemporaryDirectory() as temporary:
        pq.write_table(read, path := Path(temporary) / "rows.parquet")
        past = FilePast(path, proposal.contract, histories, as_json=lambda _, cell: as_json(cell))
    lines = [line | past.of(row) for line, row in zip(_as_json(last), last.to_pylist(), strict=True)]
    whole = [line for line in lines if not any(history.is_request_too_short(line) for history in histories)]
    return (whole or lines)[-PREDICTED:]


def _as_json(rows: pa.Table) -> list[dict[str, Any]]:
    return [{name: as_json(cell) for name, cell in row.items()} for row in rows.to_pylist()]
