"""Measures what a training takes of its machine, for its curves and for MLflow."""

from __future__ import annotations

import resource
import time

import torch


def used(device: torch.device) -> dict[str, float]:
    """What this process used until now: CPU seconds, and the peaks of its memory and of its GPU's, in MB (10⁶ bytes).

    Without a GPU its memory is 0."""
    # In kB on Linux: https://man7.org/linux/man-pages/man2/getrusage.2.html
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    gpu_bytes = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return {
        "cpu_s": round(time.process_time(), 2),
        "memory_mb": round(peak_kb * 1024 / 1e6, 1),
        "gpu_memory_mb": round(gpu_bytes / 1e6, 1),
    }
