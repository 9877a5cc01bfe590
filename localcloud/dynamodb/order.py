"""Keeps the items of a partition in the order of their sort keys, as DynamoDB does: a query reads its page alone.

moto sorts all items of the table, then those of the partition, and walks to the page: with 100,000 items a query of one
item takes seconds. And its transaction copies every item first, to put them back if it fails."""

from __future__ import annotations

import copy
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from operator import attrgetter
from typing import Any

from localcloud.kernel.patching import replace
from localcloud.kernel.quotas import quota

VALUE = attrgetter("cast_value")
"""The value of a key, by which moto orders keys."""
PAGE_BYTES = quota("dynamodb", "page")
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html"""


class Partition(dict[Any, Any]):
    """The items of one partition by sort key. The keys are sorted when a query first asks for them, then kept so."""

    _in_order: list[Any] | None = None

    @property
    def in_order(self) -> list[Any]:
        if self._in_order is None:
            self._in_order = sorted(self, key=VALUE)
        return self._in_order

    def __setitem__(self, key: Any, item: Any) -> None:
        if self._in_order is not None and key not in self:
            insort(self._in_order, key, key=VALUE)
        super().__setitem__(key, item)

    def pop(self, key: Any, *default: Any) -> Any:
        if self._in_order is not None and key in self:
            del self._in_order[bisect_left(self._in_order, VALUE(key), key=VALUE)]
        return super().pop(key, *default)

    def __deepcopy__(self, _: dict[int, Any]) -> Partition:
        """A partition of the same items: no item is ever changed, a write puts another one in its place."""
        return Partition(self)

    def _bounds(self, comparison: str | None, values: Sequence[Any]) -> tuple[int, int]:
        """The places of the keys that a comparison holds for: from the first, up to before the last."""
        keys = self.in_order
        # The beginnings of the keys are in order too.
        cut = len(values[0]) if comparison == "BEGINS_WITH" else None

        def value(key: Any) -> Any:
            return VALUE(key) if cut is None else VALUE(key)[:cut]

        low = bisect_right if comparison == ">" else bisect_left
        high = bisect_left if comparison == "<" else bisect_right
        first = 0 if comparison in (None, "<", "<=") else low(keys, values[0], key=value)
        last = len(keys) if comparison in (None, ">", ">=") else high(keys, values[-1], key=value)
        return first, last

    def page(
        self, comparison: str | None, values: Sequence[Any], *, after: Any, forward: bool, most: int | None
    ) -> Iterator[Any]:
        """The items that a page may have, in order, and at least one behind it if there is one.

        `after` is the value of the sort key at which the page before ended; None for the first page."""
        keys, (first, last) = self.in_order, self._bounds(comparison, values)
        if after is not None and forward:
            first = max(first, bisect_right(keys, after, key=VALUE))
        elif after is not None:
            last = min(last, bisect_left(keys, after, key=VALUE))
        taken = size = 0
        for at in range(first, last) if forward else range(last - 1, first - 1, -1):
            yield (item := self[keys[at]])
            taken, size = taken + 1, size + item.size()
            if size > PAGE_BYTES or (most is not None and taken > most):
                return


class _Page:
    """A table that has no items but these."""

    def __init__(self, table: Any, found: list[Any]) -> None:
        self._table, self._found = table, found

    def all_items(self) -> list[Any]:
        return list(self._found)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


def keep_items_in_order() -> None:
    """Let a query of a table begin at its page. Queries of an index, and tables without a sort key, stay moto's."""
    table: Any = import_module("moto.dynamodb.models.table").Table
    backend: Any = import_module("moto.dynamodb.models").DynamoDBBackend
    value_of: Any = import_module("moto.dynamodb.models.dynamo_type").DynamoType
    make, query, update = table.__init__, table.query, backend.update_item

    def init(self: Any, *given: Any, **named: Any) -> None:
        make(self, *given, **named)
        if self.range_key_attr:
            self.items = defaultdict(Partition)

    def query_page(
        self: Any,
        hash_key: Any,
        comparison: str | None,
        values: Sequence[Any],
        limit: int | None,
        start: Mapping[str, Any] | None,
        forward: bool,
        projections: Any,
        index_name: str | None = None,
        *more: Any,
        **named: Any,
    ) -> Any:
        view = self
        # A filter of the old form is among the names, and moto fills the page with what passes it.
        if self.range_key_attr and not index_name and named.keys() <= {"hash_key_conditions", "range_key_conditions"}:
            after = VALUE(value_of(start[self.range_key_attr])) if start else None
            partition = self.items.get(hash_key, Partition())
            bounds = [VALUE(one) for one in values]
            found = partition.page(comparison, bounds, after=after, forward=forward, most=limit)
            view = _Page(self, list(found))
        return query(view, hash_key, comparison, values, limit, start, forward, projections, index_name, *more, **named)

    def update_copy(self: Any, table_name: str, key: Mapping[str, Any], *given: Any, **named: Any) -> Any:
        # moto's update changes the item itself.
        of = self.get_table(table_name)
        if of.range_key_attr in key:
            partition, sort = of.items.get(value_of(key[of.hash_key_attr]), {}), value_of(key[of.range_key_attr])
            if sort in partition:
                partition[sort] = copy.deepcopy(partition[sort])
        return update(self, table_name, key, *given, **named)

    replace(table, __init__=init, query=query_page)
    replace(backend, update_item=update_copy)
