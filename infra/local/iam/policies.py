"""Decides IAM policy documents: which statements a request meets, conditions included.

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
"""Beginnings of condition keys whose rest the customer chooses (`aws:requesttag/team`); without a value one is absent,
not undecided."""


class UndecidedError(Exception):
    """A policy uses what is not decided here; the message names the key, operator or element."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One permission that a call needs."""

    action: str
    """`s3:GetObject`"""
    resources: tuple[str, ...]
    """Names of the one resource, any of which a policy may use (`log-group:x` and `log-group:x:*`)."""
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Condition keys in lower case with their values; a key that a request lacks is absent, or maps to `()`."""
    principal: tuple[str, ...] = ()
    """The ARNs of the caller: its role and its session; or a service's name."""


@lru_cache(maxsize=2048)
def statements(document: str) -> tuple[dict[str, Any], ...]:
    """The statements of a policy's text."""
    found = json.loads(document).get("Statement", [])
    return tuple(found if isinstance(found, list) else [found])


def verdict(documents: Iterable[str], request: Request, *, with_principal: bool = False) -> str | None:
    """`Deny`, `Allow`, or None where no statement speaks of the request; a Deny in any document wins.

    A Deny that cannot be decided counts as Deny; an Allow that cannot be decided does not count."""
    found = None
    for document in documents:
        for statement in statements(document):
            effect = statement["Effect"]
            # When in doubt it is refused: a key that is not known here must not let a call pass that AWS would stop.
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
    """What stood in the way of a decision, for the message of a refusal."""
    reasons = []
    for document in documents:
        for statement in statements(document):
            try:
                _meets(statement, request, False)
            except UndecidedError as reason:
                reasons.append(str(reason))
    return reasons


def _meets(statement: Mapping[str, Any], request: Request, with_principal: bool) -> bool:
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

    The account as principal names no role of it: it leaves the decision to the roles' own policies. `why_not` asks
    for that apart, with the account in the place of the caller."""
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
    patterns = _listed(statement[positive] if positive in statement else statement[negative])
    filled = [_fill(pattern, context) for pattern in patterns] if context is not None else patterns
    hit = any(_like(pattern, name, ignore_case) for pattern in filled for name in wanted)
    return hit if positive in statement else not hit


def _fill(pattern: str, context: Mapping[str, tuple[str, ...]]) -> str:
    """Policy variables (`${aws:PrincipalAccount}`) replaced; one without a value matches nothing.

    `${*}`, `${?}` and `${$}` are these characters themselves: they stay, `_pattern` and `_equal_text` know them."""

    def value(match: re.Match[str]) -> str:
        key = match[1].lower()
        if key in {"*", "?", "$"}:
            return match[0]
        if key not in context:
            raise UndecidedError(f"policy variable {match[1]}")
        return context[key][0] if context[key] else "\0"

    return re.sub(r"\$\{([^}]+)\}", value, pattern)


@lru_cache(maxsize=8192)
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\$\{[*?$]\}|[*?])", pattern)
    escaped = "".join({"*": ".*", "?": "."}.get(part) or re.escape(_unquoted(part)) for part in parts)
    return re.compile(escaped, re.DOTALL)


def _unquoted(text: str) -> str:
    """`a*` of `a${*}`."""
    return re.sub(r"\$\{([*?$])\}", r"\1", text)


def _like(pattern: str, text: str, ignore_case: bool = False) -> bool:
    if ignore_case:
        pattern, text = pattern.lower(), text.lower()
    return _pattern(pattern).fullmatch(text) is not None


def _listed(value: Any) -> list[str]:
    return [_word(item) for item in (value if isinstance(value, list) else [value])]


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _holds(operator: str, key: str, values: Any, context: Mapping[str, tuple[str, ...]]) -> bool:
    """One key of one operator: any of the policy's values may match, none may where the operator is negated."""
    every, name = _set_operator(operator)
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
    # AWS's table for a key without a value: `…IfExists`, the negated operators and ForAllValues hold, all others do
    # not.
    if not actual:
        return optional or negated or every == "ForAllValues"
    wanted = [_fill(value, context) for value in wanted]
    matches = [any(test(value, one) for one in wanted) != negated for value in actual]
    return all(matches) if every == "ForAllValues" else any(matches)


def _set_operator(operator: str) -> tuple[str, str]:
    every, found, name = operator.partition(":")
    return (every, name) if found else ("", operator)


def _number(test: Any) -> Any:
    return lambda actual, wanted: test(float(actual), float(wanted))


def _date(test: Any) -> Any:
    return lambda actual, wanted: test(_moment(actual), _moment(wanted))


def _moment(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _arn_like(actual: str, wanted: str) -> bool:
    """Part by part: a wildcard does not reach over a colon, but in the last part."""
    # 5: the sixth part, the resource, may have colons of its own (`function:name:alias`).
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
"""Condition operators: whether negated, and the test of (request's value, policy's value). `Null` is apart."""


def text_of(document: Any) -> str:
    """A policy as text, whatever moto keeps it as."""
    if isinstance(document, bytes):
        return document.decode()
    return document if isinstance(document, str) else json.dumps(document)
