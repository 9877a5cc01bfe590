"""The tree of Millrace's errors.

It does not have the errors that a single module raises and catches itself, nor those of `localcloud`.

MillraceError
├── ConfigurationError      a file or a setting that a person wrote is wrong; stops at synth or at start
│   ├── WorkloadError       workload.yaml or contract.yaml
│   └── SettingsError       the settings of a function or a job: its environment, or a file that it is given
├── NoDropError             a message is no drop of this workload, and another delivery would not change that
├── DropError               an object cannot become rows at all, so it is quarantined whole
├── SnapshotError           no model can be made from the rows of a dataset version
├── TrainingError           a training cannot end in a model: its loss is no number, a hyperparameter does not fit
├── ProcessError            one of several processes that train a model together has failed
├── ArtefactError           a model artefact is not what its digests say
├── PreflightError          a version does not start as its endpoint would start it, or answers otherwise than evaluated
├── AnswerError             a model's answer is not one good output per row
│   └── AnswerRangeError    the answer to one row has a number that is not finite or not in its range
├── EndpointRefusedError    an endpoint is missing or may not be called; waiting does not help
├── RequestRefusedError     an endpoint works, but its model refuses this request
├── RefusedError            a call is refused as a whole: no row of it is answered
├── DecisionError           a line is not a decision
├── ReviewError             a person's answer does not suit the decision, or the decision is not this person's to answer
├── WithdrawalError         a withdrawal names no drop of the tables, or a key erases nobody
├── QueueError              a queue or the bus refused messages that must not be lost
├── ConsumerError           a consumer has not taken decisions; they are sent to it again
│   └── DocumentsRefusedError  it has taken the others, and refuses some for what they hold
├── SourceError             a source has not given its rows; the next call asks for them again
├── AuditChainError         an object in the audit's bucket is no link of the chain
├── EndpointChangingError   an endpoint is changing for some minutes; the machine waits and looks again
├── AskerUnknownError       CloudTrail does not say yet who started an execution; the machine looks again
├── ConflictError           another writer changed the same thing first
│   ├── OvertakenError      another version is live than when a release began; only a new run can help
│   └── TableMovedError     a table has other keys than when a job judged a drop by them; it is judged again
├── RunError                an execution does not exist, or is not what a command needs
├── QueryError              a query of Athena ended without an answer
├── EnvironmentNotFoundError  a command finds no environment, workload or resource of that name
└── LocalCloudError         the local cloud, its synthesis or its deployment ended with an error

A bad row is never an exception. It is a value: a quarantined row with its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millrace.contract.reasons import Reason


class MillraceError(Exception):
    """The root of all errors. Catch it only where the process ends."""


class ConfigurationError(MillraceError):
    """A file or a setting is wrong. The message says where, the field, what was expected and what came.

    Example: `mine/workload.yaml: name: expected the folder's name 'mine', got 'yours'`. A long value is cut."""

    def __init__(self, *, where: str, field: str, expected: str, came: object) -> None:
        self.where, self.field, self.expected, self.came = where, field, expected, came
        got = repr(came)
        super().__init__(f"{where}: {field}: expected {expected}, got {got if len(got) <= 200 else f'{got[:197]}...'}")


class FieldError(ValueError):
    """A validator refuses one field of what it validates; pydantic puts it into a ValidationError.

    The reader of the file makes it a ConfigurationError. `field` is empty if it is what is validated itself."""

    def __init__(self, *, field: str = "", expected: str, came: object) -> None:
        self.field, self.expected, self.came = field, expected, came
        super().__init__(f"{field}: expected {expected}, got {came!r}".removeprefix(": "))


class WorkloadError(ConfigurationError):
    """A workload's own files are wrong."""


class SettingsError(ConfigurationError):
    """The settings of a function or a job are wrong: its environment, or a file that it is given (`run.json`)."""


class NoDropError(MillraceError):
    """A message is no drop of this workload, and another delivery would not change that."""


class DropError(MillraceError):
    """An object cannot be read as rows. The message says the reason, what was expected and what came."""

    columns = ""
    """Of the reason `columns`, those that differ: `missing: 'price'; unknown: 'prix'`."""

    def __init__(self, reason: Reason, *, expected: str, got: str) -> None:
        self.reason, self.expected, self.got = reason, expected, got
        super().__init__(f"{reason}: expected {expected}, got {got}")


class SnapshotError(MillraceError):
    """No model can be trained or judged on these rows. Examples: no rows, too few days, a key twice, no value."""


class TrainingError(MillraceError):
    """A training cannot end in a model, and another try would end the same.

    Causes: the loss is no finite number (the message says in which epoch and step); the family or the number of
    processes does not take a hyperparameter; a step does not fit into the device's memory, or the rows do not fit into
    the machine's."""


class ProcessError(MillraceError):
    """One of several processes that train a model together has failed. The log of that process says why."""


class ArtefactError(MillraceError):
    """An artefact does not match its digests or holds a member that is not allowed."""


class PreflightError(MillraceError):
    """A version does not start by the container's contract, or does not answer as it was evaluated.

    The message says where, what was expected and what came."""


class AnswerError(MillraceError):
    """A model's answer is not one good output for each row. Nothing of the answer is used."""


class AnswerRangeError(AnswerError):
    """The answer to one row has a number that is not finite or not in its range. The row is refused, and no other."""

    def __init__(self, field: str, *, expected: str, came: object) -> None:
        self.expected, self.came = f"{field}: {expected}", f"{came!r:.80}"
        super().__init__(f"{field}: expected {expected}, got {self.came}")


class EndpointRefusedError(MillraceError):
    """The call of an endpoint was refused before a model saw it. There is no such endpoint, or no right to call it."""


class RequestRefusedError(MillraceError):
    """The container answered a request with 4xx. The endpoint works and takes other requests."""


class RefusedError(MillraceError):
    """A call is refused as a whole. `refusal` is the answer to it, a `decisions.road.Refusal`."""

    def __init__(self, refusal: Any) -> None:
        self.refusal = refusal
        super().__init__(f"{refusal.error}: expected {refusal.expected}, got {refusal.came}")


class DecisionError(MillraceError):
    """A line is no decision. The message says the field, what was expected and what came."""

    def __init__(self, *, field: str, expected: str, came: object) -> None:
        self.field, self.expected, self.came = field, expected, came
        super().__init__(f"{field}: expected {expected}, got {came!r}")


class ReviewError(MillraceError):
    """A person's answer does not suit the decision, or the decision is not this person's to answer."""


class WithdrawalError(MillraceError):
    """A withdrawal names no drop that the tables know, or a person cannot be erased by this key.

    The message says what was expected and what came, but for the cell of the key."""


class QueueError(MillraceError):
    """A queue or the bus refused messages that must not be lost."""


class ConsumerError(MillraceError):
    """The target of a consumer has not taken decisions. They are sent again, and become dead letters at last."""


class DocumentsRefusedError(ConsumerError):
    """The target has taken the other decisions of the call, and refuses some for what they hold."""


class SourceError(MillraceError):
    """Another system has not given its rows, or gives other ones than its declaration says."""

    def __init__(self, source: str, field: str, expected: str, came: object) -> None:
        super().__init__(f"source {source}: {field}: expected {expected}, got {came}")


class AuditChainError(MillraceError):
    """An object in the audit's bucket is not what the chain writes. The message says what was expected and came."""


class EndpointChangingError(MillraceError):
    """SageMaker is making, changing or deleting an endpoint, or a function is deleting one. The message says which."""


class AskerUnknownError(MillraceError):
    """CloudTrail does not say yet who started an execution. The machine waits and looks again."""


class ConflictError(MillraceError):
    """A conditional write lost against another writer. The caller decides whether to try again."""


class OvertakenError(ConflictError):
    """A release finds that another version is live, or served, than when it began. A redrive would find the same."""


class TableMovedError(ConflictError):
    """A table has other keys than when a job judged a drop by them. The machine has the drop judged again."""


class RunError(MillraceError):
    """An execution does not exist, or is not what a command needs. The message has the reason and an advice."""


class QueryError(MillraceError):
    """A query ended without an answer. The message is Athena's."""


class EnvironmentNotFoundError(MillraceError):
    """A command finds no environment, workload or resource of that name.

    The message says what was expected and what came."""


class LocalCloudError(MillraceError):
    """The local cloud, its synthesis or its deployment ended with an error. The message names the log."""
