"""Every row of a drop is accepted or refused with its reason, whatever the drop holds."""

from pathlib import Path

import pytest

from functions.sharding.screening import screen
from millrace.contract.load import load_contract
from millrace.files.parsed import Limits

TABLE = load_contract(Path(__file__).resolve().parents[3] / "workloads" / "electricity").table("scoring")
HEADER = ",".join(TABLE.names)
GOOD = "1997-01-02T00:{minute:02}:00,3,0.5,0.05,0.2,0.003467,0.422915,0.414912"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "drop"
    path.write_text("\n".join([HEADER, *lines, ""]))
    return path


def test_good_rows_keep_their_order_and_line(tmp_path: Path) -> None:
    found = screen(written(tmp_path, *(GOOD.format(minute=minute) for minute in range(60))), TABLE, Limits())
    assert found.refused == ()
    assert found.accepted.column("_line").to_pylist() == list(range(2, 62))


def test_bad_rows_are_refused_with_line_and_reason(tmp_path: Path) -> None:
    good, bad = GOOD.format(minute=0), GOOD.format(minute=1)
    found = screen(
        written(tmp_path, good, bad.replace("0.05", "17.5"), bad.replace("0.05", "?"), good), TABLE, Limits()
    )
    assert found.accepted.num_rows == 1
    assert sorted((refused.line, refused.reason) for refused in found.refused) == [
        (3, "range"),
        (4, "type"),
        (5, "duplicate_key"),
    ]


@pytest.mark.parametrize(
    ("body", "reason"), [(b"", "empty"), (b"\x1f\x8b123", "foreign"), (b"PAR1broken", "truncated")]
)
def test_what_holds_no_rows_is_refused_whole(tmp_path: Path, body: bytes, reason: str) -> None:
    path = tmp_path / "drop"
    path.write_bytes(body)
    found = screen(path, TABLE, Limits())
    assert found.accepted.num_rows == 0
    assert [(refused.line, refused.reason) for refused in found.refused] == [(None, found.rejected)]
    assert found.rejected == reason
