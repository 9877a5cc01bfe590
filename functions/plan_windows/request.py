"""What a drift job is told: the windows, and what is known of the champion from the workload's items."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import boto3

from millrace.aws.objects import read_object
from millrace.decisions.standing import threshold_of
from millrace.functions.room import Room
from millrace.messages.asked_labels import AskedLabels
from millrace.messages.monitor import FloorNow, MonitorRequest, PromiseNow, WindowToJudge, read_report
from millrace.monitoring.windows import Window
from millrace.settings.environment import Environment
from millrace.state.pointers import Version
from millrace.state.versions import ConceptLevel, FloorState, KeptPromise
from millrace.state.wanted import StoredChoice


def request_of(
    room: Room[Environment], s3: Any, champion: Version, windows: Sequence[Window], *, as_of: datetime
) -> MonitorRequest:
    """The request of one run. `s3` is boto3's client."""
    asked, level = _asked(room, s3, windows), ConceptLevel.find(room.state, champion.version)
    return MonitorRequest(
        workload=room.names.workload,
        as_of=as_of,
        model_version=champion.version,
        baseline_digest=champion.baseline_digest,
        windows=tuple(WindowToJudge(**vars(window), asked=asked.get(window.start)) for window in windows),
        promise=_promise(room, champion),
        floor=_floor(room, champion),
        concept_level=level.level if level else 0.0,
        registered_at=_registered_at(room, champion),
    )


def _promise(room: Room[Environment], champion: Version) -> PromiseNow | None:
    """What the champion's acting answers promise now; None if the workload promises nothing, or nothing may act."""
    policy = room.workload.policy
    if policy is None or (promised := policy.promised_error) is None:
        return None
    threshold = threshold_of(policy.automate, champion, KeptPromise.find(room.state, champion.version))
    return None if threshold is None else PromiseNow(promised_error=promised, threshold=threshold)


def _floor(room: Room[Environment], champion: Version) -> FloorNow | None:
    """What the champion is held against; None without a floor, or if the rule's answer is not known."""
    if not (room.workload.policy and room.workload.policy.floor and champion.rule_answer):
        return None
    known, rule = FloorState.find(room.state, champion.version), json.loads(champion.rule_answer)
    if known is None:
        return FloorNow(rule=rule)
    # If the rule answers since an alarm, no label has decided yet: as few decide as if the version answered.
    return FloorNow(rule=rule, below=known.below and not known.awaits_labels, days=known.days)


def _asked(room: Room[Environment], s3: Any, windows: Sequence[Window]) -> dict[datetime, AskedLabels]:
    """The labels that people were asked for, by the start of their window, as earlier runs have chosen them."""
    if not (room.workload.policy and room.workload.policy.labels_a_day):
        return {}
    began = [one.start for one in windows if not one.judge_input]
    chosen = {start: choice for start in began if (choice := StoredChoice.find(room.state, start))}
    # One run has chosen for several windows: its report is read once.
    chances = {
        (uri, window.start): {one.id: one.chance for one in window.wanted}
        for uri in {choice.report_uri for choice in chosen.values()}
        for window in read_report(read_object(s3, uri)).windows
    }
    return {
        start: AskedLabels(until=choice.until, chances=chances[choice.report_uri, start])
        for start, choice in chosen.items()
    }


def _registered_at(room: Room[Environment], champion: Version) -> datetime | None:
    """When the champion was registered, by when it had been trained; None if the workload ranks no label errors."""
    if not (room.workload.policy and room.workload.policy.label_errors_a_day):
        return None
    package = boto3.client("sagemaker").describe_model_package(ModelPackageName=champion.package_arn)
    made: datetime = package["CreationTime"]
    return made
