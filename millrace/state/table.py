"""The DynamoDB table `state`: what a workload must remember between executions.

Only the module named beside a key reads or writes its items. pk is the workload, sk is one of

    release           `pointers`
    lease#<name>      `leases`
    slots#<pool>      `slots`
    turn#<table>      `turns`
    drop#<id>         `claims`
    group#<execution> `claims`
    retraining        `retraining`
    cursor#<name>     `cursors`
    refused#<feed>    `refused_share`
    reported#<execution> `reported_failures`
    spend#<yyyy-mm>   `budget`
    automation        `automation`
    promise#<version> `kept_promise`
    floor#<version>   `floor`
    wanted#<start>    `wanted`
    concept#<version> `concept`
    change#<version>  `change`
    climb             `climbing`
    asleep            `asleep`
    held-out          `held_out`
    held-labels#<id>  `held_labels`
    contradicting     `held_labels`
    audit-chain       `audit_lag`
    orphan-notice     `orphan_notice`
    pseudonym         `pseudonyms`
    unanswered#<alarm> `unanswered`
    caller#<digest>   `callers`
    request#<digest>  `answered_requests`
    circuit#endpoint, circuit#challenger
                      the circuit breakers of functions that predict, by powertools

pk is `review#<workload>`, sk is one of

    item#, wait#, done#   `reviews`

pk is `known#<workload>`, sk is one of

    key#<digest>, mark    `known_keys`
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from millrace.errors import ConflictError
from millrace.names import WorkloadNames

DELETE_AFTER = "delete_after"
"""The attribute with the time (seconds since 1970) after which DynamoDB deletes the item, some days late.

The items of `claims`, `callers`, `answered_requests` and `wanted` have it, decisions of `reviews` that no longer wait,
and keys of `known_keys` without rows.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html"""
READ_TRIES, PAUSE_S = 8, 0.05
"""How often the rest of many items is asked for, and the seconds by which the pause before each time grows."""
Attribute = dict[str, Any]
"""One value of DynamoDB with its type: {"S": "a text"}, {"N": "1.5"}, {"SS": ["a", "b"]}."""


class StateTable:
    """The items of one workload. `client` is boto3's DynamoDB client.

    Every read is strongly consistent: it returns what the last write has written. A write with a condition is atomic;
    the protocols of `millrace.state` rest on such writes."""

    def __init__(self, client: Any, names: WorkloadNames, *, partition: str = "") -> None:
        """`partition` is the pk where that is not the workload."""
        self._client, self._table = client, names.platform.state_table
        self.workload = names.workload
        self._partition = partition or names.workload

    def get(self, sort: str) -> dict[str, Attribute]:
        """The item with this sort key. {} without one."""
        answer = self._client.get_item(TableName=self._table, Key=self._key(sort), ConsistentRead=True)
        item: dict[str, Attribute] = answer.get("Item", {})
        return item

    def items(self, prefix: str) -> dict[str, dict[str, Attribute]]:
        """The items whose sort keys begin with `prefix`, in order, by the rest of the sort key."""
        pages = self._client.get_paginator("query").paginate(**self._query(prefix))
        return {item["sk"]["S"].removeprefix(prefix): item for page in pages for item in page["Items"]}

    def in_order(self, prefix: str, *, page: int) -> Iterator[tuple[str, dict[str, Attribute]]]:
        """Sort key and item of all items whose sort keys begin with `prefix`, in order.

        `page` items are read by a call, and none before they are consumed."""
        pages = self._client.get_paginator("query").paginate(**self._query(prefix), PaginationConfig={"PageSize": page})
        return ((item["sk"]["S"], item) for found in pages for item in found["Items"])

    def count(self, prefix: str, *, most: int) -> int:
        """How many sort keys begin with `prefix`; at least `most` if there are so many."""
        found = 0
        for page in self._client.get_paginator("query").paginate(**self._query(prefix), Select="COUNT"):
            found += page["Count"]
            if found >= most:
                break
        return found

    def find(self, sorts: Sequence[str]) -> dict[str, dict[str, Attribute]]:
        """The items that exist of these sort keys, at most 100 of them.

        Raises ClientError if DynamoDB leaves some of them unread READ_TRIES times."""
        # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
        found: dict[str, dict[str, Attribute]] = {}
        keys = [self._key(sort) for sort in dict.fromkeys(sorts)]
        wanted: dict[str, Any] = {self._table: {"Keys": keys, "ConsistentRead": True}} if keys else {}
        for number in range(READ_TRIES):
            if not wanted:
                return found
            # An answer ends at 16 MB, and what a busy partition holds is left unread: botocore repeats neither.
            time.sleep(PAUSE_S * number)
            answer = self._client.batch_get_item(RequestItems=wanted)
            found |= {item["sk"]["S"]: item for item in answer["Responses"].get(self._table, [])}
            wanted = answer.get("UnprocessedKeys", {})
        if not wanted:
            return found
        left = f"{len(wanted[self._table]['Keys'])} of {len(keys)} items were left unread {READ_TRIES} times"
        raise ClientError(
            {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": left}}, "BatchGetItem"
        )

    def put(
        self,
        sort: str,
        item: Mapping[str, Attribute],
        condition: str | None = None,
        values: Mapping[str, Attribute] | None = None,
    ) -> bool:
        """Write the whole item in place of an older one. Returns False, and writes nothing, if the condition fails."""
        guarded: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
        guarded |= {"ExpressionAttributeValues": values} if values else {}
        try:
            self._client.put_item(TableName=self._table, Item=self._key(sort) | dict(item), **guarded)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def put_new(self, items: Mapping[str, Mapping[str, Attribute]]) -> bool:
        """Write all items, given by sort key, in one transaction. At most 100.

        Returns False, and writes nothing, if any of them exists already. Raises ConflictError if another transaction
        writes one of them at the same time.

        https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""
        written = [
            {
                "Put": {
                    "TableName": self._table,
                    "Item": self._key(sort) | dict(item),
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            }
            for sort, item in items.items()
        ]
        try:
            self._client.transact_write_items(TransactItems=written)
        except self._client.exceptions.TransactionCanceledException as error:
            # One reason for each item. "None" means that this item did not cancel the transaction.
            reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
            # A conflict decides nothing, since the other transaction may still fail: it is not "exists already".
            if "TransactionConflict" in reasons:
                raise ConflictError(f"{self._table}: expected to be the only writer of {[*items]}") from None
            if reasons <= {"None", "ConditionalCheckFailed"}:
                return False
            raise
        return True

    def update(
        self,
        sort: str,
        expression: str,
        values: Mapping[str, Attribute],
        *,
        condition: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> bool:
        """Update the item by DynamoDB's update expression. Returns False, and changes nothing, if the condition fails.

        `values` holds the `:value` of both expressions. `attributes` says which attribute a `#name` in them means."""
        named = {"ExpressionAttributeNames": attributes} if attributes else {}
        guarded = {"ConditionExpression": condition} if condition else {}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=self._key(sort),
                UpdateExpression=expression,
                ExpressionAttributeValues=values,
                **named,
                **guarded,
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def delete(
        self,
        sort: str,
        condition: str,
        values: Mapping[str, Attribute] | None = None,
        *,
        attributes: Mapping[str, str] | None = None,
    ) -> bool:
        """Delete the item. Returns False, and deletes nothing, if the condition fails.

        `values` and `attributes` are those of `update`."""
        given: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
        given |= {"ExpressionAttributeNames": attributes} if attributes else {}
        try:
            self._client.delete_item(TableName=self._table, Key=self._key(sort), ConditionExpression=condition, **given)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _query(self, prefix: str) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
            "ExpressionAttributeValues": {":pk": {"S": self._partition}, ":prefix": {"S": prefix}},
            "ConsistentRead": True,
        }

    def _key(self, sort: str) -> dict[str, Attribute]:
        return {"pk": {"S": self._partition}, "sk": {"S": sort}}
