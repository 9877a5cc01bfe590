"""The condition keys whose values a call's own parameters give, by service."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from localcloud.iam.required_permissions.permission import ParsedCall
from localcloud.kernel.cloud import moto_backend


def context(parsed: ParsedCall) -> dict[str, tuple[str, ...]]:
    """The values of the condition keys that the parameters give, for the services we use.

    Keys are in lower case: `{"aws:requesttag/team": ("a",), "aws:tagkeys": ("team",), "s3:prefix": ("x/",)}`."""
    tags = parsed.get("Tags") or []
    pairs = tags.items() if isinstance(tags, dict) else [_tag(tag) for tag in tags if isinstance(tag, dict)]
    values: dict[str, tuple[str, ...]] = {f"aws:requesttag/{key}".lower(): (str(value),) for key, value in pairs}
    values["aws:tagkeys"] = tuple(str(key) for key, _ in pairs)
    encryption = parsed.get("EncryptionContext") or {}
    values |= {f"kms:encryptioncontext:{key}".lower(): (str(value),) for key, value in encryption.items()}
    for key, read in _KEYS.get(parsed.call.service, {}).items():
        found = read(parsed)
        listed = found if isinstance(found, list) else [] if found is None else [found]
        values[key] = tuple(str(one).lower() if isinstance(one, bool) else str(one) for one in listed)
    return values


def _tag(tag: Mapping[str, Any]) -> tuple[Any, Any]:
    lowered = {key.lower(): value for key, value in tag.items()}
    return lowered.get("key", lowered.get("tagkey")), lowered.get("value", lowered.get("tagvalue"))


def _inner(*paths: str) -> Callable[[ParsedCall], Any]:
    """A function that reads nested parameters, through lists too.

    `_inner("Entries.Source")` gives `["a", "b"]` for `{"Entries": [{"Source": "a"}, {"Source": "b"}]}`."""
    return lambda parsed: [value for path in paths for value in _values(parsed.parameters, path)]


def _values(parameters: Mapping[str, Any], path: str) -> list[Any]:
    values: list[Any] = [parameters]
    # Each step goes from all values to all their members of that name.
    for name in path.split("."):
        values = [value[name] for value in values if isinstance(value, Mapping) and name in value]
        values = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return values


_KEYS: Mapping[str, Mapping[str, Callable[[ParsedCall], Any]]] = {
    "s3": {
        "s3:prefix": lambda parsed: parsed.parameters.get("Prefix", "") if "List" in parsed.call.operation else None,
        "s3:if-none-match": _inner("IfNoneMatch"),
        "s3:x-amz-acl": _inner("ACL"),
    },
    "dynamodb": {
        "dynamodb:leadingkeys": lambda parsed: _leading_keys(parsed),
        "dynamodb:attributes": lambda parsed: _attributes(parsed),
    },
    "iam": {"iam:awsservicename": _inner("AWSServiceName")},
    "cloudwatch": {"cloudwatch:namespace": _inner("Namespace")},
    "lambda": {"lambda:functionarn": lambda parsed: _mapped_function(parsed)},
    "events": {
        "events:source": _inner("Entries.Source"),
        "events:detail-type": _inner("Entries.DetailType"),
    },
    "sagemaker": {"sagemaker:modelapprovalstatus": _inner("ModelApprovalStatus")},
}
"""Condition keys by service, and how each is read from the call. A key that is not here is not decided."""


def _mapped_function(parsed: ParsedCall) -> str | None:
    """The ARN of the function of an event source mapping. The call names only the mapping."""
    mapping = moto_backend("lambda")._event_source_mappings.get(parsed.get("UUID") or "")
    return str(mapping.function_arn) if mapping else None


def _leading_keys(parsed: ParsedCall) -> list[str]:
    """The partition keys that the request names: those of its items, and in the condition of a query."""
    # A query has its keys in text, `pk = :pk AND begins_with(sk, :p)`: each value that is compared by `=` counts.
    found = [_first_value(item, table) for table, item in _items(parsed.parameters)]
    values = parsed.parameters.get("ExpressionAttributeValues") or {}
    condition = str(parsed.parameters.get("KeyConditionExpression") or "")
    # Not by `>=` or `<=`, which bound the sort key.
    compared = set(re.findall(r"(?<![<>])=\s*(:\w+)", condition))
    found += [next(iter(value.values())) for name, value in values.items() if name in compared]
    return [str(one) for one in found if one is not None]


def _attributes(parsed: ParsedCall) -> list[str]:
    """The names of the attributes that the request names: of its items, and in its expressions.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html"""
    found = {name for _, item in _items(parsed.parameters) for name in item}
    named = parsed.get("ExpressionAttributeNames") or {}
    for expression in (value for key, value in parsed.parameters.items() if key.endswith("Expression")):
        words = re.findall(r"(?<![:#.\w])#?[A-Za-z_]\w*(?![\w(])", str(expression))
        found |= {named.get(word, word) for word in words if word.upper() not in _WORDS}
    return sorted(found)


_WORDS = {"ADD", "AND", "BETWEEN", "DELETE", "IN", "NOT", "OR", "REMOVE", "SET"}


def _items(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The name of the table and the key or item of each item of the request: of a batch and a transaction too."""
    for key in ("Key", "Item"):
        if isinstance(parameters.get(key), Mapping):
            yield parameters.get("TableName", ""), parameters[key]
    for one in parameters.get("TransactItems") or []:
        for given in one.values():
            yield from _items(given)
    for table, given in (parameters.get("RequestItems") or {}).items():
        keys = given["Keys"] if isinstance(given, Mapping) else []
        writes = [] if isinstance(given, Mapping) else [write for one in given for write in one.values()]
        yield from ((table, key) for key in keys)
        yield from (part for write in writes for part in _items({"TableName": table, **write}))


def _first_value(item: Mapping[str, Any], name: str) -> Any:
    """The value of the partition key of an item of this table: `a` for `{"pk": {"S": "a"}}`, or None."""
    table = moto_backend("dynamodb").tables.get(name)
    value = item.get(table.hash_key_attr) if table else None
    return next(iter(value.values())) if isinstance(value, Mapping) else None


KEYS = frozenset(key for keys in _KEYS.values() for key in keys)
"""The condition keys of services that are decided by the parameters of a call."""
