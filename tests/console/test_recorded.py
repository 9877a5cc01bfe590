"""A recorded output that changed is seen."""

from pathlib import Path

import pytest

from tests.recorded import compare, compare_folder


def test_an_output_is_compared_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "recorded" / "runs.txt"
    monkeypatch.setenv("RECORD", "1")
    compare(path, "three runs")
    compare(path.with_name("gone.txt"), "of a test that was removed")
    monkeypatch.delenv("RECORD")
    compare(path, "three runs\n")
    with pytest.raises(pytest.fail.Exception, match="four runs"):
        compare(path, "four runs")
    with pytest.raises(AssertionError):
        compare_folder(path.parent, {"runs.txt"})
