"""What the records of the audit may hold: it is locked, so no cell of a row may get there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from millrace.artefact.artefact import Digests
from millrace.console.queries.versions import DIGESTS
from millrace.errors import SettingsError
from millrace.messages.audit import AuditEvent
from millrace.messages.envelope import Message
from millrace.messages.monitor import ErrorReport, InputReport, MonitorReport, WindowReport, read_report
from millrace.messages.training_run import PINNED, Run, read_run
from millrace.monitoring.alarms import RATIO_ALARMS


def open_fields(model: type[BaseModel]) -> Iterator[str]:
    """The fields, at every depth, that take whatever cells a row has: mappings, and values of any type."""
    for name, field in model.model_fields.items():
        for part in parts(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from (f"{name}.{inner}" for inner in open_fields(part))
            kind = get_origin(part)
            if part in (Any, object) or (isinstance(kind, type) and issubclass(kind, Mapping)):
                yield name


def parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from parts(inner)


@pytest.mark.parametrize("details", sorted({event.details for event in AuditEvent}, key=lambda one: one.__name__))
def test_a_record_has_no_room_for_a_row(details: type[Message]) -> None:
    assert [*open_fields(details)] == []


DRIFT, ERROR = RATIO_ALARMS["input-drift"], RATIO_ALARMS["error"]

NEW_YEAR = datetime(1997, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def window(
    k: int, *, ratio: float | None = 0.5, error_ratio: float | None = None, settled: bool = True, **none: Any
) -> WindowReport:
    told = InputReport(rows=336, ratio=ratio, findings=())
    wrong = ErrorReport(answered=336, labelled=336, champions=336, error=0.2, ratio=error_ratio, settled=settled)
    return WindowReport.model_validate(
        {
            "start": NEW_YEAR + k * WEEK,
            "end": NEW_YEAR + (k + 1) * WEEK,
            "decisions": 336,
            "input": told,
            "error": wrong,
        }
        | none
    )


def report(*windows: WindowReport, as_of: datetime | None = None, label_hours: float = 0) -> MonitorReport:
    return MonitorReport(
        workload="electricity",
        as_of=as_of or windows[-1].end,
        model_version="1",
        unreadable=0,
        label_hours=label_hours,
        windows=windows,
    )


def test_what_was_not_judged_is_no_number() -> None:
    found = report(window(0, ratio=None), window(1, input=None))
    assert (DRIFT.ratio(found), ERROR.ratio(found)) == (None, None)
    assert found.judged == 0


def test_the_input_is_done_also_where_a_window_was_too_thin() -> None:
    assert report(window(0), window(1, ratio=None)).input_cursor == NEW_YEAR + 2 * WEEK
    assert report(window(0, input=None)).input_cursor is None


def test_the_error_waits_for_labels_and_gives_up_at_last() -> None:
    late = (window(0), window(1, settled=False), window(2))
    assert report(*late).error_cursor == NEW_YEAR + WEEK
    for hours, reached in ((0, 3), (1, 1)):
        found = report(*late, as_of=NEW_YEAR + 15 * WEEK, label_hours=hours)
        assert found.error_cursor == NEW_YEAR + reached * WEEK
    assert report(window(0, error=None), window(1)).error_cursor == NEW_YEAR + 2 * WEEK
    assert report(window(0, error=None), window(1, settled=False)).error_cursor == NEW_YEAR + WEEK
    assert report(window(0, error=None)).error_cursor is None


def test_damage_is_named() -> None:
    with pytest.raises(SettingsError, match=r"report.json: as_of"):
        read_report(report(window(0)).model_dump_json().replace('"as_of"', '"asof"'))


RUN = {
    "run": "r",
    "snapshot_id": 1,
    "tag": "t",
    "data_digest": "d",
    "contract_digest": "c",
    "config_digest": "k",
    "code_digest": "o",
    "rows": 3,
    "as_of": "1997-06-01T06:00:00Z",
    "reason": "alarm",
    "gate": "non_inferiority",
}


def write(tmp_path: Path, **words: Any) -> Path:
    (tmp_path / "run.json").write_text(json.dumps(RUN | words))
    return tmp_path / "run.json"


def test_a_run_is_read_and_words_of_later_versions_let_through(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, later="word"))
    assert run.gate == "non_inferiority"
    assert run.as_of.isoformat() == "1997-06-01T06:00:00+00:00"


def test_a_wrong_word_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"run\.json: gate: expected .*'baseline' or 'non_inferiority', got 'none'"):
        read_run(write(tmp_path, gate="none"))


def test_every_digest_of_a_run_is_pinned_and_named_by_its_model(tmp_path: Path) -> None:
    named = tuple(field.name for field in fields(Digests))
    assert {name for name in Run.model_fields if name.endswith("_digest")} == {f"{what}_digest" for what in PINNED}
    assert read_run(write(tmp_path)).digests == {"data": "d", "contract": "c", "config": "k", "code": "o"}
    assert named[: len(PINNED)] == PINNED
    assert DIGESTS[: len(named)] == named, "people see all of them"
