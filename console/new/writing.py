"""Writes a proposal as files: the workload's folder, checked as synthesis checks it, and first drops."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millrace.console.actions.past import Pasts, json_rows
from millrace.console.alone import alone_in
from millrace.console.files.catalogue import TABLE_FILES, cut_into, head_of
from millrace.console.files.given import Given
from millrace.console.new.files import droppable
from millrace.console.new.proposal import Proposal
from millrace.console.schemas import write_schemas
from millrace.contract.odcs import check_contract
from millrace.contract.schema import LINE, Contract, Table
from millrace.errors import ConfigurationError
from millrace.features import catalogue
from millrace.features.history import History
from millrace.files.catalogue import format_of
from millrace.workload.declaration import Workload
from millrace.workload.fit import check_fit
from millrace.workload.load import WHY_NOT, load_workload, overlaps, workload_folders

FILES = ("workload.yaml", "contract.yaml")
TO_PREDICT = "to_predict.jsonl"
MOST_BYTES = 64 * 2**20
"""A drop of more bytes, about, is cut into several."""
PREDICTED = 5
"""Number of rows that are written to ask the model about."""
TRIED = 200
"""These rows are chosen among the last 200, since the first rows of an entity have too short a past."""


def write_pieces(source: Given, table: Table, folder: Path, *, is_alone: bool) -> Iterator[Path]:
    """Write the drops into `folder`, as many as keep each at MOST_BYTES; the path of each.

    A file that is not cut stays packed. The pieces of one that is not alone lie in a folder of its name."""
    count = -(-source.path.stat().st_size // MOST_BYTES)  # rounded up
    if count == 1:
        path = folder / source.name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.path, path)
        yield path
        return
    form = format_of(head_of(source.plain))
    if not is_alone:
        (folder := folder / source.name).mkdir(parents=True)
    yield from cut_into(source.plain, TABLE_FILES[form], table, folder, count)


@dataclass(frozen=True, kw_only=True)
class Written:
    """The paths of the written files."""

    folder: Path
    """The workload's folder."""
    drops: tuple[Path, ...]
    to_predict: Path
    """A file with the last rows as requests have them, JSON lines."""
    predicted: str
    """What these rows are, in words."""


def check_free(name: str, workloads: Path, drops: Path, *, force: bool) -> None:
    """Check that a workload of this name can be written.

    Raises ConfigurationError if the name does not go together with the name of another workload, or if something is
    there already and `force` is false."""
    _check_name(name, workloads)
    for path in (*(workloads / name / file for file in FILES), drops):
        if path.exists() and not force:
            expected = "nothing there yet, or --force to replace it"
            came = "drops of a workload of that name" if path == drops else "a workload of that name"
            raise ConfigurationError(where=str(path), field="NAME", expected=expected, came=came)


def write(proposal: Proposal, workloads: Path, drops: Path, *, force: bool) -> Written:
    """Write `workloads/<name>/` and the folder `drops`, which gets the file itself, or a large one in pieces.

    Raises ConfigurationError as `check_free` does, and WorkloadError if synthesis would not take the files."""
    folder = workloads / proposal.prediction.name
    for path in (workloads, drops.parent):
        path.mkdir(parents=True, exist_ok=True)
    # All is written beside the drops first, and moved at the end: what synthesis refuses or a signal cuts off never
    # reaches `workloads/` or `drops`, and of two commands with one name the second finds the first one's files.
    with TemporaryDirectory(prefix=f".{drops.name}.", dir=drops.parent) as temporary, alone_in(workloads):
        check_free(proposal.prediction.name, workloads, drops, force=force)
        draft, made = Path(temporary) / proposal.prediction.name, Path(temporary) / "drops"
        draft.mkdir()
        (draft / "workload.yaml").write_text(proposal.workload_yaml)
        (draft / "contract.yaml").write_text(proposal.contract_yaml)
        histories = _histories(checked(draft, proposal), load_workload(draft))
        written = [path.relative_to(made) for path in _write_drops(proposal, made)]
        predicted = _write_rows(proposal, histories, made / TO_PREDICT)
        shutil.rmtree(drops / "training", ignore_errors=True)
        shutil.copytree(made, drops, copy_function=shutil.move, dirs_exist_ok=True)
        folder.mkdir(exist_ok=True)
        for name in FILES:
            shutil.copyfile(draft / name, folder / name)
        write_schemas(workloads)
        if part := proposal.trial.chosen.family.part:
            (folder / "parts").mkdir(exist_ok=True)
            shutil.copyfile(part.path, folder / part.declared["from"])
    kept = tuple(drops / path for path in written)
    return Written(folder=folder, drops=kept, to_predict=drops / TO_PREDICT, predicted=predicted)


def _check_name(name: str, workloads: Path) -> None:
    """Raise ConfigurationError if synthesis refuses the name beside the names of the workloads that are there."""
    known = [folder.name for folder in workload_folders(workloads)]
    for other in overlaps(name, known):
        begins = f"a name that does not begin with {other}_"
        is_begun = f"a name with which, and _ behind it, no other begins as {other} does"
        expected = f"{begins if name.startswith(other) else is_begun}: {WHY_NOT}; there are {', '.join(known)}"
        raise ConfigurationError(where=str(workloads), field="NAME", expected=expected, came=name)


def checked(folder: Path, proposal: Proposal) -> Contract:
    """The contract as synthesis reads it from the folder. Raises WorkloadError if synthesis does not take it.

    Its table of rows equals the contract of the proposal."""
    contract = check_fit(load_workload(folder), check_contract(folder))
    assert contract.rows == proposal.contract, "the document says what the proposal says"
    return contract


def _write_drops(proposal: Proposal, folder: Path) -> Iterator[Path]:
    """Write the first drops into `training/` of the folder; the path of each.

    A file of rows is dropped as it is, those of a workbook or a database as JSON lines. Images are put into Parquet
    files, with the accepted rows alone."""
    training, prediction = folder / "training", proposal.prediction
    training.mkdir(parents=True)
    if not proposal.reading.source.path.is_dir() and not prediction.image_side:
        with droppable(proposal.reading.source, proposal.contract) as files:
            for file in files:
                yield from write_pieces(file, proposal.contract, training, is_alone=len(files) == 1)
        return

    rows = proposal.accepted.drop_columns([LINE, *[prediction.label] * bool(proposal.reading.choices.classes)])
    rows = rows if prediction.is_in_time else rows.drop_columns([prediction.event_time])
    for name, part in cut_evenly(rows, 1 + rows.nbytes // MOST_BYTES):
        path = training / f"{name}.parquet"
        pq.write_table(part, path, write_page_checksum=True)
        yield path


def cut_evenly(rows: pa.Table, pieces: int) -> list[tuple[str, pa.Table]]:
    """The rows in pieces of nearly equal size, each with its name: `001`, `002` and so on.

    A piece has at least one row, so there may be fewer than `pieces`."""
    count = min(pieces, rows.num_rows)
    edges = [rows.num_rows * number // count for number in range(count + 1)]
    return [(f"{n + 1:03}", rows.slice(edges[n], edges[n + 1] - edges[n])) for n in range(count)]


def _histories(contract: Contract, workload: Workload) -> tuple[History, ...]:
    return catalogue.histories(catalogue.declare(workload.prediction.features, contract.table("scoring")))


def _write_rows(proposal: Proposal, histories: Sequence[History], path: Path) -> str:
    """Write the last rows as requests have them; in words what was written.

    They have no generated columns, and no label unless it is an input. They have the past that their histories read."""
    prediction, rows = proposal.prediction, proposal.accepted
    rows = rows if prediction.is_in_time else rows.sort_by(LINE)
    unknown = [LINE] if prediction.horizon_hours else [LINE, *prediction.label_columns]
    unknown += [column.name for column in proposal.contract.columns if column.generated]
    # With histories, the last rows that have a whole past; else simply the last rows.
    last = rows.drop_columns(unknown)
    for column in proposal.contract.columns:
        last = last.filter(pc.is_valid(last[column.name])) if column.ahead else last
    lines = _with_past(last, proposal, histories) if histories else json_rows(last.slice(max(0, len(last) - PREDICTED)))
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    said = f"the last {len(lines)} rows"
    if histories:
        named = ", ".join(f"`{history.name}`" for history in histories)
        return f"{said}, each with the past that its history reads ({named}), as a request holds them"
    return f"{said} as a request holds them" + ("" if prediction.horizon_hours else f", without {prediction.label}")


def _with_past(rows: pa.Table, proposal: Proposal, histories: Sequence[History]) -> list[dict[str, Any]]:
    """The last rows whose past reaches back far enough; simply the last rows if there are none."""

    event_time = proposal.prediction.event_time
    last = rows.slice(max(0, len(rows) - TRIED))
    oldest = last[event_time][0].as_py() - timedelta(hours=max(history.hours for history in histories))
    past = Pasts(rows.filter(pc.greater_equal(rows[event_time], pa.scalar(oldest, rows[event_time].type))), histories)
    lines = [line | past.of(row) for line, row in zip(json_rows(last), last.to_pylist(), strict=True)]
    whole = [line for line in lines if not any(history.is_request_too_short(line) for history in histories)]
    return (whole or lines)[-PREDICTED:]
