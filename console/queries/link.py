"""One link of the chain from a decision to the dropped files, and the links to what has answered the decision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from millrace.console.environment import Environment
from millrace.console.queries.live import LivePeriod, live_periods
from millrace.console.queries.versions import audit_of
from millrace.console.words import brief, column
from millrace.contract.schema import Column
from millrace.decisions.record import Decision
from millrace.decisions.review import ReviewItem
from millrace.decisions.scored import ScoredDay
from millrace.messages.score import ScoreState
from millrace.names import WorkloadNames
from millrace.release.registry import Package

MISSING = "there is no such object"
"""The detail of a link whose object is gone."""
State = Literal["checked", "recorded", "broken"]
MARKS = {"checked": "✓", "recorded": "·", "broken": "✗"}


@dataclass(frozen=True, kw_only=True)
class Link:
    """One link of the chain from a decision to the dropped files."""

    what: str = column(heading="link")
    """What the link is: `decision`, `model version`, `drop`, …."""
    identity: str = column(brief, heading="id")
    """Its id, URI or ARN."""
    digest: str | None = column(lambda digest: digest[:12], heading="sha-256")
    """SHA-256 in hexadecimal digits; None if the link has no digest."""
    state: State = column(MARKS.__getitem__, heading="", first=True)
    """`checked`: computed again, or found. `recorded`: as the run stored it. `broken`: missing or different."""
    detail: str = column(brief)


def checked(what: str, identity: str, detail: str) -> Link:
    return Link(what=what, identity=identity, digest=None, state="checked", detail=detail)


def broken(what: str, identity: str, detail: str) -> Link:
    return Link(what=what, identity=identity, digest=None, state="broken", detail=detail)


def recorded(what: str, identity: str, known: str, detail: str) -> Link:
    return Link(what=what, identity=identity, digest=known, state="recorded", detail=detail)


def compared(what: str, identity: str, made: str, known: str, detail: str) -> Link:
    """The link is `checked` if the digest `made` now is the `known` one, else `broken`."""
    if made != known:
        return replace(broken(what, identity, f"expected the digest {known}; {detail}"), digest=made)
    return replace(checked(what, identity, detail), digest=made)


def endpoint_link(environment: Environment, names: WorkloadNames, decision: Decision, package: Package) -> Link:
    """The endpoint's configuration by which the version was live: whether it serves what the registry has.

    It is only `recorded` once a later release has deleted it."""
    what = "endpoint configuration"
    lived = [one for one in live_periods(audit_of(environment, names)) if one.version == package.version]
    if not lived:
        return broken(what, names.endpoint, f"no audit record says that version {package.version} went live")
    # A local cloud's clock may be moved, and decisions have the time of the machine: then the first period counts.
    before = [one for one in lived if one.since <= decision.inferred_at]
    period = before[-1] if before else lived[0]
    said = f"live from {period.since:%Y-%m-%d %H:%M}, revision {period.revision} of the pointers"
    if not period.endpoint_config:
        return recorded(what, names.prediction, "", f"none, the prediction function ran it; {said}")
    client = environment.client("sagemaker")
    try:
        [variant] = client.describe_endpoint_config(EndpointConfigName=period.endpoint_config)["ProductionVariants"]
        model = client.describe_model(ModelName=variant["ModelName"])["PrimaryContainer"]
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "ValidationException":
            raise
        return recorded(what, period.endpoint_config, "", f"{said}; a later release has deleted it")
    return _served(period, variant, model, package, said)


def _served(period: LivePeriod, variant: Any, model: Any, package: Package, said: str) -> Link:
    came = (model["Image"], model["ModelDataUrl"], model.get("Environment", {}).get("MILLRACE_MODEL_DIGEST"))
    expected = (package.image, package.model_data_url, package.metadata.get("model_digest"))
    if came != expected:
        return broken("endpoint configuration", period.endpoint_config, f"expected {expected}, its model has {came}")
    detail = f"{variant['InstanceType']}, image and artefact are the registry's; {said}"
    return checked("endpoint configuration", period.endpoint_config, detail)


def score_link(environment: Environment, names: WorkloadNames, decision: Decision, scored: ScoredDay) -> Link:
    """The execution that scored the row's file: whether its transform job had the version that the decision names.

    It is only `recorded` once Step Functions keeps it no longer."""
    client, what = environment.client("stepfunctions"), "scoring run"
    arn = names.execution_arn("score", scored.run)
    try:
        execution = client.describe_execution(executionArn=arn)
    except client.exceptions.ExecutionDoesNotExist:
        return recorded(what, scored.run, "", "Step Functions keeps executions for 90 days")
    if execution["status"] != "SUCCEEDED":
        return recorded(what, scored.run, "", f"it is {execution['status']}")
    sharded = ScoreState.model_validate(json.loads(execution["output"])).validation.answer
    said_by = decision.withheld.model_version if decision.withheld else decision.model_version
    if sharded.model_version != said_by:
        return broken(what, scored.run, f"it had version {sharded.model_version}, the decision has {said_by}")
    return checked(what, scored.run, f"by SageMaker's model {sharded.model_name}")


def review_link(decision: str, items: Mapping[str, ReviewItem], label: Column) -> Link:
    """The link of the person's decision."""
    item = items.get(decision)
    if item is None:
        return recorded("review", decision, "", "it is not in the queue: its file had too many, or it is long over")
    answer = item.answer
    if answer is None:
        since = f"{item.reason}, since {item.opened_at:%Y-%m-%d %H:%M}, until {item.expires_at:%Y-%m-%d %H:%M}"
        return recorded("review", item.outcome(label), "", since)
    dropped = f"label dropped {item.dropped_at:%Y-%m-%d %H:%M}" if item.dropped_at else "label not dropped yet"
    detail = f"{item.reason}; by {answer.source}, after {answer.seconds:.0f} s, {answer.at:%Y-%m-%d %H:%M}; {dropped}"
    return recorded("review", item.outcome(label), "", detail)
