"""Bytecode for a stage's functions, by a Python of the stage's version where this machine has one.

Lambda reads layers and bundles from a disk that cannot be written, so what is not compiled is compiled anew at each
cold start."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


@cache
def interpreter(python: str) -> str | None:
    """The path of a Python of this version (`3.13`): this one, `python3.13` on the PATH, or one of uv's."""
    found = [sys.executable, shutil.which(f"python{python}"), _of_uv(python)]
    return next((one for one in found if one and _answer(one, "-c", VERSION) == python), None)


def compile_folder(folder: Path, compiler: str) -> None:
    """Compile every module below the folder.

    A `.pyc` is usually valid for the time at which its source was changed, and an asset's zip holds none of these
    times, so Lambda would find each one out of date: these are valid unchecked, as what they belong to never changes.
    https://docs.python.org/3/reference/import.html#pyc-invalidation"""
    words = [compiler, "-m", "compileall", "-qq", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    # A package may carry a module for another Python, which does not compile and is not imported: status 1.
    subprocess.run([*words, "-s", str(folder), str(folder)], check=False)


@cache
def version_of(compiler: str) -> str | None:
    """The version that a Python at this path says it is (`3.13`)."""
    return _answer(compiler, "-c", VERSION)


def _of_uv(python: str) -> str | None:
    uv = shutil.which("uv")
    return _answer(uv, "python", "find", "--no-project", python) if uv else None


def _answer(program: str, *words: str) -> str | None:
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
