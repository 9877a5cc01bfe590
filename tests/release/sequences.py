"""Random sequences of what people and accidents do to releases, and what has to hold once all is quiet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError

from localcloud.sagemaker.api import records
from localcloud.sagemaker.endpoints.endpoint import endpoints
from millrace.decisions.record import object_key, to_line
from millrace.decisions.review import ReviewAnswer
from millrace.messages.execution import UNWANTED
from millrace.release.promotion import NONE
from millrace.release.registry import APPROVED, PENDING
from millrace.state.climbing import Climbing
from millrace.state.holdings import Leases, Slots
from millrace.state.reviews import ReviewQueue
from millrace.state.table import StateTable
from millrace.timestamps import format_utc
from tests import builders
from tests.functions.cold_start import NAMES
from tests.release.account import WATCHED, Account
from tests.release.world import ACCIDENTS

HOUR = 3600.0
PAUSES = (0, 0, 2, 20, 200, 900, 2 * HOUR)
"""Seconds between two things that happen."""
QUIET_DAYS = 20.0
"""After so many days without anything new every release has ended."""
WEIGHTS = {
    "promote": 5, "two at once": 2, "roll back": 3, "roll back further": 1, "approve": 6, "refuse": 1,
    "asker approves": 1, "kill": 4, "kill, answer lost": 4, "time out": 1, "redrive": 4,
    "lose an event": 3, "double an event": 1, "scale": 1, "bad luck": 2, "better luck": 2, "sweep": 1,
}  # fmt: skip
OF_WATCHED = {"requests": 12, "people decide": 6, "promote": 12, "approve": 12}
"""What happens too, or more often, where a version is watched before or after it is live."""
REQUESTS = 150
"""Requests of one row that come at once."""


def sequence(made: Account, seed: int, rollout: str, *, quiet_days: float = QUIET_DAYS, **changes: Any) -> list[str]:
    """Carry out one sequence of a workload with this rollout, let it come to rest, and return what does not hold."""
    world = made.fresh(seed, rollout, **changes)
    is_watched = rollout != "live"
    chance, weights = world.chance, WEIGHTS | (OF_WATCHED if is_watched else {})
    first = made.register(beside=NONE)
    tell(made, first.arn)
    if made.approval == "person":
        made.registry("ann").approve(first, reason="good")
    world.run(HOUR if is_watched or chance.random() < 0.7 else 60)
    for _ in range(chance.randint(4, 12)):
        (name,) = chance.choices(list(weights), weights=list(weights.values()))
        if not (name in ("approve", "refuse", "asker approves") and made.approval == "none"):
            world.note(f"-- {name}")
            do(made, name)
        world.run(chance.choice(PAUSES) * chance.uniform(0.5, 1.5))
    world.lost = world.doubled = 0
    world.faulty = made.cloud.luckless = made.wrong = 0.0
    world.run(quiet_days * 24 * HOUR, until=lambda: not world.running())
    world.run(6.5 * HOUR)
    world.run(quiet_days * 24 * HOUR, until=lambda: not world.running())
    world.run(2.5 * HOUR)
    if list(wrong(made)):  # a restoration that failed itself is started anew once a day
        world.run(26 * HOUR)
    return list(wrong(made))


def tell(made: Account, package_arn: str) -> None:
    """As the machine `train` tells of a registered version."""
    made.world.deliver(f"registered {package_arn}", lambda: made.world.release(package_arn))


def do(made: Account, name: str) -> None:
    world, chance = made.world, made.world.chance
    if name in ("promote", "two at once"):
        for _ in range(2 if name == "two at once" else 1):
            champion = world.pointers().champion
            package = made.register(beside=champion.version if champion else NONE)
            if made.rollout in WATCHED and chance.random() < 0.2:
                made.unlike.add(package.version)
            tell(made, package.arn)
    elif name.startswith("roll back"):
        back: dict[str, Any] = {"reason": "worse", "who": "ann"}
        if name == "roll back further":
            back["to"] = str(chance.randint(1, len(records(made.cloud).of("model-package"))))
        world.start({"cause": "command", "as_of": world.now(), "rollback": back})
    elif name in ("approve", "refuse", "asker approves"):
        person = "bob" if name == "asker approves" else "ann"
        registry = made.registry(person)
        if waiting := [one for one in registry.all() if one.approval == PENDING and not one.was_live]:
            act = registry.refuse if name == "refuse" else registry.approve
            act(chance.choice(waiting), reason="so")
    elif name in ACCIDENTS:
        world.befall(name, world.running(), [one for one in world.executions.values() if one.status in UNWANTED])
    elif name == "scale" and NAMES.endpoint in endpoints(made.cloud):
        weights = [{"VariantName": "main", "DesiredInstanceCount": 2}]
        try:
            made.client("sagemaker").update_endpoint_weights_and_capacities(
                EndpointName=NAMES.endpoint, DesiredWeightsAndCapacities=weights
            )
        except ClientError as error:
            world.note(str(error))
    elif name == "bad luck":
        world.faulty, made.cloud.luckless, made.wrong = 0.2, 0.3, 0.1
    elif name == "better luck":
        world.faulty, made.cloud.luckless, made.wrong = 0.05, 0.0, 0.0
    elif name == "requests":
        ask(made, REQUESTS)
    elif name == "people decide":
        decide(made)


def ask(made: Account, requests: int) -> None:
    """So many requests come; their decisions lie in the lake, as the prediction function decides them."""
    world, pointers, now = made.world, made.world.pointers(), made.cloud.clock.now()
    if pointers.champion is None:
        return
    found = []
    for number in range(requests):
        call = f"call-{now:%d-%H-%M}-{number}"
        canary = pointers.canary if pointers.canary and pointers.canary.draws(call) else None
        version = pointers.champion.version
        if canary and NAMES.challenger in endpoints(made.cloud) and world.chance.random() >= made.wrong:
            version = canary.version.version
        (output,) = made.said(version, 1)
        found.append(
            builders.decision(
                id=call,
                workload=NAMES.workload,
                event_time=now,
                key={"timestamp": format_utc(now)},
                input=json.dumps({"timestamp": format_utc(now), "nswprice": 0.05}),
                output=output,
                model_version=version,
                phase="canary" if canary else "live",
                latency_ms=5 + world.chance.random(),
                inferred_at=now + timedelta(milliseconds=number),
            )
        )
    key = object_key(NAMES.workload, now.date(), [one.id for one in found])
    body = "".join(f"{to_line(one)}\n" for one in found).encode()
    made.client("s3").put_object(Bucket=NAMES.platform.bucket("lake"), Key=key, Body=body)


def decide(made: Account) -> None:
    """People decide some of the rows that wait, mostly as the versions answer."""
    chance, now = made.world.chance, made.cloud.clock.now()
    queue = ReviewQueue(made.client("dynamodb"), NAMES)
    for _ in range(40):
        if held := queue.next(by="ann", now=now):
            value = int(chance.random() < 0.95)
            label = json.dumps({"timestamp": format_utc(held.item.event_time), "class": value})
            queue.answer(held, ReviewAnswer(value=value, by="ann", at=now, seconds=3, source="web"), label=label)


def wrong(made: Account) -> Iterator[str]:
    """What does not hold."""
    world = made.world
    if left := [one.name for one in world.running()]:
        yield f"running still: {left}"
    yield from _held(made.state)
    yield from _one_mind(made)
    if (canary := world.pointers().canary) is not None:
        yield f"a canary is left: {canary.version.version}"
    waiting = ReviewQueue(made.client("dynamodb"), NAMES).waiting(most=1000, now=made.cloud.clock.now())
    if of := {one.model_version for one in waiting if one.is_challengers}:
        yield f"people are still asked about {of}"
    if NAMES.challenger in endpoints(made.cloud):
        yield "a challenger is left"
    alarms = made.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{NAMES.prefix}-v")["MetricAlarms"]
    if alarms and not world.running():
        yield f"alarms are left: {[one['AlarmName'] for one in alarms]}"


def _held(state: StateTable) -> Iterator[str]:
    for kind in (Leases(state), Slots(state)):
        for one in kind.holdings():
            yield f"{one.key} is held by {one.holder}"
    if (climbing := Climbing.find(state)) is not None:
        yield f"{climbing} is left"


def _one_mind(made: Account) -> Iterator[str]:
    """Pointers, endpoint and registry name one version, which was approved."""
    world, models = made.world, records(made.cloud).of("model")
    packages = {one.version: one for one in made.registry().all()}
    pointers, live = world.pointers(), endpoints(made.cloud).get(NAMES.endpoint)
    champion = pointers.champion
    if champion is None:
        if live is not None:
            yield f"an endpoint serves version {world.served(NAMES.endpoint)}, and the pointers name none"
        return
    if live is None or live.fields["EndpointStatus"] != "InService":
        yield f"version {champion.version} is live, and its endpoint is {live and live.fields['EndpointStatus']}"
    else:
        served = records(made.cloud).of("endpoint-config")[live.fields["EndpointConfigName"]]["ProductionVariants"][0]
        if served["ModelName"] != champion.model_name:
            yield f"the pointers name {champion.model_name}, the endpoint serves {served['ModelName']}"
    for role, version in (("champion", champion), ("previous", pointers.previous)):
        if version is None:
            continue
        package = packages[version.version]
        if not package.was_live or package.approval != APPROVED:
            yield f"{role} {version.version}: {package.approval}, was live: {package.was_live}"
        approved = [one for event, one in audit(made) if event == "release.approved"]
        by = [one["by"] for one in approved if one["version"] == version.version]
        if made.approval == "person" and not any("user/ann" in one for one in by):
            yield f"{role} {version.version}: nobody has approved it"
        if version.model_name not in models:
            yield f"{role} {version.version}: its model {version.model_name} is deleted"
    scaling = made.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")
    if not scaling["ScalableTargets"]:
        yield "the live endpoint is not scaled"
    moved = [one for event, one in audit(made) if event in ("release.live", "release.rolled_back")]
    if not moved or max(moved, key=lambda one: str(one["live_at"]))["version"] != champion.version:
        yield f"by the audit another version than {champion.version} went live last"


def audit(made: Account) -> list[tuple[str, dict[str, Any]]]:
    """Of each record of the audit the event and the details."""
    found = made.client("dynamodb").scan(TableName=NAMES.platform.audit_table)["Items"]
    return [(one["event"]["S"], json.loads(one["details"]["S"])) for one in found]
