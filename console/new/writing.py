"""A proposal becomes files: the workload's folder, checked as synthesis checks it, and drops to begin with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from console.new.proposal import Proposal
from millrace.contract.kinds import as_json
from millrace.contract.odcs import check_contract
from millrace.contract.schema import LINE, Contract
from millrace.contract.validate import Validator
from millrace.errors import ConfigurationError, DropError
from millrace.files.sniff import read_drop
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload

if TYPE_CHECKING:
    import pyarrow as pa

FILES = ("workload.yaml", "contract.yaml")
MOST_MONTHS = 24
PIECES = 12
"""Where there is one month, or more than MOST_MONTHS."""
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
    as_it_is: str
    """Why the file itself is no drop, or how many rows of it would be quarantined; nothing where all are accepted."""


def write(proposal: Proposal, source: Path, workloads: Path, drops: Path, *, pieces: int, force: bool) -> Written:
    """Write `workloads/<name>/` and the folder `drops`, the latter with `pieces` files (0: one for each month).

    Raises ConfigurationError where something is there already that `force` does not allow to be replaced, and
    WorkloadError were the files not what synthesis takes."""
    folder = workloads / proposal.surface.name
    for path in (*(folder / name for name in FILES), drops):
        if path.exists() and not force:
            expected = "nothing there yet, or --force to replace it"
            raise ConfigurationError(where=str(path), field="NAME", expected=expected, came="a workload of that name")
    with TemporaryDirectory() as temporary:
        draft = Path(temporary) / proposal.surface.name
        draft.mkdir()
        (draft / "workload.yaml").write_text(proposal.workload_yaml)
        (draft / "contract.yaml").write_text(proposal.contract_yaml)
        contract = checked(draft, proposal)
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(draft / name, folder / name)
    written = tuple(_write_drops(proposal, drops, pieces))
    to_predict = _write_rows(proposal, drops / "to_predict.jsonl")
    is_itself = source.is_file() and not proposal.surface.image_side
    judged = as_it_is(source, contract) if is_itself else ""
    return Written(folder=folder, drops=written, to_predict=to_predict, as_it_is=judged)


def checked(folder: Path, proposal: Proposal) -> Contract:
    """The contract as synthesis reads it; raises WorkloadError where it is not the one that was proposed."""
    contract = check_fit(load_workload(folder), check_contract(folder))
    assert contract.rows == proposal.contract, "the document says what the proposal says"
    return contract


def as_it_is(source: Path, contract: Contract) -> str:
    """The result of ingesting the file itself as a drop of the feed `training`."""
    validator, rows, refused, first = Validator(contract.rows), 0, 0, ""
    try:
        for part in read_drop(source, contract.rows):
            found = (*part.unparsable, *validator.judge(part.rows).refused)
            rows, refused = rows + part.rows.num_rows + len(part.unparsable), refused + len(found)
            first = first or (f"line {found[0].line}: {found[0].detail}" if found else "")
    except DropError as error:
        return f"refused whole, {error}"
    return f"{refused:,} of {rows:,} rows quarantined, first {first}" if refused else ""


def _write_drops(proposal: Proposal, folder: Path, pieces: int) -> Iterator[Path]:
    import pyarrow.parquet as pq

    training = folder / "training"
    shutil.rmtree(training, ignore_errors=True)
    training.mkdir(parents=True)
    rows, surface = proposal.accepted.drop_columns([LINE]), proposal.surface
    if surface.is_in_time:
        parts = cut(rows, surface.event_time, pieces)
    else:
        parts = cut_evenly(rows.drop_columns([surface.event_time]), pieces or 1 + rows.nbytes // MOST_BYTES)
    for name, rows in parts:
        path = training / f"{name}.parquet"
        pq.write_table(rows, path, write_page_checksum=True)
        yield path


def cut(rows: pa.Table, event_time: str, pieces: int) -> list[tuple[str, pa.Table]]:
    """The rows, sorted by event time, in pieces with their names; 0: one for each calendar month."""
    import pyarrow.compute as pc

    months = pc.strftime(rows[event_time], format="%Y-%m")
    names = months.unique().to_pylist()
    if not pieces and 1 < len(names) <= MOST_MONTHS:
        return [(name, rows.filter(pc.equal(months, name))) for name in names]
    return cut_evenly(rows, pieces or PIECES)


def cut_evenly(rows: pa.Table, pieces: int) -> list[tuple[str, pa.Table]]:
    """As many rows in each piece; a piece has one row at least."""
    count = min(pieces, rows.num_rows)
    edges = [rows.num_rows * number // count for number in range(count + 1)]
    return [(f"{n + 1:03}", rows.slice(edges[n], edges[n + 1] - edges[n])) for n in range(count)]


def _write_rows(proposal: Proposal, path: Path) -> Path:
    """The last rows as a request has them: without what is generated and, unless it is an input, the label."""
    surface, rows = proposal.surface, proposal.accepted
    unknown = [LINE] if surface.horizon_hours else [LINE, surface.label]
    unknown += [] if surface.is_in_time else [surface.event_time]
    last = rows.drop_columns(unknown).slice(max(0, rows.num_rows - PREDICTED - _past_rows(proposal)))
    lines = [{name: as_json(cell) for name, cell in row.items()} for row in last.to_pylist()]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return path


def _past_rows(proposal: Proposal) -> int:
    """Rows before the predicted ones that their histories read."""
    if proposal.series is None or not proposal.surface.has_history:
        return 0
    return round(proposal.series.hours / proposal.series.every_hours) * proposal.series.entities
