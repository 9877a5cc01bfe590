"""Decisions are packed within SQS's limits, and none is lost."""

import pytest

from functions.prediction.decisions import BATCH_BYTES, MESSAGE_BYTES, batches, messages, send
from millrace.errors import QueueError


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


@pytest.mark.parametrize("length", [10, 1000, 100_000])
def test_messages_keep_order_and_limit(length: int) -> None:
    lines = [f"{number:0{length}d}" for number in range(40)]
    packed = list(messages(lines))
    assert "\n".join(packed).split("\n") == lines
    assert all(len(body) <= MESSAGE_BYTES for body in packed)


def test_batches_keep_both_limits() -> None:
    bodies = ["x" * MESSAGE_BYTES] * 9 + ["y"] * 25
    packed = list(batches(bodies))
    assert [body for batch in packed for body in batch] == bodies
    assert all(len(batch) <= 10 and sum(map(len, batch)) <= BATCH_BYTES for batch in packed)


def test_a_refused_message_is_sent_again() -> None:
    queue = Queue(failures=2)
    send(queue, "url", ["a" * MESSAGE_BYTES, "b"])
    assert sorted(queue.kept) == ["a" * MESSAGE_BYTES, "b"]


def test_a_message_that_stays_refused_is_an_error() -> None:
    with pytest.raises(QueueError, match="refused 3 times: InternalError"):
        send(Queue(failures=3), "url", ["a"])
