"""What others do with the same files, each run as a script in an environment of its own: `millrace` is not there."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

PEERS = Path(__file__).resolve().parent
ENVIRONMENTS = PEERS.parents[1] / "build" / "bench"


def environment(name: str) -> Path:
    """The Python of the others, with what `requirements-<name>.txt` says."""
    wanted, made = PEERS / f"requirements-{name}.txt", ENVIRONMENTS / name / "requirements.txt"
    python = made.parent / "bin" / "python"
    if not made.is_file() or made.read_bytes() != wanted.read_bytes():
        venv.create(made.parent, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--requirement", wanted], check=True)
        made.write_bytes(wanted.read_bytes())
    return python
