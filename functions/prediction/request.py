"""Reads a request and writes its answer, as plain documents or inside HTTP events.

HTTP events are those of function URLs, in version 2.0, and those of the REST API, in version 1.0:
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from millrace.contract import strict_json
from millrace.decisions.road import Refusal
from millrace.errors import RefusedError
from millrace.explanations.attribution import MOST_EXPLAINED
from millrace.settings.prediction import CALL_ID, KEY, ROWS_PER_CALL
from millrace.state.callers import owner_of

CALLER_DIGITS = 16
"""Digits of the digest of caller and id: no id of a request without one, or of a file, has so many before its row."""


@dataclass(frozen=True, kw_only=True)
class KeyedRequest:
    """A request with a key, which belongs to its caller."""

    caller: str
    key: str
    body: str
    """The SHA-256 of the body."""

    @property
    def id(self) -> str:
        """The id of caller and key, 32 hexadecimal digits."""
        return hashlib.sha256(f"{self.caller}\n{self.key}".encode()).hexdigest()[:32]

    @property
    def call_id(self) -> str:
        """The id of caller, key and body, 32 hexadecimal digits: a key is free again after a day, and what it then
        decides takes no earlier decision's place."""
        return hashlib.sha256(f"{self.caller}\n{self.key}\n{self.body}".encode()).hexdigest()[:32]


def is_http(event: Mapping[str, Any]) -> bool:
    return isinstance(event, Mapping) and "requestContext" in event


def subject(event: Mapping[str, Any]) -> str:
    """What it is about, by its path `/<workload>/<subject>`, which requests of the REST API alone have: else empty."""
    path = str(event.get("resource", "")).split("/") if is_http(event) else []
    return path[2] if len(path) > 2 else ""


def part(event: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The object at this path of an event; an empty one where there is none, or something else."""
    for name in path:
        event = found if isinstance(found := event.get(name), Mapping) else {}
    return event


def body(event: Mapping[str, Any]) -> object:
    """The document of the request. Raises RefusedError if an HTTP body is no JSON."""
    # Called directly, the function gets the document itself as its event.
    if not is_http(event):
        return event
    text = event.get("body") or ""
    try:
        content = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text
        return strict_json.parse(content)
    except (*strict_json.UNREADABLE, binascii.Error) as error:
        raise refused("no JSON", "a JSON document", str(error), "body") from error


def read_rows(document: object) -> tuple[Mapping[str, Any], ...]:
    """The rows of `{"rows": [{column: value, …}, …]}`. Raises RefusedError if there are none or too many."""
    rows = document.get("rows") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise refused("no rows", "an object with a list 'rows'", _kind(document), "body")
    if not 1 <= len(rows) <= ROWS_PER_CALL:
        status = 413 if rows else 400
        raise refused("number of rows", f"1 to {ROWS_PER_CALL} rows", f"{len(rows)}", "rows", status)
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise refused("a row is no object", "an object", _kind(row), f"rows[{number}]")
    return tuple(rows)


def wants_explanations(document: object, rows: int, *, declared: bool) -> bool:
    """Whether the answers to so many `rows` are to be explained, by the request's field `explain`.

    Raises RefusedError if that is not possible. `declared` says whether the workload has explanations."""
    wanted = document.get("explain", False) if isinstance(document, dict) else False
    if not isinstance(wanted, bool):
        raise refused("explain", "true or false", _kind(wanted), "explain")
    if wanted and not declared:
        raise refused("no explanations", "a workload that declares explanations", "explain: true", "explain")
    if wanted and rows > MOST_EXPLAINED:
        raise refused("number of explained rows", f"1 to {MOST_EXPLAINED} rows with explain", f"{rows}", "rows", 413)
    return wanted


def call_id(document: object, own: str, caller: str | None) -> str:
    """The request's field `id` with a digest of id and caller: a repetition by him writes the same decisions.

    `own` without the field. So nobody can repeat the decisions of another caller, of a file, or of a request without
    an id. Lambda's own API tells no caller: those who call by it are one. Raises RefusedError for another form."""
    given = document.get("id") if isinstance(document, dict) else None
    if given is None:
        return own
    if not isinstance(given, str) or not CALL_ID.fullmatch(given):
        raise refused("id", "1 to 64 letters, digits, '.', '_' or '-' of ASCII", f"{given!r:.80}", "id")
    digest = hashlib.sha256(f"{owner_of(caller or '')}\n{given}".encode()).hexdigest()
    return f"{given}-{digest[:CALLER_DIGITS]}"


def caller(event: Mapping[str, Any]) -> str | None:
    """The ARN of the identity that signed the request; None for a call by Lambda's own API, which tells no caller."""
    context = part(event, "requestContext") if is_http(event) else {}
    found = part(context, "authorizer", "iam").get("userArn") or part(context, "identity").get("userArn")
    return str(found) if found else None


def check_signed(event: Mapping[str, Any], caller: str | None) -> None:
    """Raise RefusedError for a request over HTTP without a caller.

    API Gateway and the URL let none through. Should one be open by mistake, nobody is answered all the same."""
    if is_http(event) and caller is None:
        raise refused("no caller", "a request signed by an identity of IAM", "none", "signature", 403)


def repeatable(event: Mapping[str, Any], caller: str | None) -> KeyedRequest | None:
    """The request by its header Idempotency-Key; None without the header. Raises RefusedError for another form."""
    headers = part(event, "headers") if is_http(event) else {}
    key = next((value for name, value in headers.items() if name.lower() == "idempotency-key"), None)
    if key is None:
        return None
    if not KEY.fullmatch(key):
        raise refused("idempotency key", "1 to 255 characters of ASCII without spaces", f"{key!r:.80}", "header")
    body = hashlib.sha256(str(event.get("body") or "").encode(errors="surrogatepass")).hexdigest()
    # One key may stand for a request, a job and a drop: no key has a space.
    of = subject(event).removeprefix("predictions")
    return KeyedRequest(caller=owner_of(caller or ""), key=f"{of} {key}", body=body)


def answer(
    event: Mapping[str, Any],
    document: Mapping[str, Any],
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The document as it is, or as an HTTP answer if the request came by HTTP."""
    if not is_http(event):
        return dict(document)
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", **(headers or {})},
        "body": json.dumps(document, separators=(",", ":"), allow_nan=False),
    }


def refuse(event: Mapping[str, Any], refusal: Refusal) -> dict[str, Any]:
    """The answer to a refused request: `error`, `expected`, `came` and `where`, as the serving container has them."""
    document = asdict(refusal)
    after_s = document.pop("retry_after_s")
    later = {} if after_s is None else {"retry-after": str(after_s)}
    return answer(event, document, status=document.pop("status"), headers=later)


def refused(error: str, expected: str, came: str, where: str, status: int = 400, **later: int) -> RefusedError:
    """The error for a call that is refused; `later` is `retry_after_s`."""
    return RefusedError(Refusal(error=error, expected=expected, came=came, where=where, status=status, **later))


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__
