"""What becomes of a process that takes too long, and what it gets. The tests of Parquet end others by memory."""

import os
from collections.abc import Iterator

import pytest

from millrace.files.bounded import read_bounded


def endless() -> Iterator[dict[str, str]]:
    yield dict(os.environ)
    while True:
        pass


def test_a_process_has_no_credentials_and_ends_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    reading = read_bounded(endless, memory_bytes=2**29, cpu_s=1)
    assert "AWS_SESSION_TOKEN" not in next(reading)
    with pytest.raises(MemoryError):
        next(reading)
