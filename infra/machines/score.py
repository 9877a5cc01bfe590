"""The machine `score`: read and validate drops, transform their shards, deliver the predictions, put events."""

from __future__ import annotations

from millrace.artefact.batch import CONTENT_TYPE
from millrace.infra.context import Context
from millrace.infra.iam import sagemaker_jobs
from millrace.infra.iam.resource import Statement
from millrace.infra.machines import jobs, states
from millrace.infra.machines.ingest import INGESTION, told_of_rejected
from millrace.infra.machines.paths import Result
from millrace.infra.machines.states import Definition, State
from millrace.messages.events import DropRejected, ScoresDelivered
from millrace.messages.score import DeliveredDrops, Sharded

VALIDATION = Result("validation", Sharded, "Each row by the contract: accepted and cut into shards, or quarantined")
DELIVERY = Result(
    "delivery",
    DeliveredDrops,
    "Join answers and rows, check that each is answered once, write one file for each drop",
)
PAYLOAD_MB = 6
"""Most MB of one request to the container. A shard stays below it."""
HELD_POLLS_S = 15 * 60
"""Seconds between two looks for a champion. 14 days of them stay below the 25,000 events of an execution."""
TIMEOUT_S = 14 * 24 * 3600


def definition(context: Context) -> Definition:
    """The definition. Its first two steps are those of the machine `ingest`. The transform is SageMaker's own."""
    return states.machine(
        f"Score drops of {context.workload.name} in one batch and deliver the predictions once",
        start="Defaults",
        timeout_s=TIMEOUT_S,
        states={
            **states.defaults("Feed", detail={}),
            "Feed": states.put(
                "Whatever the input says: its rows are scored, and never committed to a table",
                "$.detail.feed",
                Result="scoring",
                next_state="Ingestion",
            ),
            "Ingestion": states.invoke(context, INGESTION, next_state="Champion?"),
            "Champion?": states.choice(
                "Is there a champion?",
                [(states.equals(INGESTION.path("outcome"), "held"), "Hold")],
                otherwise="Rejected",
            ),
            "Hold": states.wait(
                "No champion yet: a run by hand is held, while drops wait in their queue and hold no slot",
                seconds=10 if context.platform.stage == "local" else HELD_POLLS_S,
                next_state="Ingestion",
            ),
            **told_of_rejected(context, otherwise="Refused"),
            "Refused": states.succeed("Everything is quarantined, nothing is delivered"),
            "Validation": states.invoke(context, VALIDATION, next_state="Rows?"),
            "Rows?": states.choice(
                "Has it good rows?",
                [({"Variable": VALIDATION.path("accepted"), "NumericEquals": 0}, "Delivery")],
                otherwise="Transform",
            ),
            **_transform(context),
            "Delivery": states.invoke(context, DELIVERY, next_state="ScoresDelivered"),
            **states.put_events(
                context,
                "ScoresDelivered",
                event=ScoresDelivered,
                items=DELIVERY.path("drops"),
                comment="Tell where the predictions of each drop are",
                next_state="Delivered",
            ),
            "Delivered": states.succeed("Every good row has one prediction, every bad row its reason"),
        },
    )


def _transform(context: Context) -> dict[str, State]:
    """Send each shard through the model as a whole, on as many instances as the validation says."""
    parameters = {
        "TransformJobName.$": states.NAME,
        "ModelName.$": VALIDATION.path("model_name"),
        "BatchStrategy": "SingleRecord",
        "MaxPayloadInMB": PAYLOAD_MB,
        "TransformInput": {
            "ContentType": CONTENT_TYPE,
            "SplitType": "None",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri.$": VALIDATION.path("shards_uri")}},
        },
        "TransformOutput": {
            "S3OutputPath.$": VALIDATION.path("transformed_uri"),
            "Accept": CONTENT_TYPE,
            "AssembleWith": "None",
            "KmsKeyId": context.key_arn,
        },
        "TransformResources": {
            "InstanceCount.$": VALIDATION.path("instances"),
            **jobs.instances(jobs.instance(context), context.key_arn),
        },
        "Tags": jobs.tags(context),
    }
    comment = "The champion's model over every shard; its container has no network"
    return jobs.waited("Transform", "Transform", comment, parameters, "transform", "Delivery")


def statements(context: Context) -> list[Statement]:
    """The rights of the machine itself, beside calling its functions.

    A transform job runs in the role of its model, so no role is passed."""
    return [
        *states.put_event_statements(context, DropRejected, ScoresDelivered),
        *sagemaker_jobs.run(context.names, {"Transform": []}),
    ]
