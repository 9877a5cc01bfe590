"""Decides IAM policy documents: finds the statements that a request meets, conditions included.

A statement says Allow or Deny. Where this module cannot decide a condition, it decides against the call: such an Allow
does not count, such a Deny does.

Sources: IAM User Guide, "Policy evaluation logic", "IAM JSON policy elements: Condition operators",
"Creating a condition with multiple keys or values". moto 5.2.5 ignores conditions, NotResource and principals.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

FAMILIES = ("aws:requesttag/", "aws:resourcetag/", "aws:principaltag/", "kms:encryptioncontext:")
"""The beginnings of condition keys whose rest the customer chooses, such as `aws:requesttag/team`.

If a request has no value for such a key, the key is absent, not undecided."""


class UndecidedError(Exception):
    """A policy uses something that is not decided here. The message names the key, the operator or the element."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One permission that a call needs."""

    action: str
    """The action, such as `s3:GetObject`."""
    resources: tuple[str, ...]
    """The names of the one resource. A policy may use any of them (`log-group:x`, `log-group:x:*`)."""
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The condition keys in lower case, with their values: `{"s3:prefix": ("x/",), "aws:sourcearn": ()}`.

    `()` means that the request has no value. A key that is not here at all is not decided (see FAMILIES)."""
    principal: tuple[str, ...] = ()
    """The ARNs of the caller's role and of its session, or the name of a service."""


@lru_cache(maxsize=2048)
def statements(document: str) -> tuple[dict[str, Any], ...]:
    """The statements of a policy's text."""
    found = json.loads(document).get("Statement", [])
    return tuple(found if isinstance(found, list) else [found])


def verdict(documents: Iterable[str], request: Request, *, with_principal: bool = False) -> str | None:
    """`Deny`, `Allow`, or None if no statement speaks of the request. A Deny in any document wins.

    A Deny that cannot be decided counts as Deny; an Allow that cannot be decided does not count. `with_principal` is
    for policies of resources, whose statements name the caller."""
    found = None
    for document in documents:
        for statement in statements(document):
            effect = statement["Effect"]
            # When in doubt the call is refused: a key that is unknown here must let no call pass that AWS would stop.
            try:
                met = _meets(statement, request, with_principal)
            except UndecidedError:
                met = effect == "Deny"
            if met and effect == "Deny":
                return "Deny"
            if met:
                found = "Allow"
    return found


def undecided(documents: Iterable[str], request: Request) -> list[str]:
    """The keys, operators and elements that could not be decided, for the message of a refusal."""
    reasons = []
    for document in documents:
        for statement in statements(document):
            try:
                _meets(statement, request, False)
            except UndecidedError as reason:
                reasons.append(str(reason))
    return reasons


def _meets(statement: Mapping[str, Any], request: Request, with_principal: bool) -> bool:
    """Whether the statement speaks of the request, whatever its effect. Raises UndecidedError."""
    # In this order: only a statement about the request's action and resource can be undecided by its conditions.
    if with_principal and not _names(statement, request.principal):
        return False
    if not _has(statement, "Action", "NotAction", (request.action,), ignore_case=True):
        return False
    if ("Resource" in statement or "NotResource" in statement) and not _has(
        statement, "Resource", "NotResource", request.resources, context=request.context
    ):
        return False
    return all(
        _holds(operator, key, values, request.context)
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def _names(statement: Mapping[str, Any], principal: tuple[str, ...]) -> bool:
    """Whether the statement's principal is the caller.

    The account as principal does not name its roles: it leaves the decision to their own policies. `decision.why_not`
    asks for that in a second request, with the account in the place of the caller."""
    if "NotPrincipal" in statement:
        raise UndecidedError("NotPrincipal")
    named = statement.get("Principal", {})
    if named == "*":
        return True
    values = [value for kind in named.values() for value in _listed(kind)]
    return any(value == "*" or value in principal for value in values)


def _has(
    statement: Mapping[str, Any],
    positive: str,
    negative: str,
    wanted: tuple[str, ...],
    *,
    ignore_case: bool = False,
    context: Mapping[str, tuple[str, ...]] | None = None,
) -> bool:
    """Whether one of the names in `wanted` matches the element `positive`, or none of them the element `negative`."""
    patterns = _listed(statement[positive] if positive in statement else statement[negative])
    filled = [_fill(pattern, context) for pattern in patterns] if context is not None else patterns
    hit = any(_like(pattern, name, ignore_case) for pattern in filled for name in wanted)
    return hit if positive in statement else not hit


def _fill(pattern: str, context: Mapping[str, tuple[str, ...]]) -> str:
    """The pattern with its policy variables (`${aws:PrincipalAccount}`) replaced.

    `${*}`, `${?}` and `${$}` stand for these characters themselves. They stay: `_pattern` and `_equal_text` read them.

    Raises UndecidedError for an unknown variable."""

    def value(match: re.Match[str]) -> str:
        key = match[1].lower()
        if key in {"*", "?", "$"}:
            return match[0]
        if key not in context:
            raise UndecidedError(f"policy variable {match[1]}")
        # A variable without a value must match nothing: no name has the character 0.
        return context[key][0] if context[key] else "\0"

    return re.sub(r"\$\{([^}]+)\}", value, pattern)


@lru_cache(maxsize=8192)
def _pattern(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression: `a*${*}` becomes `a.*\\*`."""
    # The group keeps what it splits at: `a*${*}` gives "a", "*", "", "${*}", "".
    parts = re.split(r"(\$\{[*?$]\}|[*?])", pattern)
    escaped = "".join({"*": ".*", "?": "."}.get(part) or re.escape(_unquoted(part)) for part in parts)
    return re.compile(escaped, re.DOTALL)


def _unquoted(text: str) -> str:
    """The text with its quoted characters plain: `a${*}` becomes `a*`."""
    return re.sub(r"\$\{([*?$])\}", r"\1", text)


def _like(pattern: str, text: str, ignore_case: bool = False) -> bool:
    if ignore_case:
        pattern, text = pattern.lower(), text.lower()
    return _pattern(pattern).fullmatch(text) is not None


def _listed(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in items]


def _holds(operator: str, key: str, values: Any, context: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether one key of one operator holds, such as `{"StringLike": {"s3:prefix": ["a/*", "b/*"]}}`.

    Any of the policy's values may match. For a negated operator (`StringNotLike`) none of them may match. Raises
    UndecidedError for an unknown key or operator."""
    # `ForAllValues:StringLike` is ("ForAllValues", "StringLike"), `StringLike` is ("", "StringLike").
    every, _, name = operator.rpartition(":")
    wanted = _listed(values)
    if key.lower() not in context and not key.lower().startswith(FAMILIES):
        raise UndecidedError(f"condition key {key}")
    actual = context.get(key.lower(), ())
    if name == "Null":
        return (not actual) == (wanted[0].lower() == "true")
    optional = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name not in OPERATORS:
        raise UndecidedError(f"condition operator {operator}")
    negated, test = OPERATORS[name]
    # The request has no value for the key. Then, by AWS's table, `…IfExists`, the negated operators and ForAllValues
    # hold, and all others do not.
    if not actual:
        return optional or negated or every == "ForAllValues"
    wanted = [_fill(value, context) for value in wanted]
    matches = [any(test(value, one) for one in wanted) != negated for value in actual]
    return all(matches) if every == "ForAllValues" else any(matches)


def _number(test: Any) -> Any:
    return lambda actual, wanted: test(float(actual), float(wanted))


def _date(test: Any) -> Any:
    return lambda actual, wanted: test(_moment(actual), _moment(wanted))


def _moment(text: str) -> float:
    """Seconds since the epoch: a policy gives a time as such a number, or in ISO 8601."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _arn_like(actual: str, wanted: str) -> bool:
    """Whether two ARNs match part by part. A wildcard does not reach over a colon, except in the last part."""
    # 5 splits: the sixth part, the resource, may have colons of its own (`function:name:alias`).
    theirs, ours = actual.split(":", 5), wanted.split(":", 5)
    return len(theirs) == len(ours) and all(map(_like, ours, theirs))


def _equal(actual: Any, wanted: Any) -> bool:
    return bool(actual == wanted)


def _equal_text(actual: str, wanted: str) -> bool:
    return actual == _unquoted(wanted)


def _equal_but_for_case(actual: str, wanted: str) -> bool:
    return actual.lower() == _unquoted(wanted).lower()


OPERATORS: Mapping[str, tuple[bool, Any]] = {
    "StringEquals": (False, _equal_text),
    "StringNotEquals": (True, _equal_text),
    "StringEqualsIgnoreCase": (False, _equal_but_for_case),
    "StringNotEqualsIgnoreCase": (True, _equal_but_for_case),
    "StringLike": (False, lambda actual, wanted: _like(wanted, actual)),
    "StringNotLike": (True, lambda actual, wanted: _like(wanted, actual)),
    "ArnEquals": (False, _arn_like),
    "ArnLike": (False, _arn_like),
    "ArnNotEquals": (True, _arn_like),
    "ArnNotLike": (True, _arn_like),
    "Bool": (False, lambda actual, wanted: actual.lower() == wanted.lower()),
    "NumericEquals": (False, _number(_equal)),
    "NumericNotEquals": (True, _number(_equal)),
    "NumericLessThan": (False, _number(lambda actual, wanted: actual < wanted)),
    "NumericLessThanEquals": (False, _number(lambda actual, wanted: actual <= wanted)),
    "NumericGreaterThan": (False, _number(lambda actual, wanted: actual > wanted)),
    "NumericGreaterThanEquals": (False, _number(lambda actual, wanted: actual >= wanted)),
    "DateEquals": (False, _date(_equal)),
    "DateLessThan": (False, _date(lambda actual, wanted: actual < wanted)),
    "DateGreaterThan": (False, _date(lambda actual, wanted: actual > wanted)),
    "IpAddress": (False, lambda actual, wanted: ipaddress.ip_address(actual) in ipaddress.ip_network(wanted)),
    "NotIpAddress": (True, lambda actual, wanted: ipaddress.ip_address(actual) in ipaddress.ip_network(wanted)),
}
"""Condition operators: whether it is negated, and the test of (request's value, policy's value).

`_holds` decides the operator `Null` itself."""


def text_of(document: Any) -> str:
    """A policy as JSON text. moto keeps policies as bytes, as texts or as documents."""
    if isinstance(document, bytes):
        return document.decode()
    return document if isinstance(document, str) else json.dumps(document)
