"""The DynamoDB table `state`: what a workload must remember between executions.

Only the module named beside a key reads or writes its items. pk is the workload, sk is one of

    release           `pointers`
    lease#<name>      `holdings`
    slots#<pool>      `holdings`
    turn#<table>      `turns`
    drop#<id>         `claims`
    retraining        `retraining`
    cursor#<name>     `cursors`
    source#<name>     `cursors`
    refused#<feed>    `refused_share`
    reported#<execution> functions/sweep/findings.py
    spend#<yyyy-mm>   `budget`
    automation        `automation`
    promise#<version> `versions`
    floor#<version>   `versions`
    wanted#<start>    `wanted`
    change#<version>  `versions`
    climb             `climbing`
    held-out, pseudonym `own_secrets`
    contradicting#<id> `held_drops`
    audit-chain       functions/sweep/findings.py
    orphan-notice     functions/sweep/findings.py
    erasure#<cause>   `erasures`
    unanswered#<alarm> `unanswered`
    caller#<digest>   `callers`
    circuit#endpoint, circuit#challenger
                      the circuit breakers of functions that predict, by powertools

or, with what may name a person, so that `millrace.erasure` looks through them:

    request#<digest>  functions/prediction/gate.py, by powertools
    group#<execution> `claims`
    held#<id>         `held_drops`

pk is `review#<workload>#00` to `…#03`, sk is one of

    drop#                        `reviews`

or, with what may name a person:

    item#, wait#, done#          `reviews`
    said#, two#                  `answers`

pk is `known#<workload>#00` to `…#0f`, sk is one of

    key#<digest>, mark    `known_keys`
"""

from __future__ import annotations

import hashlib
import heapq
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any

from botocore.exceptions import ClientError

from millrace.errors import ConflictError
from millrace.names import WorkloadNames
from millrace.timestamps import format_utc

DELETE_AFTER = "delete_after"
"""The attribute with the time (seconds since 1970) after which DynamoDB deletes the item, some days late.

The items of `claims`, `callers` and `wanted` have it, contradictions of `held_drops`, answered requests, decisions of
`reviews` that no longer wait, and keys of `known_keys` without rows.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html"""
BATCH = 100
"""The most items that one call reads."""
READ_TRIES, PAUSE_S = 8, 0.05
"""How often the rest of many items is asked for, and the seconds by which the pause before each time grows."""
Attribute = dict[str, Any]
"""One value of DynamoDB with its type: {"S": "a text"}, {"N": "1.5"}, {"SS": ["a", "b"]}."""
Value = str | int | Decimal | bytes | datetime | Sequence[str] | Attribute
"""What `attribute` makes an attribute of."""


def attribute(value: Value) -> Attribute:
    """The attribute with this value: several texts are a set. One that is an attribute already stays as it is."""
    match value:
        case dict():
            return value
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
        case datetime():
            return {"S": format_utc(value)}
        case int() | Decimal():
            return {"N": str(value)}
        case _:
            return {"SS": [*value]}


def delete_after(at: datetime) -> dict[str, Attribute]:
    """The attribute with which an item may be deleted from this time on."""
    return {DELETE_AFTER: attribute(int(at.timestamp()))}


def _attributes(values: Mapping[str, Value]) -> dict[str, Attribute]:
    return {name: attribute(value) for name, value in values.items()}


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How many items of one kind lie in several partitions: DynamoDB writes 1,000 units a second to each.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html"""

    kind: str
    """What their pk begins with: `known` for `known#air_quality#0f`."""
    partitions: int
    """256 at most."""
    name_of: Callable[[str], str] = str
    """The part of a sort key that decides on the partition: items of one name lie together."""


class StateTable:
    """The items of one workload. `client` is boto3's DynamoDB client.

    Every read is strongly consistent: it returns what the last write has written. A write with a condition is atomic;
    the protocols of `millrace.state` rest on such writes."""

    def __init__(self, client: Any, names: WorkloadNames, *, spread: Spread | None = None) -> None:
        """`spread` is of items whose pk is not the workload."""
        self.client, self.name = client, names.platform.state_table
        self.workload, self._spread = names.workload, spread

    def get(self, sort: str) -> dict[str, Attribute]:
        """The item with this sort key. {} without one."""
        answer = self.client.get_item(TableName=self.name, Key=self._key(sort), ConsistentRead=True)
        item: dict[str, Attribute] = answer.get("Item", {})
        return item

    def items(self, prefix: str) -> dict[str, dict[str, Attribute]]:
        """The items whose sort keys begin with `prefix`, in order, by the rest of the sort key."""
        return {sort.removeprefix(prefix): item for sort, item in self.in_order(prefix, page=1000)}

    def in_order(
        self, prefix: str, *, page: int, is_newest_first: bool = False
    ) -> Iterator[tuple[str, dict[str, Attribute]]]:
        """Sort key and item of all items whose sort keys begin with `prefix`, in order, or in the opposite one.

        `page` items of each partition are read by a call, and none before they are consumed."""

        def of(partition: str) -> Iterator[tuple[str, dict[str, Attribute]]]:
            size = {"PageSize": page}
            pages = self._query(partition, prefix, PaginationConfig=size, ScanIndexForward=not is_newest_first)
            return ((item["sk"]["S"], item) for found in pages for item in found["Items"])

        return heapq.merge(*map(of, self._partitions()), key=itemgetter(0), reverse=is_newest_first)

    def count(self, prefix: str, *, most: int, after: Mapping[str, str]) -> int:
        """How many items whose sort keys begin with `prefix` have texts greater than these, by attribute.

        At least `most` if there are so many."""
        given: dict[str, Any] = {
            "Select": "COUNT",
            "FilterExpression": " AND ".join(f"{name} > :{name}" for name in after),
        }
        found: int = 0
        values = {f":{name}": {"S": text} for name, text in after.items()}
        for partition in self._partitions():
            for page in self._query(partition, prefix, values, **given):
                found += page["Count"]
                if found >= most:
                    return found
        return found

    def find(self, prefix: str, names: Iterable[str]) -> dict[str, dict[str, Attribute]]:
        """The items that exist of the sort keys `prefix` and name, by name.

        Raises ClientError if DynamoDB leaves some of them unread READ_TRIES times."""
        keys = [self._key(f"{prefix}{name}") for name in dict.fromkeys(names)]
        batches = [self._read(keys[first : first + BATCH]) for first in range(0, len(keys), BATCH)]
        return {sort.removeprefix(prefix): item for found in batches for sort, item in found.items()}

    def _read(self, keys: list[dict[str, Attribute]]) -> dict[str, dict[str, Attribute]]:
        # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
        found: dict[str, dict[str, Attribute]] = {}
        wanted: dict[str, Any] = {self.name: {"Keys": keys, "ConsistentRead": True}}
        for number in range(READ_TRIES):
            if not wanted:
                return found
            # An answer ends at 16 MB, and what a busy partition holds is left unread: botocore repeats neither.
            time.sleep(PAUSE_S * number)
            answer = self.client.batch_get_item(RequestItems=wanted)
            found |= {item["sk"]["S"]: item for item in answer["Responses"].get(self.name, [])}
            wanted = answer.get("UnprocessedKeys", {})
        if not wanted:
            return found
        left = f"{len(wanted[self.name]['Keys'])} of {len(keys)} items were left unread {READ_TRIES} times"
        raise ClientError(
            {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": left}}, "BatchGetItem"
        )

    def put(self, sort: str, item: Mapping[str, Value], condition: str = "", /, **values: Value) -> bool:
        """Write the whole item in place of an older one. Returns False, and writes nothing, if the condition fails.

        `values` are the `:value` of the condition."""
        written = self._key(sort) | _attributes(item)
        return self._write(self.client.put_item, "", condition, values, Item=written)

    def put_new(self, items: Mapping[str, Mapping[str, Value]]) -> bool:
        """Write all items, given by sort key, in one transaction. At most 100.

        Returns False, and writes nothing, if any of them exists already. Raises ConflictError if another transaction
        writes one of them at the same time.

        https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""
        written = [
            {
                "Put": {
                    "TableName": self.name,
                    "Item": self._key(sort) | _attributes(item),
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            }
            for sort, item in items.items()
        ]
        try:
            self.client.transact_write_items(TransactItems=written)
        except self.client.exceptions.TransactionCanceledException as error:
            # One reason for each item. "None" means that this item did not cancel the transaction.
            reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
            # A conflict decides nothing, since the other transaction may still fail: it is not "exists already".
            if "TransactionConflict" in reasons:
                raise ConflictError(f"{self.name}: expected to be the only writer of {[*items]}") from None
            if reasons <= {"None", "ConditionalCheckFailed"}:
                return False
            raise
        return True

    def update(
        self,
        sort: str,
        expression: str,
        condition: str = "",
        names: Mapping[str, str] | None = None,
        /,
        **values: Value,
    ) -> bool:
        """Update the item by DynamoDB's update expression. Returns False, and changes nothing, if the condition fails.

        `values` are the `:value` of both expressions. A `#name` in them is the attribute `name`, or that of `names`."""
        return self._write(
            self.client.update_item,
            expression,
            condition,
            values,
            names,
            Key=self._key(sort),
            UpdateExpression=expression,
        )

    def delete(self, sort: str, condition: str, /, **values: Value) -> bool:
        """Delete the item. Returns False, and deletes nothing, if the condition fails.

        `values` are those of `update`."""
        return self._write(self.client.delete_item, "", condition, values, Key=self._key(sort))

    def _write(
        self,
        call: Callable[..., object],
        expression: str,
        condition: str,
        values: Mapping[str, Value],
        names: Mapping[str, str] | None = None,
        **given: Any,
    ) -> bool:
        meant = {f"#{name}": name for name in re.findall(r"#(\w+)", f"{expression} {condition}")} | dict(names or {})
        if condition:
            given["ConditionExpression"] = condition
        if values:
            given["ExpressionAttributeValues"] = {f":{name}": attribute(value) for name, value in values.items()}
        if meant:
            given["ExpressionAttributeNames"] = meant
        try:
            call(TableName=self.name, **given)
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _query(
        self, partition: str, prefix: str, values: Mapping[str, Attribute] | None = None, **given: Any
    ) -> Iterator[dict[str, Any]]:
        """The pages of a query of one partition."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": partition}, ":prefix": {"S": prefix}, **(values or {})},
            ConsistentRead=True,
            **given,
        )
        return iter(pages)

    def _key(self, sort: str) -> dict[str, Attribute]:
        return {"pk": {"S": self._partition_of(sort)}, "sk": {"S": sort}}

    def _partition_of(self, sort: str) -> str:
        if self._spread is None:
            return self.workload
        digest = hashlib.sha256(self._spread.name_of(sort).encode()).digest()
        return self._partitions()[digest[0] % self._spread.partitions]

    def _partitions(self) -> Sequence[str]:
        if self._spread is None:
            return [self.workload]
        return [f"{self._spread.kind}#{self.workload}#{number:02x}" for number in range(self._spread.partitions)]
