"""Compiles the functions of a stage to bytecode, if this machine has a Python of the stage's version.

Lambda reads layers and bundles from a disk that cannot be written. So a module without bytecode is compiled again at
each cold start."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
"""A program that prints the version of the Python that runs it: `3.13`."""


@cache
def interpreter(python: str) -> str | None:
    """The path of a Python of this version, such as `3.13`; None if this machine has none.

    It looks at the Python that runs this, at `python3.13` on the PATH, and at those of uv."""
    uv = shutil.which("uv")
    of_uv = _answer(uv, "python", "find", "--no-project", python) if uv else None
    found = [sys.executable, shutil.which(f"python{python}"), of_uv]
    return next((one for one in found if one and _answer(one, "-c", VERSION) == python), None)


def compile_folder(folder: Path, compiler: str) -> None:
    """Compile every module below the folder.

    Usually a `.pyc` is valid if it names the time at which its source was changed. An asset's zip keeps none of these
    times, so Lambda would find each `.pyc` out of date. These are valid unchecked, since their sources never change.
    https://docs.python.org/3/reference/import.html#pyc-invalidation"""
    words = [compiler, "-m", "compileall", "-qq", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    # A package may carry a module for another Python, which does not compile and is not imported: status 1.
    subprocess.run([*words, "-s", str(folder), str(folder)], check=False)


@cache
def version_of(compiler: str) -> str | None:
    """The version of the Python at this path, as it says itself (`3.13`); None if it does not run."""
    return _answer(compiler, "-c", VERSION)


def _answer(program: str, *words: str) -> str | None:
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
