"""The machine `score`: shard a drop, transform the shards, deliver the predictions, say so."""

from __future__ import annotations

from infra.constructs.statements import Statement, allow
from infra.context import Context
from infra.machines import jobs, states
from infra.machines.states import Definition
from millrace.messages.events import DropRejected, ScoresDelivered

FUNCTIONS = ("sharding", "delivery")
PAYLOAD_MB = 6
"""Of one request to the container; a shard stays below it."""
HELD_POLLS_S = 15 * 60
"""Between two looks for a champion; 14 days of them stay below the 25,000 events of an execution."""
TIMEOUT_S = 14 * 24 * 3600


def definition(context: Context) -> Definition:
    """The definition; Sharding reads the drop, Transform is SageMaker's own, Delivery joins."""
    function = context.names.function_arn
    return states.machine(
        f"Score a drop of {context.workload.name} in batch and deliver the predictions once",
        start="Defaults",
        timeout_s=TIMEOUT_S,
        states={
            **states.defaults(
                {"cause": "console", "as_of.$": "$$.Execution.StartTime", "detail": {}}, next_state="Sharding"
            ),
            "Sharding": states.invoke(
                function("sharding"),
                comment="Validate the drop, quarantine its bad rows, write the good ones as shards",
                result="sharding",
                next_state="Sharded",
            ),
            "Sharded": states.choice(
                "Is there a champion, is the drop readable, has it good rows?",
                [
                    (states.is_true("$.sharding.answer.held"), "Hold"),
                    ({"Not": {"Variable": "$.sharding.answer.rejected", "StringEquals": ""}}, "Rejected"),
                    ({"Variable": "$.sharding.answer.accepted", "NumericEquals": 0}, "Delivery"),
                ],
                otherwise="Transform",
            ),
            "Hold": states.wait(
                "No champion yet: the drop is held, not lost", seconds=_poll_s(context), next_state="Sharding"
            ),
            "Rejected": states.put_event(
                context.platform.bus_arn,
                workload=context.workload.name,
                event=DropRejected,
                detail={
                    "feed": "scoring",
                    "key.$": "$.sharding.answer.source",
                    "reason.$": "$.sharding.answer.rejected",
                },
                comment="Tell that the object cannot become rows; it is quarantined whole",
                next_state="Refused",
            ),
            "Refused": states.succeed("The drop is quarantined, nothing is delivered"),
            "Transform": jobs.transform(
                context,
                comment="The champion's model over every shard; its container has no network",
                model_name="$.sharding.answer.model_name",
                instance=context.workload.rollout.instance[jobs.stage(context)],
                input_uri="$.sharding.answer.shards_uri",
                output_uri="$.sharding.answer.transformed_uri",
                payload_mb=PAYLOAD_MB,
                result="transform",
                next_state="Delivery",
            ),
            "Delivery": states.invoke(
                function("delivery"),
                comment="Join answers and rows, check that each is answered once, write one file",
                result="delivery",
                next_state="ScoresDelivered",
            ),
            "ScoresDelivered": states.put_event(
                context.platform.bus_arn,
                workload=context.workload.name,
                event=ScoresDelivered,
                detail={
                    "uri.$": "$.delivery.answer.uri",
                    "rows.$": "$.delivery.answer.rows",
                    "quarantined.$": "$.delivery.answer.quarantined",
                },
                comment="Tell where the predictions lie",
                next_state="Delivered",
            ),
            "Delivered": states.succeed("Every good row has one prediction, every bad row its reason"),
        },
    )


def statements(context: Context) -> list[Statement]:
    """What the machine itself may do; a transform job runs in the role of its model, so none is passed."""
    return [
        allow("lambda:InvokeFunction", on=[context.names.function_arn(name) for name in FUNCTIONS]),
        allow("events:PutEvents", on=context.platform.bus_arn),
        *jobs.statements(context, {"Transform": []}),
    ]


def _poll_s(context: Context) -> int:
    return 10 if context.platform.stage == "local" else HELD_POLLS_S
