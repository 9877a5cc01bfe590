"""Makes the history that a simulation reads: versions of earlier days, trained on this machine by the training code.

The training image's entry does it in a process of its own: `python -m millrace.jobs.training history`. A history is
kept by the digest of all that it is made of, so it is made once."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from millrace.console.environment import Environment
from millrace.console.queries.pinned_rows import read_pinned
from millrace.console.queries.tunings import pinned_run
from millrace.contract.load import digest, load_contract, read_document
from millrace.contract.schema import LINE
from millrace.contract.validate import validate
from millrace.errors import RunError
from millrace.features import catalogue as encoders
from millrace.features.known_ahead import KnownAhead
from millrace.files.origin import Origin
from millrace.files.sniff import read_drop
from millrace.messages.training_job import CONFIG_CHANNEL, DATA_CHANNEL, PRETRAINED_CHANNEL
from millrace.messages.training_run import Run
from millrace.names import WorkloadNames
from millrace.simulation.history import HISTORY_FILE, ROWS_FILE, STEP_DAYS, TRAIN_DAYS, LivedHistory
from millrace.workload.fit import check_pretrained_file
from millrace.workload.load import load_workload

DOCUMENTS = {"contract_digest": "contract", "config_digest": "workload"}
"""The declarations that a run names by their digests."""


def rows_of_files(folder: Path, files: Sequence[Path]) -> pa.Table:
    """The accepted rows of files, by the contract of the workload in `folder`, in the order of event time."""
    workload, contract = load_workload(folder), load_contract(folder)
    table, parts = contract.table("training"), list[pa.Table]()
    for path in files:
        # A column that is generated of an object's name has that of the file.
        origin = Origin(name=path.name, at=datetime.now(UTC), digest="0" * 64, fetch=lambda *_: b"")
        parts += [validate(part.rows, table).accepted for part in read_drop(path, table, origin=origin)]
    prediction = workload.prediction
    rows = pa.concat_tables(parts).drop_columns([LINE]).sort_by(prediction.event_time).combine_chunks()
    # The same key in two files is one row, as in the table: the first counts.
    place = pa.array(range(rows.num_rows))
    first = rows.append_column(LINE, place).group_by(list(prediction.key)).aggregate([(LINE, "min")])
    rows = rows.take(first[f"{LINE}_min"].combine_chunks().sort())
    return KnownAhead.of(contract.rows, prediction).fill(rows, rows)


def rows_of_stage(environment: Environment, names: WorkloadNames, folder: Path, run: str = "") -> pa.Table:
    """The rows that a run has pinned, the newest one without `run`."""
    source = pinned_run(environment, names, run)
    features = encoders.declare(load_workload(folder).prediction.features, load_contract(folder).rows)
    return read_pinned(environment.client("s3"), names, source.run, features).table


def find_history(
    folder: Path, rows: pa.Table, *, train_days: Sequence[int | None], step_days: int, kept: Path
) -> LivedHistory:
    """The history of the workload in `folder` on these rows; from the folder `kept` if it was made before.

    Raises RunError if the workload has no split by time or starts from the weights of another model, and with the last
    line of the trainings if they fail."""
    workload = load_workload(folder)
    if workload.training.split.by != "time" or workload.training.weights:
        came = "training.weights" if workload.training.weights else f"a split by {workload.training.split.by}"
        raise RunError(
            f"{workload.name}/workload.yaml: expected a split by time and trainings from the start, got {came}"
        )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    content = sink.getvalue()
    given = {TRAIN_DAYS: json.dumps(list(train_days)), STEP_DAYS: str(step_days)}
    document = read_document(folder / "workload.yaml")
    made_of = {key: document.get(key) for key in ("prediction", "training", "policy")}
    made_of |= given | {"contract": read_document(folder / "contract.yaml")}
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode())
    key.update(content)
    path = kept / f"{key.hexdigest()[:16]}.npz"
    if not path.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        _make(folder, content, given, path)
    return LivedHistory.read(path)


def _make(folder: Path, content: pa.Buffer, given: dict[str, str], path: Path) -> None:
    """Run the trainings, and put what they leave at `path`."""
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        _write(root, folder, content, given)
        environment = {**os.environ, "MILLRACE_ML_ROOT": str(root), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "millrace.jobs.training", "history"]
        done = subprocess.run(
            command, env=environment, stderr=subprocess.PIPE, stdout=sys.stderr, text=True, check=False
        )
        if done.returncode:
            raise RunError((done.stderr.strip().splitlines() or ["the trainings ended without a word"])[-1])
        (root / "model" / HISTORY_FILE).replace(path)


def _write(root: Path, folder: Path, content: pa.Buffer, given: dict[str, str]) -> None:
    """Write the folders of a training job below `root`."""
    inputs = root / "input" / "data"
    config, data, settings = inputs / CONFIG_CHANNEL, inputs / DATA_CHANNEL, root / "input" / "config"
    for each in (config, data, settings):
        each.mkdir(parents=True)
    channels: dict[str, Any] = {CONFIG_CHANNEL: {}, DATA_CHANNEL: {}}
    if part := check_pretrained_file(load_workload(folder), folder):
        channels[PRETRAINED_CHANNEL] = {}
        (inputs / PRETRAINED_CHANNEL).mkdir()
        (inputs / PRETRAINED_CHANNEL / part.name).symlink_to(part.resolve())
    (settings / "inputdataconfig.json").write_text(json.dumps(channels))
    (settings / "hyperparameters.json").write_text(json.dumps(given))
    digests = {name: digest(read_document(folder / f"{file}.yaml")) for name, file in DOCUMENTS.items()}
    run = Run(
        run="history", snapshot_id=0, tag="history", data_digest="", code_digest="", rows=0,
        as_of=datetime.now(UTC), reason="command", gate="baseline", **digests,
    )  # fmt: skip
    (config / "run.json").write_text(run.model_dump_json())
    for file in DOCUMENTS.values():
        (config / f"{file}.yaml").write_bytes((folder / f"{file}.yaml").read_bytes())
    (data / ROWS_FILE).write_bytes(content)
