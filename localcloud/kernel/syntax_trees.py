"""Builds one syntax tree at a time, on a Python that cannot build two at once.

Up to CPython 3.11.7 all threads share one count of a tree's depth. If another thread gets its turn while a tree is
built, `ast.parse` raises "AST constructor recursion depth mismatch"
(https://github.com/python/cpython/issues/106905). moto's routes, alarm rules and metric math are built from such trees,
on any thread. May go when the project needs CPython 3.11.8 or later."""

from __future__ import annotations

import ast
import sys
from threading import RLock
from typing import Any

from localcloud.kernel.patching import replace

MENDED = (3, 11, 8)
"""The first version of CPython without the defect."""


def build_one_by_one(version: tuple[int, ...] = sys.version_info[:3]) -> None:
    """Let each caller of `ast.parse` wait for the others, for the life of this cloud, if this Python needs it."""
    if version >= MENDED:
        return
    parse = ast.parse
    # Reentrant: to build a tree may collect garbage, and finalizers that this calls may parse too.
    building = RLock()

    def one_by_one(*arguments: Any, **named: Any) -> Any:
        with building:
            return parse(*arguments, **named)

    replace(ast, parse=one_by_one)
