"""Event source mappings. One is made only if the function's role may read the source; the source's service polls it."""

from __future__ import annotations

import json
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from localcloud.iam.policies import Request
from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.patching import replace

# The settings of an event source mapping that Lambda refuses together, or for its kind of source; moto takes them.
#
# The range of each number by itself is in Lambda's API model.
#
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html
# https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html

OF_STREAMS = {
    *("BisectBatchOnFunctionError", "DestinationConfig", "MaximumRecordAgeInSeconds", "MaximumRetryAttempts"),
    *("ParallelizationFactor", "StartingPosition", "TumblingWindowInSeconds"),
}
OF_QUEUES = {"ScalingConfig"}


def why_refused(settings: Mapping[str, Any], function_timeout_s: int) -> str | None:
    """Why there is no mapping with these settings, in AWS's words where they are known; None if there may be one."""
    arn = str(settings["EventSourceArn"])
    is_queue = arn.split(":")[2] == "sqs"
    given = {name for name, value in settings.items() if value not in (None, "", {})}
    if foreign := sorted(given & (OF_STREAMS if is_queue else OF_QUEUES)):
        return f"Unsupported parameter for the event source {arn}: {', '.join(foreign)}"
    if is_queue:
        return _of_queue(arn, settings, function_timeout_s)
    if not settings.get("StartingPosition"):
        said = "Value null at 'startingPosition' failed to satisfy constraint: Member must not be null."
        return f"1 validation error detected: {said}"
    is_young = 0 <= int(settings.get("MaximumRecordAgeInSeconds", -1)) < 60
    return "MaximumRecordAgeInSeconds must be -1, or 60 at least" if is_young else None


def _of_queue(arn: str, settings: Mapping[str, Any], function_timeout_s: int) -> str | None:
    window_s = int(settings.get("MaximumBatchingWindowInSeconds") or 0)
    if arn.endswith(".fifo"):
        return "the local cloud does not cover FIFO queues as event sources"
    if int(settings.get("BatchSize") or 0) > 10 and not window_s:
        return "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
    _, _, _, region, account, name = arn.split(":")
    queue: Any = moto_backend("sqs", region, account=account).queues.get(name)
    if queue is None or queue.visibility_timeout >= function_timeout_s:
        return None
    visible = f"Queue visibility timeout: {queue.visibility_timeout} seconds"
    return f"{visible} is less than Function timeout: {function_timeout_s} seconds"


LOG = logging.getLogger(__name__)
POLL_S = 0.5
"""The longest wait of a stream's poller that has nothing to do, and the wait after a failed call, in real seconds."""


@dataclass(frozen=True, kw_only=True)
class EventSource:
    """A kind of event source, such as SQS."""

    name: str
    """The name of the service in Lambda's errors."""
    rights: Callable[[str], Iterator[Request]]
    """Takes a source's ARN; gives the permissions that the poller uses in the role's name."""
    start: Callable[[Any, Any], object]
    """Starts to poll. Takes moto's Lambda backend and the new mapping."""
    refused: frozenset[str]
    """Settings of a mapping that nothing here carries out. A mapping that has one is refused."""


class EventSources(dict[str, EventSource]):
    """The kinds of event sources by the service's name in ARNs. Each service adds its own: `{"sqs": …}`."""


class StreamPoller(ABC):
    """Feeds one function from one stream."""

    what: str
    """The stream in words, such as `the stream of audit`."""

    def __init__(self, cloud: Cloud, backend: Any, mapping: Any) -> None:
        self._cloud, self._backend, self._mapping = cloud, backend, mapping

    @abstractmethod
    def left(self) -> int:
        """How many records the function has not done."""

    @abstractmethod
    def step(self) -> None:
        """Feed the function with what is next, and wait after a failure."""

    def is_enabled(self) -> bool:
        """Whether the mapping exists and is enabled, and the cloud runs."""
        return bool(self._mapping.enabled) and is_wanted(self._cloud, self._backend, self._mapping)

    def run(self, changed: threading.Condition) -> None:
        """Feed the function until the mapping is deleted. A new record notifies `changed`."""
        while is_wanted(self._cloud, self._backend, self._mapping):
            # The look and the wait are one step under the condition: no record comes between them unnoticed.
            with changed:
                if not self.is_enabled() or not self.left():
                    changed.wait(POLL_S)
                    continue
            with polling(self._mapping) as is_enabled:
                if is_enabled:
                    self.step()


class StreamPollers:
    """The pollers of one service's streams in a cloud, and the condition that a new record of any stream notifies."""

    def __init__(self) -> None:
        self._pollers: list[StreamPoller] = []
        self.changed = threading.Condition()

    def notify(self) -> None:
        """Wake all pollers."""
        with self.changed:
            self.changed.notify_all()

    def serve(self, cloud: Cloud, service: str, make: type[StreamPoller], **source: Any) -> None:
        """Make the service's streams an event source, the rest of which is `source`, with a poller for each mapping.

        A poller runs until its mapping is deleted or the cloud stops."""

        def start(backend: Any, mapping: Any) -> None:
            poller = make(cloud, backend, mapping)
            self._pollers.append(poller)
            cloud.loop(f"stream-{mapping.function_name}", lambda: poller.run(self.changed))

        cloud.part(EventSources)[service] = EventSource(start=start, **source)
        cloud.pending.append(self.pending)
        cloud.at_stop(self.notify)

    def pending(self) -> list[str]:
        """The streams with records that a function has not done, as `2 records in the stream of TABLE`."""
        found = ((poller, poller.left()) for poller in self._pollers if poller.is_enabled())
        return [f"{count} records in {poller.what}" for poller, count in found if count]


def call(cloud: Cloud, mapping: Any, records: Sequence[dict[str, Any]], ids: Sequence[str]) -> set[str] | None:
    """Call the mapping's function with the records; the `ids` of those that it has not done. None if it has failed."""
    from localcloud.awslambda.functions import function_of
    from localcloud.awslambda.pools import Functions

    functions: Functions = cloud.parts[Functions]
    try:
        function = function_of(cloud, mapping.function_arn)
        outcome = functions.invoke(function, json.dumps({"Records": records}).encode())
    except Exception:
        if not cloud.stopping.is_set():
            LOG.exception("%s for %s", mapping.event_source_arn, mapping.function_name)
        return None
    if outcome.error or "ReportBatchItemFailures" not in (mapping.function_response_types or []):
        return None if outcome.error else set()
    return _reported(json.loads(outcome.payload), set(ids))


def _reported(answer: Any, everything: set[str]) -> set[str]:
    """The ids of the failed records that the function's answer names.

    The answer is `{"batchItemFailures": [{"itemIdentifier": "ID"}]}`. As on AWS all records of the batch have failed
    if an id is empty or unknown, or if the answer has another shape."""
    if answer is None or answer == {}:
        return set()
    failures = answer.get("batchItemFailures") if isinstance(answer, Mapping) else ()
    # An empty list and null mean success. An answer of the wrong shape fails the whole batch, so that nothing is lost.
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return everything
    named = {str(item.get("itemIdentifier")) for item in failures if isinstance(item, Mapping)}
    return named if named <= everything else everything


def make_event_source_mappings(cloud: Cloud) -> None:
    models: Any = import_module("moto.awslambda.models")
    backend, describe = models.LambdaBackend, models.EventSourceMapping.get_configuration
    create, listed = backend.create_event_source_mapping, backend.list_event_source_mappings
    update = backend.update_event_source_mapping

    def create_event_source_mapping(self: Any, spec: dict[str, Any]) -> Any:
        function = self.get_function(spec["FunctionName"])
        source = _source(cloud, spec, function)
        _check_role(cloud, function.role, source, spec["EventSourceArn"])
        mapping = create(self, spec)
        # moto keeps what it gets. A template writes the text "false", which would count as true.
        mapping.enabled = str(mapping.enabled).lower() != "false"
        source.start(self, mapping)
        return mapping

    def update_event_source_mapping(self: Any, uuid: str, spec: dict[str, Any]) -> Any:
        mapping = self.get_event_source_mapping(uuid)
        if mapping:
            function = self.get_function(spec.get("FunctionName") or mapping.function_arn)
            _source(cloud, mapping.get_configuration() | spec, function)
        return update(self, uuid, spec)

    def list_event_source_mappings(self: Any, event_source_arn: str, function_name: str) -> list[Any]:
        # moto compares texts. On AWS a mapping is found by the function's name and by its ARN, whichever made it.
        wanted = _function_of(function_name or "")
        return [one for one in listed(self, event_source_arn, "") if wanted in ("", _function_of(one.function_name))]

    def get_configuration(self: Any) -> dict[str, Any]:
        described: dict[str, Any] = describe(self)
        return described | ({"State": "Disabling"} if self.is_polled and not self.enabled else {})

    replace(
        backend,
        create_event_source_mapping=create_event_source_mapping,
        update_event_source_mapping=update_event_source_mapping,
        list_event_source_mappings=list_event_source_mappings,
    )
    replace(models.EventSourceMapping, is_polled=False, get_configuration=get_configuration)


def is_wanted(cloud: Cloud, backend: Any, mapping: Any) -> bool:
    """Whether a poller of the mapping goes on: the mapping still exists and the cloud runs."""
    return not cloud.stopping.is_set() and mapping.uuid in backend._event_source_mappings


@contextmanager
def polling(mapping: Any) -> Iterator[bool]:
    """Gives whether the mapping is enabled, and marks it as polled until the end of the block.

    A mapping that is disabled within the block is `Disabling` until the block ends, as on AWS: its poller may still
    take a message."""
    # Marked before the look: whoever disables the mapping after the look sees the mark.
    mapping.is_polled = True
    try:
        yield mapping.enabled
    finally:
        mapping.is_polled = False


def _function_of(name: str) -> str:
    """The function's name in a name, an ARN or a part of an ARN, each with or without a version.

    https://docs.aws.amazon.com/lambda/latest/api/API_ListEventSourceMappings.html"""
    return name.rpartition("function:")[2].partition(":")[0]


def _source(cloud: Cloud, spec: dict[str, Any], function: Any) -> EventSource:
    """The kind of the source.

    Raises moto's InvalidParameterValueException for settings that AWS refuses, or a source or setting without cover."""
    from moto.awslambda.exceptions import InvalidParameterValueException

    arn = str(spec.get("EventSourceArn", ""))
    sources = cloud.part(EventSources)
    source = sources.get("".join(arn.split(":")[2:3]))
    if source is None:
        names = " and ".join(sorted(one.name for one in sources.values()))
        raise InvalidParameterValueException(f"{arn}: the local cloud covers {names} as event sources only")
    if lacking := sorted(name for name in source.refused if spec.get(name)):
        said = f"{', '.join(lacking)} is not covered by the local cloud for {source.name}"
        raise InvalidParameterValueException(said)
    if reason := why_refused(spec, int(function.timeout)):
        raise InvalidParameterValueException(reason)
    return source


def _check_role(cloud: Cloud, role: str, source: EventSource, arn: str) -> None:
    """Raise InvalidParameterValueException if the function's role may not read the source, as AWS does."""
    from moto.awslambda.exceptions import InvalidParameterValueException

    from localcloud.iam.identity import refused

    for request in source.rights(arn):
        if refused(cloud, role, "lambda:CreateEventSourceMapping", request):
            action = request.action.rpartition(":")[2]
            said = f"The provided execution role does not have permissions to call {action} on {source.name}"
            raise InvalidParameterValueException(said)
