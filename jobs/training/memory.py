"""Decides whether the rows of a training lie in memory or in files, before any of them is read."""

from __future__ import annotations

import shutil
from pathlib import Path

from millrace.datasets.memory import RowMemory, machine_memory
from millrace.datasets.row_files import RowFiles
from millrace.errors import TrainingError


def row_files(needed: RowMemory, folder: Path, *, processes: int, memory: int | None = None) -> RowFiles | None:
    """None if the rows fit into memory, else files on the volume of `folder`.

    Each of the machine's `processes` reads all rows. `memory` is in bytes; None means what the machine has. Raises
    TrainingError if neither the memory nor the volume has room."""
    memory = machine_memory() if memory is None else memory
    if needed.bytes * processes <= memory:
        return None
    # In files the cells lie on the volume; keys, times, labels and places stay in memory.
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    kept, written = needed.kept_bytes * processes, needed.file_bytes * processes
    came = f"{needed.rows:,} rows that take {_gb(needed.bytes * processes)} of memory"
    if kept > memory or written > free:
        fits = f"rows that fit into this machine's memory of {_gb(memory)}"
        else_fits = (
            f"whose keys, times and labels do with {_gb(kept)} and whose files of {_gb(written)} its volume holds"
        )
        each = f" in each of {processes} processes" if processes > 1 else ""
        row = f"{needed.bytes / needed.rows:,.0f} bytes a row{each}, with {_gb(free)} free on the volume"
        advice = "choose an instance with more memory or disk, fewer features or a shorter history"
        raise TrainingError(f"expected {fits}, or {else_fits}, got {came} at least, {row}; {advice}")
    print(f"{came} are mapped from files of {_gb(written)}: the machine has {_gb(memory)} of memory", flush=True)
    return RowFiles(folder=folder)


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
