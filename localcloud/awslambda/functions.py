"""The operation Invoke: synchronous, asynchronous and dry runs, with AWS's answer, log tail and error.

Every call of a function (by Invoke, Step Functions, SNS, SQS, EventBridge, S3) ends in moto's `LambdaFunction.invoke`.
So this method is replaced."""

from __future__ import annotations

import base64
import json
import logging
import uuid
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from types import SimpleNamespace
from typing import Any, cast

from moto.core.config import default_user_config

from localcloud.awslambda.payload_limits import limited, why_too_large
from localcloud.awslambda.pools import Functions, Outcome
from localcloud.awslambda.workers import KeyRefusedError
from localcloud.events import targets
from localcloud.iam import role_calls
from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.dispatcher import dispatcher
from localcloud.kernel.patching import replace, replace_entries

# Asynchronous invocations: answered at once, tried three times, then handed to the function's dead-letter queue.

LOG = logging.getLogger(__name__)
PRINCIPAL = "lambda.amazonaws.com"
RETRY_WAITS_S = (1.0, 2.0)
"""Real seconds before the second and the third attempt. AWS waits one and two minutes."""


def send(cloud: Cloud, function: Any, payload: bytes, request_id: str, *, attempt: int = 1) -> None:
    """Queue the event and return. `attempt` counts from 1."""
    wait_s = RETRY_WAITS_S[attempt - 2] if attempt > 1 else 0.0
    dispatcher(cloud).submit(
        f"invocation of {function.function_name}",
        lambda: _attempt(cloud, function, payload, request_id, attempt),
        after_s=wait_s,
    )


def _attempt(cloud: Cloud, function: Any, payload: bytes, request_id: str, attempt: int) -> None:
    # A thread of the dispatcher runs this.
    functions: Functions = cloud.parts[Functions]
    outcome = functions.invoke(function, payload, request_id)
    if not outcome.error:
        return
    if attempt <= len(RETRY_WAITS_S):
        send(cloud, function, payload, request_id, attempt=attempt + 1)
    else:
        _to_dead_letters(cloud, function, payload, outcome)


def _to_dead_letters(cloud: Cloud, function: Any, payload: bytes, outcome: Outcome) -> None:
    if not function.dead_letter_arn:
        return
    # A dead letter is the event itself. As documented, its attributes say what failed: ErrorCode is an HTTP status,
    # ErrorMessage the first 1 KB of the error.
    message = str(json.loads(outcome.payload or b"{}").get("errorMessage", ""))[:1024]
    attributes: dict[str, str | int] = {"RequestID": outcome.request_id, "ErrorCode": 200, "ErrorMessage": message}
    target = {"Arn": function.dead_letter_arn, "RoleArn": function.role}
    # What the role may not send is lost, as on AWS. The cloud's log then says so.
    try:
        role_calls.call(cloud, target, payload.decode(), principal=PRINCIPAL, attributes=attributes)
    except targets.Undelivered as error:
        LOG.warning("%s: event lost: %s", function.function_arn, error)


UNTRUSTED = "The role defined for the function cannot be assumed by Lambda."


def run_functions(cloud: Cloud) -> None:
    models: Any = import_module("moto.awslambda.models")
    # moto has two backends for Lambda. The one with layers and versions is chosen by this setting; no Docker is used,
    # since `invoke` is replaced below.
    replace_entries(cast("dict[str, Any]", default_user_config), **{"lambda": {"use_docker": True}})
    functions = cloud.parts[Functions] = Functions(cloud)

    def invoke(self: Any, body: Any, request_headers: Any, response_headers: Any) -> bytes:
        payload = body if isinstance(body, bytes) else (body or "{}").encode()
        return _answer(cloud, functions, self, payload, request_headers, response_headers)

    replace(models.LambdaFunction, invoke=invoke)
    # moto refuses answers above 6,000,000 bytes, which it measures by `sys.getsizeof`. This stand-in for `sys` lets all
    # pass; `payload_limits` keeps AWS's limit. May go when moto has AWS's limit.
    replace(import_module("moto.awslambda.responses"), sys=SimpleNamespace(getsizeof=lambda _: 0))
    _keep_dead_letter_queues(models.LambdaFunction)

    def refuse(*_: Any, **__: Any) -> None:
        # Nothing here would send to their destinations, or count their tries.
        raise NotImplementedError("event-invoke configurations of a function: give it a dead-letter queue")

    def add_permission(self: Any, function_name: str, qualifier: str, raw: str) -> Any:
        # moto loses the permissions on an alias with the version that it names. May go when moto keeps them.
        return self.get_function(function_name).policy.add_statement(raw, qualifier)[0]

    configs = {"put_function_event_invoke_config": refuse, "update_function_event_invoke_config": refuse}
    replace(models.LambdaBackend, **configs, add_permission=add_permission)
    _answer_that_nothing_is_provisioned()


def function_of(cloud: Cloud, name_or_arn: str) -> Any:
    """moto's function by its name or ARN, also with a version or an alias. Raises moto's error if there is none."""
    return moto_backend("lambda", cloud.region).get_function(name_or_arn)


def cold_starts(cloud: Cloud) -> dict[str, int]:
    """The number of workers started so far, by function."""
    functions: Functions = cloud.parts[Functions]
    return dict(functions.cold_starts)


def pending(cloud: Cloud) -> list[str]:
    """The asynchronous invocations and deliveries under way: the whole queue of the dispatcher."""
    return dispatcher(cloud).pending()


def _answer(
    cloud: Cloud, functions: Functions, function: Any, payload: bytes, headers: Mapping[str, str], answered: Any
) -> bytes:
    """The payload of Invoke's answer; `answered` are the headers of the answer, which are filled here.

    Raises LambdaClientError with AWS's code for an event that is too large, a throttled function, and a role or key
    that cannot be used."""
    request_id = answered["x-amzn-requestid"] = str(uuid.uuid4())
    kind = {name.lower(): value for name, value in dict(headers).items()}.get("x-amz-invocation-type")
    if kind == "DryRun":
        return b""
    if refusal := why_too_large(payload, kind if kind == "Event" else "RequestResponse"):
        raise _refused("RequestEntityTooLargeException", refusal, 413)
    if kind == "Event":
        send(cloud, function, payload, request_id)
        return b""
    # AWS throttles calls above the reserved concurrency; here they wait. A concurrency of 0 is AWS's documented way to
    # switch a function off, and throttles here too.
    if function.reserved_concurrency is not None and int(function.reserved_concurrency) == 0:
        raise _refused("TooManyRequestsException", "Rate Exceeded.", 429)
    try:
        outcome = limited(functions.invoke(function, payload, request_id))
    except KeyRefusedError as error:
        raise _refused("KMSAccessDeniedException", str(error), 502) from error
    except PermissionError as error:
        raise _refused("AccessDeniedException", UNTRUSTED, 403) from error
    answered["x-amz-executed-version"] = str(function.version)
    answered["x-amz-log-result"] = base64.b64encode(outcome.log_tail).decode()
    if outcome.error:
        answered["x-amz-function-error"] = outcome.error
    return outcome.payload


def _refused(code: str, message: str, status: int) -> Exception:
    from moto.awslambda.exceptions import LambdaClientError

    error = LambdaClientError(code, message)
    error.code = status
    return error


def _keep_dead_letter_queues(kind: Any) -> None:
    """Keep `DeadLetterConfig`, and an update of tracing: moto drops both. May go when moto keeps them.

    A function whose role does not trust Lambda is refused when it is made."""
    initialise, configure, describe = kind.__init__, kind.update_configuration, kind.get_configuration

    def start(self: Any, account_id: str, spec: dict[str, Any], region: str, version: Any = 1) -> None:
        self.dead_letter_arn = spec.get("DeadLetterConfig", {}).get("TargetArn", "")
        initialise(self, account_id, spec, region, version)
        _check_trust(self.role)

    def update_configuration(self: Any, updates: dict[str, Any]) -> Any:
        if "DeadLetterConfig" in updates:
            self.dead_letter_arn = updates["DeadLetterConfig"].get("TargetArn", "")
        self.tracing_config = updates.get("TracingConfig", self.tracing_config)
        return configure(self, updates)

    def get_configuration(self: Any, on_create: bool = False) -> dict[str, Any]:
        dead_letters = {"DeadLetterConfig": {"TargetArn": self.dead_letter_arn}} if self.dead_letter_arn else {}
        return {**describe(self, on_create), **dead_letters}

    replace(kind, __init__=start, update_configuration=update_configuration, get_configuration=get_configuration)


def _check_trust(role_arn: str) -> None:
    from moto.awslambda.exceptions import InvalidParameterValueException
    from moto.iam.exceptions import NotFoundException

    from localcloud.kernel.trust import check_trust

    with suppress(NotFoundException):  # moto itself refuses a role that does not exist, in AWS's words
        try:
            check_trust(role_arn, "lambda.amazonaws.com")
        except PermissionError as error:
            raise InvalidParameterValueException(UNTRUSTED) from error


def _answer_that_nothing_is_provisioned() -> None:
    """Let GetProvisionedConcurrencyConfig answer as AWS does where there is none: a stack that asks for it is refused.

    May go when moto knows the call."""
    responses = import_module("moto.awslambda.responses").LambdaResponse
    message = "No Provisioned Concurrency Config found for this function"

    def get_provisioned_concurrency_config(_: Any) -> None:
        raise _refused("ProvisionedConcurrencyConfigNotFoundException", message, 404)

    replace(responses, get_provisioned_concurrency_config=get_provisioned_concurrency_config)
    path = r"{0}/(?P<api_version>[^/]+)/functions/(?P<function_name>[\w_:%-]+)/provisioned-concurrency/?$"
    replace_entries(import_module("moto.awslambda.urls").url_paths, **{path: responses.dispatch})
