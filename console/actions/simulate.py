"""Simulates retraining policies on a workload's history, and says the keys of workload.yaml that were found.

Versions of earlier days are trained on this machine by the training image's entry, in a process of its own: `python -m
millrace.jobs.training history`. A history is kept by the digest of all that it is made of, so it is made once."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from millrace.console.environment import Environment
from millrace.console.new.trial import write_channels
from millrace.console.queries.replay import read_pinned
from millrace.console.queries.tunings import pinned_run
from millrace.contract.load import digest, load_contract, read_document
from millrace.contract.schema import LINE
from millrace.contract.validate import validate
from millrace.errors import RunError
from millrace.features import catalogue as encoders
from millrace.features.known_ahead import KnownAhead
from millrace.files.catalogue import read_drop
from millrace.files.origin import Origin
from millrace.messages.training_run import Run
from millrace.names import WorkloadNames
from millrace.simulation.history import HISTORY_FILE, ROWS_FILE, STEP_DAYS, TRAIN_DAYS, LivedHistory
from millrace.simulation.proposal import FEWEST_DECISIONS, PolicyComparison, compare
from millrace.simulation.simulation import RetrainingPolicy, Terms
from millrace.tasks.task import Task
from millrace.workload.declaration import Workload
from millrace.workload.fit import check_pretrained_file
from millrace.workload.load import load_workload
from millrace.workload.prices import projected_usd
from millrace.workload.training_cost import usages

Keys = Mapping[tuple[str, str], object]
"""By section and key the value; None: the key is not there."""


def lines_of(keys: Keys) -> str:
    """The keys as lines of workload.yaml."""
    written: list[str] = []
    for section in dict.fromkeys(section for section, _ in keys):
        held = [(key, value) for (of, key), value in keys.items() if of == section]
        lines = [f"  # no {key}" if value is None else f"  {key}: {_value(value)}" for key, value in held]
        written += [f"{section}:", *lines]
    return "\n".join(written)


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


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


def rows_of_stage(environment: Environment, names: WorkloadNames, folder: Path) -> pa.Table:
    """The rows that the newest run with rows has pinned."""
    source = pinned_run(environment, names)
    features = encoders.declare(load_workload(folder).prediction.features, load_contract(folder).rows)
    return read_pinned(environment.client("s3"), names, source.run, features)


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
    config, data = write_channels(root, given, check_pretrained_file(load_workload(folder), folder))
    digests = {name: digest(read_document(folder / f"{file}.yaml")) for name, file in DOCUMENTS.items()}
    run = Run(
        run="history", snapshot_id=0, tag="history", data_digest="", code_digest="", rows=0,
        as_of=datetime.now(UTC), reason="command", gate="baseline", **digests,
    )  # fmt: skip
    (config / "run.json").write_text(run.model_dump_json())
    for file in DOCUMENTS.values():
        (config / f"{file}.yaml").write_bytes((folder / f"{file}.yaml").read_bytes())
    (data / ROWS_FILE).write_bytes(content)


LENGTHS = (8, 16)
"""The lengths of the training days that are tried beside the declared one, in windows of the monitor."""


def lengths(workload: Workload) -> list[int | None]:
    """The values of `training.train_days` that are tried."""
    days = workload.monitors.window_days
    return list(dict.fromkeys((workload.training.train_days, *(days * windows for windows in LENGTHS))))


def most_usd(workload: Workload, stage: str) -> float:
    """The most that a training and its evaluation may cost."""
    return projected_usd(usages(workload, stage))


def check_prices(workload: Workload) -> None:
    """Raise RunError if the workload does not say what a wrong answer costs."""
    if workload.retraining.usd_per_error is None and workload.prediction.costs is None:
        expected = "retraining.usd_per_error or policy.automate.costs, which say what a wrong answer costs"
        raise RunError(f"{workload.name}/workload.yaml: expected {expected}, got neither")


def simulate(
    workload: Workload, task: Task, history: LivedHistory, usd_per_training: float, stage: str
) -> PolicyComparison:
    """The comparison. Raises RunError for a history that is too short."""
    gate = workload.gates.non_inferiority
    terms = Terms(
        usd_per_error=workload.retraining.usd_per_error or 0.0,
        usd_per_training=usd_per_training,
        label_delay_days=math.ceil((workload.monitors.label_delay_hours or 0) / 24),
        gate=gate if gate.measure == "error" else None,
        error_is_share=task.error_is_share,
        reserved_usd=most_usd(workload, stage),
        retraining=workload.retraining,
        budget=workload.budget,
    )
    try:
        return compare(history, terms, declared_policy(workload))
    except ValueError as error:
        expected = f"{FEWEST_DECISIONS} decisions at least to choose by, and as many to judge by"
        raise RunError(f"expected {expected}, got {error}: a longer history, or fewer test days, has more") from None


def declared_policy(workload: Workload) -> RetrainingPolicy | None:
    """The declaration as a policy; None if it rests on a calibrated bound or on a schedule by the calendar."""
    retraining, monitors = workload.retraining, workload.monitors
    by_error = "error" in retraining.alarms
    rate = re.fullmatch(r"rate\((\d+) days?\)", retraining.schedule or "rate(0 days)")
    if rate is None or "input-drift" in retraining.alarms or (by_error and monitors.error_bound is None):
        return None
    return RetrainingPolicy(
        train_days=workload.training.train_days,
        error_bound=monitors.error_bound if by_error else None,
        error_windows=monitors.error_windows,
        every_days=int(rate[1]) or None,
        cool_down_days=retraining.cool_down_days,
    )


def keys_of(policy: RetrainingPolicy, step_days: int, alarms: Sequence[str]) -> Keys:
    """The policy as keys of workload.yaml. Of the declared `alarms` that of the business's figures stays."""
    by_error = policy.error_bound is not None
    watched: Keys = {
        ("monitors", "schedule"): rate_of(step_days),
        ("monitors", "error_bound"): policy.error_bound,
        ("monitors", "error_windows"): policy.error_windows,
    }
    return {
        ("training", "train_days"): policy.train_days,
        **(watched if by_error else {}),
        ("retraining", "alarms"): [*(["error"] if by_error else []), *(name for name in alarms if name == "figures")],
        ("retraining", "schedule"): rate_of(policy.every_days) if policy.every_days else None,
        ("retraining", "cool_down_days"): policy.cool_down_days,
    }


def rate_of(days: int) -> str:
    """A schedule as EventBridge Scheduler writes it."""
    return f"rate({days} day{'s' * (days > 1)})"
