"""A lease has one holder at a time."""

from datetime import timedelta

from millrace.state.leases import Leases
from millrace.timestamps import parse_utc

NOW = parse_utc("1997-06-01T06:00:00Z")
A, B = "arn:aws:states:eu-west-1:123456789012:execution:m:a", "arn:aws:states:eu-west-1:123456789012:execution:m:b"


def test_a_lease_has_one_holder_until_it_expires(table):
    leases = Leases(table)
    later = NOW + timedelta(hours=1)
    assert leases.take("retrain", holder=A, as_of=NOW, expires_at=later)
    assert leases.take("retrain", holder=A, as_of=NOW, expires_at=later)
    assert not leases.take("retrain", holder=B, as_of=NOW + timedelta(minutes=59), expires_at=later)
    assert leases.find("retrain").holder == A
    assert leases.take("retrain", holder=B, as_of=later, expires_at=later + timedelta(hours=1))


def test_free_releases_only_what_the_holder_has(table):
    leases, until = Leases(table), NOW + timedelta(hours=1)
    for name, holder in (("retrain", A), ("train", A), ("release", B)):
        assert leases.take(name, holder=holder, as_of=NOW, expires_at=until)
    assert leases.free(A) == ["lease#retrain", "lease#train"]
    assert leases.find("retrain") is None
    assert leases.free(A) == []
    assert leases.find("release").holder == B


def test_a_lease_that_has_passed_on_is_not_freed(table):
    """Between the reading and the deletion another execution took the lease that had expired."""
    leases, until = Leases(table), NOW + timedelta(hours=1)
    leases.take("train", holder=A, as_of=NOW, expires_at=until)

    class Slow:
        def items(self, prefix):
            found = table.items(prefix)
            assert leases.take("train", holder=B, as_of=until, expires_at=until + timedelta(hours=1))
            return found

        delete = table.delete

    assert Leases(Slow()).free(A) == []
    assert leases.find("train").holder == B
