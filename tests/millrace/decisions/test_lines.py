"""Decisions are packed within SQS's limits, and none is lost."""

from datetime import UTC, datetime

import pytest

from millrace.aws.queues import MESSAGE_BYTES, send, send_lines
from millrace.decisions.online import write_lines
from millrace.decisions.record import Decision, canonical, from_line
from millrace.decisions.road import Admitted, Rejected
from millrace.errors import QueueError
from tests import builders

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Queue:
    """SQS's answer to a batch: the first `failures` calls refuse their last message."""

    def __init__(self, failures: int) -> None:
        self.failures, self.kept = failures, []

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
        assert len(Entries) <= 10
        assert sum(len(entry["MessageBody"]) for entry in Entries) <= 1024 * 1024
        refused = Entries[-1:] if self.failures > 0 else []
        self.failures -= 1
        self.kept += [entry["MessageBody"] for entry in Entries if entry not in refused]
        return {"Failed": [{"Id": entry["Id"], "Code": "InternalError"} for entry in refused]}


def test_batches_keep_both_limits_and_what_is_refused_is_sent_again_and_not_for_ever() -> None:
    bodies = ["x" * MESSAGE_BYTES] * 9 + ["y"] * 25
    whole = Queue(failures=0)
    send(whole, "url", bodies)
    assert whole.kept == bodies
    queue = Queue(failures=2)
    send_lines(queue, "url", ["a" * MESSAGE_BYTES, "b"])
    assert sorted(queue.kept) == ["a" * MESSAGE_BYTES, "b"]
    with pytest.raises(QueueError, match="refused 3 times: InternalError"):
        send_lines(Queue(failures=3), "url", ["a"])


def decided(text: str, number: int) -> tuple[Admitted, Decision]:
    cells = {"id": number, "note": text}
    return Admitted(number=number, cells=cells), builders.decision(
        id=f"r-{number}",
        workload="notes",
        event_time=NOW,
        key={"id": number},
        input=canonical(cells),
        output={"value": 1},
        model_version="3",
        latency_ms=1.0,
    )


@pytest.mark.parametrize("text", ["x" * 1_300_000, "x" * 246_000, "é" * 36_000, '"' * 62_000])
def test_a_row_whose_decision_no_message_holds_is_rejected_alone(text: str) -> None:
    rows = [decided("good", 0), decided(text, 5), decided("good", 7)]
    written, rejected = write_lines([row for row, _ in rows], [decision for _, decision in rows])
    assert [(one.row.number, from_line(one.line)) for one in written] == [(0, rows[0][1]), (7, rows[2][1])]
    expected = f"a row whose decision takes {MESSAGE_BYTES} bytes at most"
    came = rejected[0].came
    assert rejected == [Rejected(row=5, reason="too_large", column="note", expected=expected, came=came)]
    queue = Queue(failures=0)
    send_lines(queue, "url", [one.line for one in written])
    assert [from_line(line) for body in queue.kept for line in body.split("\n")] == [rows[0][1], rows[2][1]]


@pytest.mark.parametrize("text", ["x" * 240_000, "é" * 34_000])
def test_a_long_row_whose_decision_fits_is_kept(text: str) -> None:
    row, decision = decided(text, 0)
    written, rejected = write_lines([row], [decision])
    assert ([one.decision for one in written], rejected) == ([decision], [])
