"""Whether the rows of a training fit into the machine's memory, before any of them is read."""

from __future__ import annotations

import os
from pathlib import Path

from jobs.runtime import TrainingPlaces
from millrace.datasets.memory import RowMemory, row_memory
from millrace.errors import TrainingError
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features
from millrace.messages.training_job import CONFIG_CHANNEL, DATA_CHANNEL
from millrace.workload.declaration import Workload

LIMIT = Path("/sys/fs/cgroup/memory.max")
"""The container's own limit in bytes, or the word max: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory"""


def machine_memory(limit: Path = LIMIT) -> int:
    """Bytes that this process and all beside it may have."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    said = limit.read_text().strip() if limit.exists() else ""
    return min(physical, int(said)) if said.isdigit() else physical


def rows_of(places: TrainingPlaces, workload: Workload, features: Features) -> RowMemory:
    """What all rows of the job's dataset version take, by their files' footers."""
    prediction = workload.prediction
    return row_memory(
        places.channel(DATA_CHANNEL),
        places.channel(CONFIG_CHANNEL) / "schema.json",
        columns=(*encoders.columns(features), *prediction.key, prediction.event_time),
        labels=prediction.label_columns,
        signature=encoders.signature(features),
    )


def check_memory(needed: RowMemory, *, processes: int, memory: int | None = None) -> None:
    """Nothing where the rows fit; `processes` of the machine read them all. Raises TrainingError."""
    memory = machine_memory() if memory is None else memory
    if (total := needed.bytes * processes) <= memory:
        return
    each = f" in each of {processes} processes" if processes > 1 else ""
    expected = f"expected rows that fit into this machine's memory of {memory / 1e9:,.1f} GB"
    came = f"got {needed.rows:,} that take {total / 1e9:,.1f} GB at least"
    row = f"{needed.bytes / needed.rows:,.0f} bytes a row{each}"
    advice = "choose an instance with more memory, fewer features or a shorter history"
    raise TrainingError(f"{expected}, {came}, {row}; {advice}")
