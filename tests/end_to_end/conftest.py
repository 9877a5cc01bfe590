"""One cloud that has lived through the fourteen months; the tests of this folder look at it and then break it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from millrace.demo.driver import START
from millrace.demo.run import NAMES, live_through
from millrace.desk import Desk, started
from millrace.names import WorkloadNames


@dataclass(frozen=True, kw_only=True)
class Lived:
    """The running cloud, what `demo.json` says of it and the folder it writes to."""

    desk: Desk
    names: WorkloadNames
    result: dict[str, Any]
    build: Path


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    build = tmp_path_factory.mktemp("build")
    with started(build, clock=START) as desk:
        result = live_through(desk, build, said=lambda line: print(line, file=sys.stderr))
        yield Lived(desk=desk, names=NAMES, result=result, build=build)
