from __future__ import annotations

import pytest

from localcloud.kernel.patching import replace, replace_entries, undone


class Base:
    size = 1


class Service(Base):
    @staticmethod
    def parse() -> str:
        return "theirs"


def test_members_are_as_before_at_the_end():
    before = dict(vars(Service))
    with undone():
        replace(Service, parse=staticmethod(lambda: "ours"), size=2)
        replace(Service, parse=staticmethod(lambda: "ours again"))
        assert (Service.parse(), Service.size) == ("ours again", 2)
    assert dict(vars(Service)) == before
    assert Service.size == 1, "what was inherited is inherited again"


def test_entries_are_as_before_at_the_end():
    shared = {"kept": 1, "changed": 2}
    with undone():
        replace_entries(shared, changed=3, added=4)
        assert shared == {"kept": 1, "changed": 3, "added": 4}
    assert shared == {"kept": 1, "changed": 2}


def fail() -> None:
    with undone():
        replace(Service, size=3)
        raise ValueError("no")


def test_an_error_undoes_too():
    with pytest.raises(ValueError, match="no"):
        fail()
    assert Service.size == 1


def test_without_a_cloud_nothing_is_replaced():
    with pytest.raises(LookupError, match="expected a cloud that starts"):
        replace(Service, size=4)
    with undone():
        pass
    with pytest.raises(LookupError):
        replace_entries({}, a=1)
    assert Service.size == 1
