"""The tree of our errors, without those that one module raises and catches itself, and those of `infra/local`.

MillraceError
├── ConfigurationError      a file or a setting that a person wrote is wrong; stops at synth or at start
│   ├── WorkloadError       workload.yaml or contract.yaml
│   └── SettingsError       the environment of a function or a job
├── NoDropError             a message is no drop of this workload; more deliveries would not change that
├── DropError               an object that cannot become rows at all; it is quarantined whole
├── SnapshotError           the rows of a dataset version are not what a model can be made from
├── TrainingError           a training cannot end in a model: a loss that is no number, a hyperparameter that cannot be
├── ProcessError            of several processes that train one model one has failed
├── ArtefactError           a model artefact is not what its digests say
├── PreflightError          a version, started as its endpoint would start it, does not answer as it was evaluated
├── AnswerError             a model's answer is not one good output per row
├── EndpointRefusedError    an endpoint is missing or may not be called; no time makes it well
├── RequestRefusedError     an endpoint works, and its model takes no such request
├── DecisionError           a line is not a decision
├── WithdrawalError         what is to be withdrawn is no key and no drop of the table
├── QueueError              a queue refused messages that must not be lost
├── AuditChainError         an object is no link of the audit's chain
├── EndpointChangingError   an endpoint changes, for minutes: a machine waits and looks again
├── ConflictError           somebody else changed the same thing first
│   └── OvertakenError      what a release began with has changed: only a new run begins with what is now
├── RunError                an execution is not there, or not what a command needs
├── QueryError              a query ended without an answer, in Athena's words
├── EnvironmentNotFoundError  no environment, workload or resource of that name where a command was to work
└── LocalCloudError         the local cloud, its synthesis or its deployment ended with an error

Bad rows are values (a quarantined row with its reason), never exceptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millrace.contract.reasons import Reason


class MillraceError(Exception):
    """The root: catch it only where the process ends."""


class ConfigurationError(MillraceError):
    """Wrong words in a file or a setting: says file, field, what was expected and what came, cut where it is long."""

    def __init__(self, *, where: str, field: str, expected: str, came: object) -> None:
        self.where, self.field, self.expected, self.came = where, field, expected, came
        got = repr(came)
        super().__init__(f"{where}: {field}: expected {expected}, got {got if len(got) <= 200 else f'{got[:197]}...'}")


class WorkloadError(ConfigurationError):
    """A workload's own files are wrong."""


class SettingsError(ConfigurationError):
    """The environment of a function or a job is wrong."""


class NoDropError(MillraceError):
    """The message is no drop of this workload: more deliveries would not change that."""


class DropError(MillraceError):
    """The object cannot be read as rows: reason, expected and got."""

    def __init__(self, reason: Reason, *, expected: str, got: str) -> None:
        self.reason, self.expected, self.got = reason, expected, got
        super().__init__(f"{reason}: expected {expected}, got {got}")


class SnapshotError(MillraceError):
    """No model can be trained or judged on these rows: none, too few days, a key twice, a value missing."""


class TrainingError(MillraceError):
    """A training cannot end in a model: its loss is no finite number, in which epoch and step; a hyperparameter of its
    job or its batch is not what the family or the processes can take; a step does not fit into the device's memory, or
    the rows into the machine's. It would end so again."""


class ProcessError(MillraceError):
    """Of several processes that train one model together one has failed; that one has said why."""


class ArtefactError(MillraceError):
    """An artefact does not match its digests or holds a member that is not allowed."""


class PreflightError(MillraceError):
    """A version does not start by the container's contract or answers otherwise: says where, expected and came."""


class AnswerError(MillraceError):
    """A model's answer is not one good output per row: nothing of it is used."""


class EndpointRefusedError(MillraceError):
    """The call of an endpoint was refused before a model saw it: no such endpoint, or no right to call it."""


class RequestRefusedError(MillraceError):
    """The container answered a request with 4xx, in words of its own: the endpoint works and takes others."""


class DecisionError(MillraceError):
    """A line is not a decision as we write it: says field, what was expected and what came."""

    def __init__(self, *, field: str, expected: str, came: object) -> None:
        self.field, self.expected, self.came = field, expected, came
        super().__init__(f"{field}: expected {expected}, got {came!r}")


class WithdrawalError(MillraceError):
    """What is to be withdrawn is not named as the table names it: says field, expected and came."""


class QueueError(MillraceError):
    """A queue refused messages that must not be lost, several times: the caller gives no answer."""


class AuditChainError(MillraceError):
    """An object of the audit's bucket is not what the chain writes: says what was expected and what came."""


class EndpointChangingError(MillraceError):
    """SageMaker makes, changes or deletes an endpoint, or a function deletes one: says which, and what was expected."""


class ConflictError(MillraceError):
    """A conditional write lost: the caller decides whether to try again."""


class OvertakenError(ConflictError):
    """A release finds another version live, or served, than it began with: redriven it would find that again."""


class RunError(MillraceError):
    """An execution does not exist or is not what the command needs: with the reason and the advice."""


class QueryError(MillraceError):
    """A query ended without an answer; the message is Athena's."""


class EnvironmentNotFoundError(MillraceError):
    """A command has nowhere to work, or what it names is not there: says what was expected and what came."""


class LocalCloudError(MillraceError):
    """The local cloud, the synthesis or the deployment ended with an error; its log is named."""
