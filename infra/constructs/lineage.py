"""Tells a catalogue of data, in the words of OpenLineage, what was made of what: drop, table, model, live, predictions.

Each event of the stage's bus that ends a step becomes the two events of one run, START and COMPLETE or FAIL. A dataset
has one name in all steps, so a catalogue such as Marquez draws the chain from a drop to its predictions.

https://openlineage.io/spec/2-0-2/OpenLineage.json
https://openlineage.io/docs/spec/naming"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_cdk import aws_events as events
from constructs import Construct

from millrace.infra.constructs.api_destination import ApiDestination, secret_text
from millrace.infra.settings import StageSettings
from millrace.messages.events import (
    SOURCE,
    BusEvent,
    DatasetCommitted,
    DropRejected,
    ModelRefused,
    ModelRegistered,
    ModelReleased,
    ScoresDelivered,
)
from millrace.names import Platform

PRODUCER = "https://pypi.org/project/millrace"
SPEC = "https://openlineage.io/spec"
FACETS = {
    "version": f"{SPEC}/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
    "externalQuery": f"{SPEC}/facets/1-0-2/ExternalQueryRunFacet.json#/$defs/ExternalQueryRunFacet",
}
PER_SECOND = 10
Dataset = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step that an event ends. A `<word>` is the event's field of this name."""

    event: type[BusEvent]
    job: str
    inputs: Sequence[Dataset]
    outputs: Sequence[Dataset] = ()
    """Empty: it failed."""
    only: Mapping[str, list[Any]] = field(default_factory=lambda: {"workload": [{"exists": True}]})
    """The values of the event's fields that have it."""


def steps(names: Platform) -> tuple[Step, ...]:
    """Every step that is told."""
    glue = f"arn:{names.partition}:glue:{names.region}:{names.account}"
    drop = {"namespace": f"s3://{names.bucket('landing')}", "name": "<workload>/<feed>"}
    table = {"namespace": glue, "name": f"table/{names.database}/<table>"}
    rows = {"namespace": glue, "name": f"table/{names.database}/<workload>_rows"}
    files = {"namespace": drop["namespace"], "name": "<workload>/scoring"}
    scores = {"namespace": f"s3://{names.bucket('lake')}", "name": "<workload>/predictions"}
    model, live = ({"namespace": names.prefix, "name": f"<workload>.{of}"} for of in ("model", "live"))
    learnt: Mapping[str, list[Any]] = {"duplicate": [False], "held": [""]}
    return (
        Step(event=DatasetCommitted, job="ingest", inputs=[drop], outputs=[_at(table, "<snapshot_id>")], only=learnt),
        Step(event=DropRejected, job="ingest", inputs=[drop]),
        Step(event=ModelRegistered, job="train", inputs=[rows], outputs=[_at(model, "<version>")]),
        Step(event=ModelRefused, job="train", inputs=[rows]),
        Step(event=ModelReleased, job="release", inputs=[_at(model, "<version>")], outputs=[_at(live, "<version>")]),
        Step(event=ScoresDelivered, job="score", inputs=[files, live], outputs=[scores]),
    )


class Lineage(Construct):
    """A rule for each step, with two targets of one destination."""

    def __init__(
        self, scope: Construct, *, settings: StageSettings, url: str, secret: str | None, bus: events.CfnEventBus
    ) -> None:
        """`secret` is the name of the secret with the value of the header Authorization."""
        super().__init__(scope, "rules")
        names, header = settings.platform, secret_text(secret) if secret else None
        to = ApiDestination(scope, "lineage", settings=settings, url=url, authorization=header, per_second=PER_SECOND)
        for step in steps(names):
            kind = step.event.detail_type
            words = {"id": "$.id", "time": "$.time", "run": "$.detail.run"}
            body = run_event(names, step)
            fields = {one: f"$.detail.{one}" for one in step.event.model_fields if f"<{one}>" in str(body)}
            rule = events.CfnRule(
                self,
                kind,
                name=names.rule(f"lineage-{kind.replace('.', '-')}"),
                description=f"tells the catalogue of data of {kind}",
                event_bus_name=names.bus,
                event_pattern={"source": [SOURCE], "detail-type": [kind], "detail": step.only},
                state="ENABLED",
                targets=[
                    to.target(words | fields, body | {"eventType": "START"}, also="-start"),
                    to.target(words | fields, body | {"eventType": "COMPLETE" if step.outputs else "FAIL"}),
                ],
            )
            rule.add_resource_dependency(bus)


def run_event(names: Platform, step: Step) -> dict[str, Any]:
    """OpenLineage's RunEvent without its type. The run's id is that of the event; its ARN is the query's."""
    run = {"externalQueryId": "<run>", "source": "aws.states"}
    return {
        "eventTime": "<time>",
        "run": {"runId": "<id>", "facets": _facet("externalQuery", run)},
        "job": {"namespace": names.prefix, "name": f"<workload>.{step.job}"},
        "inputs": list(step.inputs),
        "outputs": list(step.outputs),
        "producer": PRODUCER,
        "schemaURL": f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }


def _at(dataset: Dataset, version: str) -> Dataset:
    return {**dataset, "facets": _facet("version", {"datasetVersion": version})}


def _facet(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"_producer": PRODUCER, "_schemaURL": FACETS[name], **fields}}
