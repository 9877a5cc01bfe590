"""Accepted retrainings are counted by month."""

from millrace.state.retraining import Retrainings
from millrace.timestamps import parse_utc

NOW = parse_utc("1997-06-01T06:00:00Z")
A, B = "arn:aws:states:eu-west-1:123456789012:execution:m:a", "arn:aws:states:eu-west-1:123456789012:execution:m:b"


def test_a_retraining_is_counted_once_and_by_month(table):
    retrainings = Retrainings(table)
    assert retrainings.last().started_at is None
    retrainings.record(execution_arn=A, as_of=NOW, labels_total=1000)
    retrainings.record(execution_arn=A, as_of=NOW, labels_total=1000)
    assert (retrainings.last().runs_in("1997-06"), retrainings.last().runs_in("1997-07")) == (1, 0)
    retrainings.record(execution_arn=B, as_of=NOW, labels_total=2000)
    assert retrainings.last().runs_in("1997-06") == 2
    assert (retrainings.last().execution_arn, retrainings.last().labels_total, retrainings.last().started_at) == (
        B,
        2000,
        NOW,
    )


def test_a_redriven_retraining_of_an_earlier_month_counts_in_the_last_one(table):
    retrainings = Retrainings(table)
    retrainings.record(execution_arn=A, as_of=NOW, labels_total=1000)
    retrainings.record(execution_arn=B, as_of=parse_utc("1997-05-20T06:00:00Z"), labels_total=2000)
    last = retrainings.last()
    assert (last.execution_arn, last.started_at, last.counted_month) == (B, NOW, "1997-06")
    assert (last.runs_in("1997-05"), last.runs_in("1997-06"), last.runs_in("1997-07")) == (2, 2, 0)
