"""Matches events against the rules of a bus, and delivers them to each target, with retries and dead letters."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from localcloud.events import targets
from localcloud.iam.service_permissions import key_refusal
from localcloud.kernel.bus import deliver
from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.dispatcher import dispatcher
from localcloud.kernel.patching import replace

# What a rule's target gets of an event: all of it, a part (InputPath), a constant (Input) or a filled template.
#
# AWS fills a template as text. A placeholder outside quotes becomes JSON, one inside quotes becomes plain text that is
# not escaped. A path that leads nowhere becomes `null` outside quotes, and nothing inside them:
#
#     InputPathsMap   {"key": "$.detail.key", "no": "$.none"}
#     InputTemplate   {"key": <key>, "text": "put <key>", "no": <no>}
#     delivered       {"key":"a.csv","text":"put a.csv","no":null}
#
# moto fills in strings without quotes, so what CDK writes (`{"key":<detail-key>}`) is no JSON any more.

json_path: Any = import_module("moto.stepfunctions.parser.asl.utils.json_path")
_PLACEHOLDER = re.compile(r"<([^<>\s]+)>")
_NOWHERE = object()
"""What a path gives that leads nowhere. It is not None, since null is a value that an event may have."""


def target_input(target: Mapping[str, Any], event: Mapping[str, Any], reserved: Mapping[str, Any]) -> str:
    """The text that is delivered. `reserved` holds AWS's variables, such as `aws.events.rule-name`."""
    if target.get("Input") is not None:
        return str(target["Input"])
    if target.get("InputPath"):
        found = at_path(event, target["InputPath"])
        return _json(None if found is _NOWHERE else found)
    if target.get("InputTransformer"):
        return _fill(target["InputTransformer"], event, reserved)
    return _json(event)


def at_path(event: Any, path: str) -> Any:
    """The value at a path such as `$.detail.object.key`, `$.resources[0]` or `$.detail.rows[*].id`.

    A path with a wildcard gives a list. A path that leads nowhere gives the marker `_NOWHERE`."""
    # In brackets a name may have any letters.
    found = [match.value for match in json_path.parse(re.sub(r"\.([^.*\[\]]+)", r"['\1']", path)).find(event)]
    return found if "*" in path else next(iter(found), _NOWHERE)


def _fill(transformer: Mapping[str, Any], event: Mapping[str, Any], reserved: Mapping[str, Any]) -> str:
    """The template with its placeholders filled in. A placeholder of an unknown name stays as it is."""
    template: str = transformer["InputTemplate"]
    paths: Mapping[str, str] = transformer.get("InputPathsMap") or {}
    values = {**{name: at_path(event, path) for name, path in paths.items()}, **reserved}
    # The template is read character by character: whether a placeholder is inside quotes depends on all quotes before
    # it. A backslash is taken together with the character behind it, so that an escaped quote does not end the quotes.
    filled, position, is_quoted = "", 0, False
    while position < len(template):
        placeholder = _PLACEHOLDER.match(template, position)
        if placeholder and placeholder[1] in values:
            value = values[placeholder[1]]
            filled += _as_text(value) if is_quoted else _json(None if value is _NOWHERE else value)
            position = placeholder.end()
            continue
        character = template[position]
        if character == "\\":
            filled += template[position : position + 2]
            position += 2
            continue
        is_quoted ^= character == '"'
        filled += character
        position += 1
    # A template of several lines is delivered as compact JSON. Text that is no JSON is delivered as it is.
    try:
        return _json(json.loads(filled))
    except ValueError:
        return filled


def _as_text(value: Any) -> str:
    if value is _NOWHERE or value is None:
        return ""
    if isinstance(value, str):
        return value
    # AWS puts an object into a string without its quotes.
    return _json(value).replace('"', "") if isinstance(value, dict | list) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


SERVICE = "events.amazonaws.com"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One event on its way to one target of one rule."""

    rule_arn: str
    target: Mapping[str, Any]
    event: Mapping[str, Any]
    body: str
    """What the target gets: the event, or what the target's input setting makes of it."""


def deliver_events(cloud: Cloud) -> None:
    """Deliver the events of all rules from the dispatcher, by the cloud's clock."""
    models: Any = import_module("moto.events.models")

    # moto's PutEvents and our `deliver` call `send_to_targets` of each rule. moto's own knows few kinds of targets and
    # raises a target's failure to the sender. May go when moto delivers after the answer, with retries.
    def send_to_targets(self: Any, original_event: Mapping[str, Any], **_: Any) -> None:
        _send(cloud, self, original_event)

    replace(models.Rule, send_to_targets=send_to_targets)


def deliver_to_targets(cloud: Cloud, rule: Any, event: Mapping[str, Any]) -> None:
    """Send the event to each target of moto's `Rule` without a look at its pattern."""
    reserved = {
        "aws.events.rule-arn": rule.arn,
        "aws.events.rule-name": rule.name,
        "aws.events.event.ingestion-time": _iso(cloud.clock.timestamp()),
        "aws.events.event": {key: value for key, value in event.items() if key != "detail"},
        "aws.events.event.json": event,
    }
    for target in list(rule.targets):
        body = target_input(target, event, reserved)
        delivery = Delivery(rule_arn=rule.arn, target=target, event=event, body=body)
        _submit(cloud, delivery, attempt=1)


def _send(cloud: Cloud, rule: Any, original: Mapping[str, Any]) -> None:
    if rule.state != "ENABLED":
        return
    event = _as_delivered(original)
    if not rule.event_pattern.matches_event(event):
        return
    bus = moto_backend("events", rule.region_name, account=rule.account_id).event_buses[rule.event_bus_name]
    if reason := key_refusal(bus.kms_key_identifier, bus.arn, SERVICE, bus.arn):
        # The bus can keep no event. AWS tells of it once and encrypted, this cloud once for each rule that matches.
        failure = targets.Undelivered("NO_PERMISSIONS", reason, is_permanent=True)
        _to_dead_letters(cloud, bus.dead_letter_config, event, failure, bus.arn, EVENT_BUS_ARN=bus.arn)
    else:
        deliver_to_targets(cloud, rule, event)


def _as_delivered(original: Mapping[str, Any]) -> dict[str, Any]:
    """The event as AWS delivers it: with an ISO time, and without the fields that moto adds."""
    event = {key: value for key, value in original.items() if key not in ("ingestion-time", "event-bus-name")}
    if isinstance(event.get("time"), int | float):
        event["time"] = _iso(event["time"])
    elif isinstance(event.get("time"), datetime):
        event["time"] = _iso(event["time"].timestamp())
    return json.loads(json.dumps(event, default=str))  # type: ignore[no-any-return]


def _submit(cloud: Cloud, delivery: Delivery, *, attempt: int) -> None:
    # The first attempt is 1 and waits for nothing; the second one waits for the first of the waits.
    wait_s = targets.RETRY_WAITS_S[attempt - 2] if attempt > 1 else 0.0
    label = f"event {delivery.event.get('detail-type')} to {delivery.target['Arn']}"
    dispatcher(cloud).submit(label, lambda: _attempt(cloud, delivery, attempt), after_s=wait_s)


def _attempt(cloud: Cloud, delivery: Delivery, attempt: int) -> None:
    target = delivery.target
    try:
        if ":event-bus/" in target["Arn"]:
            _to_bus(delivery)
        else:
            # As AWS makes it: the event's id, then an id of the target, 80 characters at most. StartExecution takes a
            # name and input that it knows for the same execution, so a retry starts no second one.
            own = uuid.uuid5(uuid.NAMESPACE_URL, f"{delivery.rule_arn}/{target.get('Id')}")
            targets.send(
                cloud,
                target["Arn"],
                delivery.body,
                role_arn=target.get("RoleArn", ""),
                parameters=target.get("SqsParameters"),
                name=f"{delivery.event.get('id', uuid.uuid4())}_{own}"[:80],
                sender=(SERVICE, delivery.rule_arn),
            )
    except targets.Undelivered as failure:
        _give_up_or_retry(cloud, delivery, failure, attempt)


def _give_up_or_retry(cloud: Cloud, delivery: Delivery, failure: targets.Undelivered, attempt: int) -> None:
    if targets.is_tried_again(delivery.target, failure, attempt):
        return _submit(cloud, delivery, attempt=attempt + 1)
    attributes = {"RULE_ARN": delivery.rule_arn, "TARGET_ARN": delivery.target["Arn"]}
    if not failure.is_permanent:
        attributes |= {"EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts", "RETRY_ATTEMPTS": str(attempt - 1)}
    queue = delivery.target.get("DeadLetterConfig")
    return _to_dead_letters(cloud, queue, delivery.event, failure, delivery.rule_arn, **attributes)


def _to_dead_letters(
    cloud: Cloud,
    config: Mapping[str, str] | None,
    event: Mapping[str, Any],
    failure: targets.Undelivered,
    sender_arn: str,
    **attributes: str,
) -> None:
    """Put the event into the queue of the DeadLetterConfig, if there is one, with the reason as attributes."""
    LOG.warning("%s: event %s not delivered: %s", sender_arn, event.get("id"), failure)
    if config:
        said = {"ERROR_CODE": failure.code, "ERROR_MESSAGE": str(failure) or failure.code, **attributes}
        body = json.dumps(event)
        try:
            targets.send(cloud, config["Arn"], body, attributes=said, sender=(SERVICE, sender_arn))
        except targets.Undelivered as refused:  # as on AWS: whoever put the event has had the answer
            LOG.warning("%s: event %s is lost: %s", sender_arn, event.get("id"), refused)


def _to_bus(delivery: Delivery) -> None:
    """Deliver to a bus: it gets the event itself, with its id and source, and its rules decide further."""
    from moto.events.exceptions import ResourceNotFoundException

    try:
        deliver(dict(delivery.event), bus=delivery.target["Arn"])
    except ResourceNotFoundException as error:
        raise targets.Undelivered("NO_RESOURCE", str(error), is_permanent=True) from error


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
