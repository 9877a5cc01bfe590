"""The table `state`: the only module that knows its keys. Time is always an argument.

pk is the workload; sk is one of
release            champion, previous, revision
lease#<name>       holder, as_of, expires_at
slots#<machine>    holders
retraining         last_run, last_started_at, labels_total, counted_month, runs_this_month
cursor#<name>      window_end
spend#<yyyy-mm>    usd, runs
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

from millrace.errors import ConflictError
from millrace.timestamps import moment, month, stamp

Attribute = dict[str, Any]
"""One DynamoDB value with its type, for example {"S": "…"}."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """A model version that is, was or is about to be live."""

    package_arn: str
    version: str
    """Number of the package in its group."""
    model_name: str
    run: str
    """Name of the train execution that made it."""
    baseline_uri: str
    """The monitors' baseline, made of the rows that this version was trained on."""
    model_data_url: str = ""


@dataclass(frozen=True, kw_only=True)
class Pointers:
    """Who is live. A write names the revision that it read and loses if another came first."""

    champion: Version | None = None
    previous: Version | None = None
    revision: int = 0


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to do one thing at a time."""

    holder: str
    """ARN of an execution."""
    as_of: datetime
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class LastRetraining:
    """What the guard has to know of the retraining before."""

    run: str | None = None
    """ARN of the retrain execution."""
    started_at: datetime | None = None
    labels_total: int = 0
    """Labels in the table when it started."""
    counted_month: str = ""
    runs_in_month: int = 0

    def runs_in(self, wanted: str) -> int:
        """Accepted retrainings in the month `wanted` (yyyy-mm); only the last month is remembered."""
        return self.runs_in_month if wanted == self.counted_month else 0


@dataclass(frozen=True, kw_only=True)
class Spend:
    """What one month's runs have reserved."""

    usd: Decimal
    runs: tuple[str, ...]
    """ARNs of the executions."""


class State:
    """One workload's items. `client` is boto3's DynamoDB client; every read is strongly consistent."""

    def __init__(self, client: Any, *, table: str, workload: str) -> None:
        self._client, self._table, self._workload = client, table, workload

    def pointers(self) -> Pointers:
        """The release pointers; all None and revision 0 before the first release."""
        item = self._get("release")
        return Pointers(
            champion=_version(item.get("champion")),
            previous=_version(item.get("previous")),
            revision=int(item.get("revision", {"N": "0"})["N"]),
        )

    def champion(self) -> Version | None:
        """The live version, None before the first release."""
        return self.pointers().champion

    def move(self, pointers: Pointers) -> Pointers:
        """The pointers as written, one revision later; `pointers.revision` is the revision that was read.

        Raises ConflictError when somebody else moved them since."""
        item: dict[str, Attribute] = {"revision": {"N": str(pointers.revision + 1)}}
        for role, version in (("champion", pointers.champion), ("previous", pointers.previous)):
            if version:
                item[role] = {"M": _attributes(version)}
        if not self._put(
            "release",
            item,
            "attribute_not_exists(pk) OR revision = :revision" if pointers.revision == 0 else "revision = :revision",
            {":revision": {"N": str(pointers.revision)}},
        ):
            raise ConflictError(
                f"{self._workload}: release pointers: expected revision {pointers.revision}, it has moved"
            )
        return replace(pointers, revision=pointers.revision + 1)

    def take_lease(self, name: str, *, holder: str, as_of: datetime, expires_at: datetime) -> bool:
        """Whether `holder` has the lease now: it was free, expired at `as_of`, or the holder's already."""
        return self._put(
            f"lease#{name}",
            {"holder": {"S": holder}, "as_of": {"S": stamp(as_of)}, "expires_at": {"S": stamp(expires_at)}},
            "attribute_not_exists(pk) OR holder = :holder OR expires_at <= :now",
            {":holder": {"S": holder}, ":now": {"S": stamp(as_of)}},
        )

    def lease(self, name: str) -> Lease | None:
        """The lease as it stands, expired or not; None when free."""
        item = self._get(f"lease#{name}")
        if not item:
            return None
        return Lease(
            holder=item["holder"]["S"], as_of=moment(item["as_of"]["S"]), expires_at=moment(item["expires_at"]["S"])
        )

    def take_slot(self, machine: str, *, holder: str, limit: int) -> bool:
        """Whether `holder` has one of the machine's `limit` slots; asking twice takes one."""
        return self._update(
            f"slots#{machine}",
            "ADD holders :holder",
            {":holder": {"SS": [holder]}},
            condition="attribute_not_exists(holders) OR size(holders) < :limit OR contains(holders, :name)",
            condition_values={":limit": {"N": str(limit)}, ":name": {"S": holder}},
        )

    def free(self, holder: str) -> list[str]:
        """What the holder had: the sort keys of its leases and slots, all free now."""
        freed = []
        for item in self._items():
            key = item["sk"]["S"]
            if key.startswith("lease#") and item["holder"]["S"] == holder:
                freed += [key] if self._free_lease(key, holder) else []
            elif key.startswith("slots#") and holder in item.get("holders", {"SS": []})["SS"]:
                self._update(key, "DELETE holders :holder", {":holder": {"SS": [holder]}})
                freed.append(key)
        return freed

    def retraining(self) -> LastRetraining:
        item = self._get("retraining")
        if not item:
            return LastRetraining()
        return LastRetraining(
            run=item["last_run"]["S"],
            started_at=moment(item["last_started_at"]["S"]),
            labels_total=int(item["labels_total"]["N"]),
            counted_month=item["counted_month"]["S"],
            runs_in_month=int(item["runs_this_month"]["N"]),
        )

    def record_retraining(self, *, run: str, as_of: datetime, labels_total: int) -> None:
        """Count an accepted retraining once; only the holder of the lease `retrain` may call it."""
        before = self.retraining()
        if before.run == run:
            return
        self._put(
            "retraining",
            {
                "last_run": {"S": run},
                "last_started_at": {"S": stamp(as_of)},
                "labels_total": {"N": str(labels_total)},
                "counted_month": {"S": month(as_of)},
                "runs_this_month": {"N": str(before.runs_in(month(as_of)) + 1)},
            },
        )

    def cursor(self, name: str) -> datetime | None:
        """How far `name` has come in event time; None before its first window."""
        item = self._get(f"cursor#{name}")
        return moment(item["window_end"]["S"]) if item else None

    def advance_cursor(self, name: str, *, window_end: datetime) -> bool:
        """Whether the cursor moved; it never goes back."""
        return self._put(
            f"cursor#{name}",
            {"window_end": {"S": stamp(window_end)}},
            "attribute_not_exists(pk) OR window_end < :end",
            {":end": {"S": stamp(window_end)}},
        )

    def spent_usd(self, as_of: datetime) -> Decimal:
        """What is reserved in the month of `as_of`, in US dollars."""
        return Decimal(self._get(f"spend#{month(as_of)}").get("usd", {"N": "0"})["N"])

    def spends(self) -> dict[str, Spend]:
        """What is reserved by month (yyyy-mm), the oldest first."""
        found = {item["sk"]["S"].partition("#")[2]: item for item in self._items() if item["sk"]["S"][:6] == "spend#"}
        return {
            name: Spend(usd=Decimal(item["usd"]["N"]), runs=tuple(sorted(item["runs"]["SS"])))
            for name, item in sorted(found.items())
        }

    def reserve_usd(self, usd: float, *, run: str, as_of: datetime, monthly_usd: float) -> bool:
        """Whether `usd` fits the month's budget and is now reserved; one run reserves once, however often it asks."""
        cost = Decimal(str(usd)).quantize(Decimal("0.01"), ROUND_CEILING)
        room = Decimal(str(monthly_usd)) - cost
        if room >= 0 and self._update(
            f"spend#{month(as_of)}",
            "ADD usd :usd, runs :runs",
            {":usd": {"N": str(cost)}, ":runs": {"SS": [run]}},
            condition="(attribute_not_exists(usd) OR usd <= :room)"
            " AND (attribute_not_exists(runs) OR NOT contains(runs, :run))",
            condition_values={":room": {"N": str(room)}, ":run": {"S": run}},
        ):
            return True
        return run in self._get(f"spend#{month(as_of)}").get("runs", {"SS": []})["SS"]

    def _key(self, sort: str) -> dict[str, Attribute]:
        return {"pk": {"S": self._workload}, "sk": {"S": sort}}

    def _get(self, sort: str) -> dict[str, Attribute]:
        answer = self._client.get_item(TableName=self._table, Key=self._key(sort), ConsistentRead=True)
        item: dict[str, Attribute] = answer.get("Item", {})
        return item

    def _items(self) -> list[dict[str, Attribute]]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": self._workload}},
            ConsistentRead=True,
        )
        return [item for page in pages for item in page["Items"]]

    def _put(
        self,
        sort: str,
        item: Mapping[str, Attribute],
        condition: str | None = None,
        values: Mapping[str, Attribute] | None = None,
    ) -> bool:
        """Whether the condition held and the whole item was written."""
        guarded = {"ConditionExpression": condition, "ExpressionAttributeValues": values} if condition else {}
        try:
            self._client.put_item(TableName=self._table, Item=self._key(sort) | dict(item), **guarded)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _update(
        self,
        sort: str,
        expression: str,
        values: Mapping[str, Attribute],
        *,
        condition: str | None = None,
        condition_values: Mapping[str, Attribute] | None = None,
    ) -> bool:
        """Whether the condition held and the update was made."""
        guarded = {"ConditionExpression": condition} if condition else {}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=self._key(sort),
                UpdateExpression=expression,
                ExpressionAttributeValues=dict(values) | dict(condition_values or {}),
                **guarded,
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _free_lease(self, key: str, holder: str) -> bool:
        """Whether it was still the holder's: an expired lease may have passed on since it was read."""
        try:
            self._client.delete_item(
                TableName=self._table,
                Key=self._key(key),
                ConditionExpression="holder = :holder",
                ExpressionAttributeValues={":holder": {"S": holder}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _version(attribute: Attribute | None) -> Version | None:
    if attribute is None:
        return None
    known = {field.name for field in fields(Version)}
    return Version(**{name: value["S"] for name, value in attribute["M"].items() if name in known})


def _attributes(version: Version) -> dict[str, Attribute]:
    return {name: {"S": value} for name, value in asdict(version).items()}
