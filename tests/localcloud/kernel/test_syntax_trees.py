from __future__ import annotations

import ast
import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from localcloud.kernel.install import build_one_by_one
from localcloud.kernel.patching import undone

EXPRESSION = "not " * 40 + "a and (" + " or ".join(f"b{one}" for one in range(200)) + ")"


@pytest.fixture
def switches() -> Iterator[None]:
    """Another thread's turn at each collection of garbage, and many of them."""

    def switch(*_: Any) -> None:
        time.sleep(1e-5)

    threshold = gc.get_threshold()
    gc.set_threshold(20)
    gc.callbacks.append(switch)
    yield
    gc.callbacks.remove(switch)
    gc.set_threshold(*threshold)


@pytest.mark.usefixtures("switches")
def test_threads_that_parse_at_once_do_not_end_each_other():
    """Without it one of them ends with a SystemError on CPython 3.11.7, within two hundredths of a second."""
    with undone(), ThreadPoolExecutor(4) as pool:
        build_one_by_one()
        trees = list(pool.map(lambda _: ast.dump(ast.parse(EXPRESSION, mode="eval")), range(80)))
    assert len(set(trees)) == 1
