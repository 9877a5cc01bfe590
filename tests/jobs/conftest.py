"""A run's files as the train machine leaves them, made from the real elec2 rows of the sample."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from filelock import FileLock

from localcloud.kernel.forks import READ_AT_IMPORT, Fork
from localcloud.kernel.processes import signal_group
from localcloud.sagemaker.jobs.forked import LARGE, OWN
from tests.jobs.run_document import run_document
from tests.localcloud.waiting import until

REPOSITORY = Path(__file__).resolve().parents[2]
WORKLOAD = REPOSITORY / "workloads" / "electricity"
COLUMNS = ("timestamp", "day_of_week", "period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer", "class")
CHILD = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""The environment of a job's process: one thread, as in the tests' own processes."""
INTERPRETER = (sys.executable, "-W", "error")


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Where the files of a pinned dataset version and its run's configuration lie."""

    data: Path
    config: Path


def changed(snapshot: Snapshot, config: Path, *, steps: int, **parameters: Any) -> Snapshot:
    """The snapshot with a configuration in this folder: other hyperparameters, so many models of earlier days."""
    shutil.copytree(snapshot.config, config)
    document = yaml.safe_load((config / "workload.yaml").read_text())
    document["training"]["parameters"] |= parameters
    document["training"]["walk_forward_steps"] = steps
    (config / "workload.yaml").write_text(yaml.safe_dump(document))
    return Snapshot(data=snapshot.data, config=config)


def elec2(until: datetime) -> pa.Table:
    """The sample's rows before `until`, one per half hour, with the column that ingestion adds."""
    table = pq.read_table(WORKLOAD / "sample" / "elec2.parquet").select(COLUMNS)
    table = table.filter(pc.less(table["timestamp"], pa.scalar(until, table["timestamp"].type)))
    # The published set has 4 May 1997 twice; ingestion keeps one copy, here the first.
    first = {at: number for number, at in reversed(list(enumerate(table["timestamp"].to_pylist())))}
    table = table.take(sorted(first.values()))
    return table.append_column("_source", pa.array(["electricity/training/x.csv"] * len(table)))


def write_snapshot(
    folder: Path, table: pa.Table, declared: dict[str, Any], document: dict[str, Any], **run: Any
) -> Snapshot:
    """A run's files as the train machine leaves them; `run` goes into run.json."""
    snapshot = Snapshot(data=folder / "data", config=folder / "config" / document["name"])
    snapshot.config.mkdir(parents=True)
    ids = {name: number for number, name in enumerate(table.column_names, start=1)}
    fields = [field.with_metadata({"PARQUET:field_id": str(ids[field.name])}) for field in table.schema]
    # Iceberg promises no order among files or rows.
    mixed = pa.table(table.columns, schema=pa.schema(fields)).take(np.arange(len(table))[::-1]).combine_chunks()
    for number in range(3):
        path = snapshot.data / "data" / f"{number}" / "00000-0.parquet"
        path.parent.mkdir(parents=True)
        at = [part * len(table) // 3 for part in (number, number + 1)]
        pq.write_table(mixed.slice(at[0], at[1] - at[0]), path, write_page_checksum=True)
    columns = [{"id": number, "name": name} for name, number in ids.items()]
    (snapshot.config / "schema.json").write_text(json.dumps({"type": "struct", "fields": columns}))
    (snapshot.config / "contract.yaml").write_text(yaml.safe_dump(declared))
    (snapshot.config / "workload.yaml").write_text(yaml.safe_dump(document))
    words = run_document(**{"rows": len(table), "as_of": "2020-06-01T00:00:00Z"} | run)
    (snapshot.config / "run.json").write_text(json.dumps(words))
    return snapshot


def declared_in(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The documents of a workload's folder: contract.yaml and workload.yaml."""
    contract, workload = (yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in ("contract", "workload"))
    return contract, workload


def write_elec2(folder: Path, until: datetime, **run: Any) -> Snapshot:
    """A run's files of the sample's rows before a moment."""
    return write_snapshot(folder, elec2(until), *declared_in(WORKLOAD), **{"as_of": "1997-01-01T00:00:00Z"} | run)


def training_root(root: Path, snapshot: Snapshot, **hyperparameters: str) -> Path:
    """`root` as /opt/ml of a training job; with a hyperparameter of the family it leaves the walk forward out."""
    (root / "input" / "config").mkdir(parents=True)
    (root / "input" / "config" / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    (root / "input" / "config" / "inputdataconfig.json").write_text(json.dumps({"data": {}, "config": {}}))
    (root / "input" / "data").mkdir()
    (root / "input" / "data" / "data").symlink_to(snapshot.data)
    (root / "input" / "data" / "config").symlink_to(snapshot.config)
    return root


@dataclass(frozen=True, kw_only=True)
class Ended:
    code: int
    output: str


RunJob = Callable[..., Ended]


@pytest.fixture(scope="session")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fork]:
    """Starts a job as a fork of a process that has imported what jobs import, which takes seconds."""
    folder = tmp_path_factory.mktemp("forks")
    for name in ("fork_server.py", "call_tracer.py"):
        (folder / name).symlink_to(REPOSITORY / "localcloud" / "kernel" / name)
    modules = (*LARGE, *(f"millrace.jobs.{path.parent.name}.job" for path in sorted(REPOSITORY.glob(OWN))))
    words = [*INTERPRETER, "-m", "fork_server", str(folder / "socket"), ",".join(modules)]
    with subprocess.Popen(words, cwd=REPOSITORY, env={**CHILD, "PYTHONPATH": str(folder)}) as server:
        until(lambda: (folder / "socket").exists() or server.poll() is not None)
        yield Fork(address=folder / "socket", interpreter=INTERPRETER)
        server.terminate()


@pytest.fixture(scope="session")
def run_job(fork: Fork, tmp_path_factory: pytest.TempPathFactory) -> RunJob:
    """Runs `python -m <module>` in the environment of its container; the process is waited for."""
    folder = tmp_path_factory.mktemp("outputs")

    def run(module: str, root: Path, *arguments: str, **environment: str) -> Ended:
        assert not [name for name in environment if name.startswith(READ_AT_IMPORT)], "a fork has imported by now"
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as output:
            variables = {**CHILD, "MILLRACE_ML_ROOT": str(root), **environment}
            process = fork([*INTERPRETER, "-m", module, *arguments], variables, REPOSITORY, output)  # type: ignore[arg-type]
            try:
                code = process.wait(300)
            except subprocess.TimeoutExpired:
                signal_group(process, signal.SIGKILL)
                raise
        return Ended(code=code, output=Path(output.name).read_text())

    return run


@pytest.fixture(scope="session")
def training_at() -> Callable[..., Path]:
    return training_root


@pytest.fixture(scope="session")
def snapshot_1996(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """7 May to 31 December 1996."""
    return write_elec2(tmp_path_factory.mktemp("snapshot-1996"), datetime.fromisoformat("1997-01-01"))


@pytest.fixture(scope="session")
def training_1996(run_job: RunJob, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is left at /opt/ml of the training job of 1996, whose words are in `output.txt`; nobody writes there.

    It is trained once for all processes of a test run: the first that comes here does, the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained-1996"
    with FileLock(f"{folder}.lock"):
        if not (folder / "output.txt").exists():
            snapshot = write_elec2(folder / "snapshot", datetime.fromisoformat("1997-01-01"))
            ended = run_job("millrace.jobs.training", training_root(folder, snapshot), "train")
            assert ended.code == 0, ended.output
            (folder / "output.txt").write_text(ended.output)
    return folder


@pytest.fixture(scope="session")
def model_1996(training_1996: Path) -> Path:
    """The model folder that the training job makes of 1996."""
    return training_1996 / "model"
