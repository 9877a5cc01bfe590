"""A key by which nobody can be erased is refused, and never repeated."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.errors import WithdrawalError


@pytest.mark.usefixtures("aws")
def test_a_refusal_does_not_repeat_the_key(load: Any, event: Any) -> None:
    asked = event("erasure")
    with pytest.raises(WithdrawalError, match="expected a column of texts") as refused:
        load("erasure")(asked)
    assert asked["cells"][0] not in str(refused.value)
