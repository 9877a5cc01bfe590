"""An execution has ended: Step Functions' event, which the sweep repeats where it was lost.

https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field

from millrace.messages.envelope import Message

Unwanted = Literal["FAILED", "TIMED_OUT", "ABORTED"]
UNWANTED: tuple[Unwanted, ...] = get_args(Unwanted)
"""Ends of an execution that people are told of."""
Ended = Literal["SUCCEEDED", Unwanted]
ENDED: tuple[str, ...] = get_args(Ended)
"""Every other status is of an execution that runs, or is about to run again."""
FAILURES: tuple[Ended, ...] = ("FAILED", "TIMED_OUT")
"""Ends that nobody asked for: after one the intake gives each of several drops an execution of its own."""


class ExecutionEnded(Message):
    """Detail of "Step Functions Execution Status Change"; DescribeExecution answers with the same fields."""

    execution_arn: str = Field(alias="executionArn")
    machine: str = Field(alias="stateMachineArn")
    status: Ended
    input: str | None = None
    error: str | None = None
    reason: str | None = Field(default=None, alias="cause")

    @property
    def run(self) -> str:
        """The execution's name."""
        return self.execution_arn.rpartition(":")[2]

    def detail(self) -> dict[str, Any]:
        """As Step Functions writes it."""
        return self.model_dump(mode="json", by_alias=True)
