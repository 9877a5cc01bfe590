"""Step Functions' event that an execution has ended. AWS may lose the event; then the sweep makes it anew.

https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field

from millrace.messages.envelope import Message

Unwanted = Literal["FAILED", "TIMED_OUT", "ABORTED"]
UNWANTED: tuple[Unwanted, ...] = get_args(Unwanted)
"""The statuses of an ended execution that people are told of."""
Ended = Literal["SUCCEEDED", Unwanted]
ENDED: tuple[str, ...] = get_args(Ended)
"""The statuses of an ended execution. With every other status it runs, or is about to run again."""
FAILURES: tuple[Ended, ...] = ("FAILED", "TIMED_OUT")
"""The statuses of an execution that ended by itself and badly.

If it worked on several drops, the intake then gives each of them an execution of its own."""


class ExecutionEnded(Message):
    """The detail of the event "Step Functions Execution Status Change". DescribeExecution answers with the same fields.

    {"executionArn": "arn:…:execution:millrace-local-electricity-retrain:c4c1c1c9", "stateMachineArn": "arn:…",
     "status": "FAILED", "input": "{}", "error": "States.TaskFailed", "cause": "the training job failed"}"""

    execution_arn: str = Field(alias="executionArn")
    machine: str = Field(alias="stateMachineArn")
    """ARN of the state machine."""
    status: Ended
    input: str | None = None
    """The input of the execution, as JSON."""
    error: str | None = None
    reason: str | None = Field(default=None, alias="cause")
    """Why it failed. AWS calls it `cause`; in the messages of Millrace a `cause` is the id of what started a run."""

    @property
    def run(self) -> str:
        """The execution's name."""
        return self.execution_arn.rpartition(":")[2]

    def detail(self) -> dict[str, Any]:
        """The detail of the event, with the names that Step Functions gives its fields."""
        return self.model_dump(mode="json", by_alias=True)
