"""A proposal becomes files: the workload's folder, checked as synthesis checks it, and drops to begin with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from console.new.pieces import write_pieces
from console.new.proposal import Proposal
from millrace.contract.kinds import as_json
from millrace.contract.odcs import check_contract
from millrace.contract.schema import LINE, Contract
from millrace.errors import ConfigurationError
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload

if TYPE_CHECKING:
    import pyarrow as pa

FILES = ("workload.yaml", "contract.yaml")
MOST_BYTES = 64 * 2**20
"""Of a drop of images, about."""
PREDICTED = 5
"""Rows to ask the model about."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """Paths of the written files."""

    folder: Path
    drops: tuple[Path, ...]
    to_predict: Path
    """The last rows without their label."""


def write(proposal: Proposal, source: Path, workloads: Path, drops: Path, *, pieces: int, force: bool) -> Written:
    """Write `workloads/<name>/` and the folder `drops`, the latter with the file itself or `pieces` of its lines.

    Raises ConfigurationError where something is there already that `force` does not allow to be replaced, and
    WorkloadError were the files not what synthesis takes."""
    folder = workloads / proposal.surface.name
    for path in (*(folder / name for name in FILES), drops):
        if path.exists() and not force:
            expected = "nothing there yet, or --force to replace it"
            came = "drops of a workload of that name" if path == drops else "a workload of that name"
            raise ConfigurationError(where=str(path), field="NAME", expected=expected, came=came)
    with TemporaryDirectory() as temporary:
        draft = Path(temporary) / proposal.surface.name
        draft.mkdir()
        (draft / "workload.yaml").write_text(proposal.workload_yaml)
        (draft / "contract.yaml").write_text(proposal.contract_yaml)
        checked(draft, proposal)
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(draft / name, folder / name)
    written = tuple(_write_drops(proposal, source, drops, pieces))
    to_predict = _write_rows(proposal, drops / "to_predict.jsonl")
    return Written(folder=folder, drops=written, to_predict=to_predict)


def checked(folder: Path, proposal: Proposal) -> Contract:
    """The contract as synthesis reads it; raises WorkloadError where it is not the one that was proposed."""
    contract = check_fit(load_workload(folder), check_contract(folder))
    assert contract.rows == proposal.contract, "the document says what the proposal says"
    return contract


def _write_drops(proposal: Proposal, source: Path, folder: Path, pieces: int) -> Iterator[Path]:
    training, surface = folder / "training", proposal.surface
    shutil.rmtree(training, ignore_errors=True)
    training.mkdir(parents=True)
    if source.is_file() and not surface.image_side:
        yield from write_pieces(source, proposal.contract, training, pieces)
        return
    import pyarrow.parquet as pq

    rows = proposal.accepted.drop_columns([LINE])
    rows = rows if surface.is_in_time else rows.drop_columns([surface.event_time])
    for name, part in cut_evenly(rows, pieces or 1 + rows.nbytes // MOST_BYTES):
        path = training / f"{name}.parquet"
        pq.write_table(part, path, write_page_checksum=True)
        yield path


def cut_evenly(rows: pa.Table, pieces: int) -> list[tuple[str, pa.Table]]:
    """As many rows in each piece; a piece has one row at least."""
    count = min(pieces, rows.num_rows)
    edges = [rows.num_rows * number // count for number in range(count + 1)]
    return [(f"{n + 1:03}", rows.slice(edges[n], edges[n + 1] - edges[n])) for n in range(count)]


def _write_rows(proposal: Proposal, path: Path) -> Path:
    """The last rows as a request has them: without what is generated and, unless it is an input, the label."""
    surface, rows = proposal.surface, proposal.accepted
    unknown = [LINE] if surface.horizon_hours else [LINE, surface.label]
    unknown += [column.name for column in proposal.contract.columns if column.is_generated]
    last = rows.drop_columns(unknown).slice(max(0, rows.num_rows - PREDICTED - _past_rows(proposal)))
    lines = [{name: as_json(cell) for name, cell in row.items()} for row in last.to_pylist()]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return path


def _past_rows(proposal: Proposal) -> int:
    """Rows before the predicted ones that their histories read."""
    if proposal.series is None or not proposal.surface.has_history:
        return 0
    return round(proposal.series.hours / proposal.series.every_hours) * proposal.series.entities
