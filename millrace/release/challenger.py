"""Asks a version that is not live, before it is or beside the live one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from millrace.errors import AnswerError

if TYPE_CHECKING:
    from millrace.decisions.hosted import Stored
    from millrace.names import WorkloadNames
    from millrace.workload.rollout import Rollout

CONFIG = Config(read_timeout=60, retries={"total_max_attempts": 2})


def asker(names: WorkloadNames, rollout: Rollout) -> Callable[[Stored, bytes], bytes]:
    """A function that takes a version and a body, and returns the body of the version's answer.

    It asks the challenger's endpoint, whichever version that serves; without endpoints the deployed prediction
    function, which raises AnswerError with the reason if it cannot run the version."""
    if rollout.has_no_endpoint:
        functions = boto3.client("lambda", config=CONFIG)

        def ask(model: Stored, body: bytes) -> bytes:
            given = {name: getattr(model, name) for name in ("version", "model_data_url", "model_digest")}
            call = json.dumps({"model": given, "body": body.decode()})
            answer = functions.invoke(FunctionName=names.prediction, Payload=call)
            said: dict[str, Any] = json.load(answer["Payload"])
            if "body" not in said:
                raise AnswerError(str(said.get("refused") or said.get("errorMessage") or said))
            return str(said["body"]).encode()

        return ask
    runtime = boto3.client("sagemaker-runtime", config=CONFIG)

    def invoke(_: Stored, body: bytes) -> bytes:
        answer = runtime.invoke_endpoint(
            EndpointName=names.challenger, ContentType="application/json", Accept="application/json", Body=body
        )
        return bytes(answer["Body"].read())

    return invoke
