"""The keys of the table `state`, as its module says them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from millrace.state import table as state_table
from millrace.state.table import StateTable
from tests.millrace.state.conftest import NAMES

FOLDER = Path(state_table.__file__).parent


def test_every_module_that_has_items_is_named_among_the_keys() -> None:
    """And none that has not: by what it calls."""
    named = set(re.findall(r"^    \S+.*`(\w+)`$", str(state_table.__doc__), re.M))
    of_items = re.compile(r"import .*\b(StateTable|Item)\b")
    using = {path.stem for path in FOLDER.glob("*.py") if of_items.search(path.read_text())}
    assert named == using - {"item"}


class Busy:
    """A client that leaves some keys unread, so many times."""

    def __init__(self, client: Any, times: int) -> None:
        self._client, self._left = client, times

    def batch_get_item(self, RequestItems: Any) -> Any:
        [(table, wanted)] = RequestItems.items()
        if self._left:
            self._left -= 1
            answer = self._client.batch_get_item(RequestItems={table: wanted | {"Keys": wanted["Keys"][:2]}})
            return answer | {"UnprocessedKeys": {table: wanted | {"Keys": wanted["Keys"][2:]}}}
        return self._client.batch_get_item(RequestItems=RequestItems)


def test_what_is_left_unread_is_asked_for_again_and_not_for_ever(client: Any, table: StateTable) -> None:
    for number in range(30):
        table.put(f"item#{number}", {"n": {"N": str(number)}})
    wanted = [f"item#{number}" for number in range(31)]
    assert set(StateTable(Busy(client, 3), NAMES).find(wanted)) == set(wanted) - {"item#30"}
    with pytest.raises(ClientError, match="15 of 31 items were left unread 8 times"):
        StateTable(Busy(client, 99), NAMES).find(wanted)
