"""The release pointers: a write on an old revision loses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from millrace.errors import ConflictError
from millrace.state.pointers import Pointers, ReleasePointers, Version


def version(number: int) -> Version:
    return Version(
        package_arn=f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/g/{number}",
        version=str(number),
        model_name=f"m-{number}",
        run=f"run-{number}",
        baseline_uri=f"s3://artefacts/electricity/runs/run-{number}/baseline.json",
    )


def test_pointers_come_back_as_written(table):
    pointers = ReleasePointers(table)
    written = pointers.move(Pointers(champion=version(2), previous=version(1), highest=3))
    assert written.revision == 1
    assert pointers.read() == written


def test_a_write_on_an_old_revision_loses(table):
    pointers = ReleasePointers(table)
    pointers.move(Pointers(champion=version(1)))
    with pytest.raises(ConflictError, match="expected revision 0"):
        pointers.move(Pointers(champion=version(2)))
    assert pointers.champion() == version(1)


def test_of_two_promotions_at_once_one_wins(table):
    pointers = ReleasePointers(table)
    read = pointers.move(Pointers(champion=version(1)))

    def promote(number):
        try:
            pointers.move(replace(read, champion=version(number)))
        except ConflictError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(promote, range(2, 10))) == 1
    assert pointers.read().revision == 2
