"""One syntax tree at a time on a Python that cannot build two.

Up to CPython 3.11.7 all threads share the count of a tree's depth, so a thread that is switched to while another
builds one ends it with "AST constructor recursion depth mismatch" (https://github.com/python/cpython/issues/106905).
moto's routes, alarm rules and metric math are built of such trees, on any thread."""

from __future__ import annotations

import ast
import sys
from threading import RLock
from typing import Any

from infra.local.kernel.patching import replace

MENDED = (3, 11, 8)


def build_one_by_one(version: tuple[int, ...] = sys.version_info[:3]) -> None:
    """Let `ast.parse` wait for its other callers for the life of this cloud, where Python needs it."""
    if version >= MENDED:
        return
    parse = ast.parse
    # Reentrant: building collects garbage, and what that calls may parse too.
    building = RLock()

    def one_by_one(*arguments: Any, **named: Any) -> Any:
        with building:
            return parse(*arguments, **named)

    replace(ast, parse=one_by_one)
