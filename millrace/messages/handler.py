"""The edge of a Lambda function: a typed message in, a typed message out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from millrace.messages.envelope import Message

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

InputT = TypeVar("InputT", bound=Message)
Handler = Callable[[Mapping[str, Any], "LambdaContext"], dict[str, Any]]


def handles(message: type[InputT]) -> Callable[[Callable[[InputT], Message]], Handler]:
    """Make a function from message to message a Lambda handler.

        @handles(StepInput[Evaluated])
        def handler(call: StepInput[Evaluated]) -> Gated: ...

    The event is parsed as `message` (pydantic's ValidationError when it does not fit); the answer goes out as JSON."""

    def decorate(function: Callable[[InputT], Message]) -> Handler:
        @wraps(function)
        def handler(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
            return function(message.model_validate(event)).model_dump(mode="json")

        return handler

    return decorate
