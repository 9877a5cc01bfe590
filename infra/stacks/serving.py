"""The serving room: the prediction function before the endpoint, the way of decisions to the lake and to consumers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_

from millrace.consumers.catalogue import Kind, of_stage, queue_of
from millrace.contract.load import load_contract
from millrace.decisions import absorbed, captured, jobs
from millrace.decisions.record import FIELDS
from millrace.infra.constructs.decision_view import DecisionView
from millrace.infra.constructs.external_table import ExternalTable, Partition
from millrace.infra.constructs.function import Function
from millrace.infra.constructs.live_alias import LiveAlias
from millrace.infra.constructs.queue import Queue, feed
from millrace.infra.constructs.rest_api import RestApi
from millrace.infra.constructs.row_stream import RowStream
from millrace.infra.iam import bus, queues, sagemaker_endpoints, state_table
from millrace.infra.iam.buckets import ARTEFACTS, LAKE, LANDING
from millrace.infra.iam.resource import Statement, resource
from millrace.infra.stacks.workload import WorkloadStack
from millrace.messages.events import JobDone, JobFailed
from millrace.names import JOBS, LIVE
from millrace.settings.consumer import ConsumerSettings
from millrace.settings.environment import Environment
from millrace.settings.prediction import BROUGHT, BY_API, JobsSettings, PredictionSettings
from millrace.tasks import catalogue as tasks
from millrace.tasks.answer import athena_type
from millrace.tasks.task import AnswerField

BATCH = 2000
"""Messages in a batch of decisions. Lambda's own limit of 6 MB may end a batch earlier.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html (10,000, with a window)"""
HOST = "prediction/requirements-host.txt"
"""What a function needs besides that runs versions itself: the packages of the inference image, but for pyarrow."""
DECIDING_TIMEOUT_S = 60
"""Of a function that decides rows for which nobody waits."""
TRIES = 20
"""Deliveries of decisions to a consumer before they are dead letters: ten hours in which a target may be down."""
CONSUMER_TIMEOUT_S = 300
JOB_TRIES = 5
"""After them one more delivery says of a job that it has failed."""
JOBS_AT_ONCE = 10
"""Jobs that the endpoint gets at once at most, beside requests."""
SIDE = "struct<observedcontenttype:string,mode:string,data:string,encoding:string>"


def decision_columns(*, dates: tuple[AnswerField, ...] = (), **has: bool) -> dict[str, str]:
    """Columns of the table of decisions: a line of `millrace.decisions.record`, as Athena reads it.

    `has` is by `LineField.needs`. `acted`: the workload has a policy, so that lines have an action. With a `chain` a
    line may say who answered in place of the model, with a `floor` also what the model said. `called`: it has a REST
    API, so that callers are asked for; lines name the callers of the function's URL as well. `dates` say for when an
    answer is."""
    told = [one for one in FIELDS if one.under == "millrace" and one.kind.athena and has.get(one.needs, not one.needs)]
    ours = [f"{one.name}:{one.kind.athena}" for one in told]
    dated = [f"{field.name}:{athena_type(field)}" for field in dates]
    return {
        "capturedata": f"struct<endpointinput:{SIDE},endpointoutput:{SIDE}>",
        "eventmetadata": "struct<eventid:string,inferencetime:string,inferenceid:string>",
        "millrace": f"struct<{','.join([*ours, *dated])}>",
        "eventversion": "string",
    }


class ServingStack(WorkloadStack):
    """Predicts by invoke or by HTTP with IAM signatures. Each decision becomes a line in the lake."""

    room = "serving"

    def build(self) -> None:
        policy = self.context.workload.policy
        queue = Queue(self, "decisions", context=self.context, visibility_s=360)
        consumers = of_stage(self.context.workload.consumers, self.context.platform.stage)
        self._prediction(queue, self._jobs(queue) if self.context.workload.jobs else None)
        if self.context.workload.stream is not None:
            RowStream(
                self,
                context=self.context,
                decisions_queue_url=queue.url,
                statements=[*self._deciding(queue), *self._telling()],
                timeout_s=DECIDING_TIMEOUT_S,
                **self._host(),
            )
        self._writer(queue, [self._consumer(name, consumer) for name, consumer in consumers.items()])
        ExternalTable(
            self,
            "decisions",
            context=self.context,
            description="One row per decision, under the date of its event; a reader keeps the last row of an id. "
            "The table of absorbed decisions has older ones",
            columns=decision_columns(
                acted=policy is not None,
                chain=bool(self.context.workload.prediction.fallback),
                floor=policy is not None and policy.floor is not None,
                called=self.context.settings.options.api is not None,
                dates=self.context.workload.prediction.dates,
            ),
            partitions=(Partition.by_date(),),
            json=True,
        )
        ExternalTable(
            self,
            "decisions_absorbed",
            context=self.context,
            description="One row per line of a decision that a night took out of the table of decisions",
            columns=absorbed.COLUMNS,
            partitions=(Partition.by_date(),),
            folder="decisions/absorbed",
        )
        contract, workload = load_contract(self.context.folder), self.context.workload
        task = tasks.declare(workload.prediction, contract.label)
        DecisionView(self, context=self.context, contract=contract, task=task)

    def _prediction(self, queue: Queue, waiting: Queue | None) -> None:
        context, names = self.context, self.context.names
        options = context.settings.options
        kept, limit = options.prediction_provisioned, options.callers
        function = Function(
            self,
            "prediction",
            context=context,
            settings=PredictionSettings(
                **context.environment(),
                decisions_queue_url=queue.url,
                jobs_queue_url=waiting.url if waiting else None,
                caller_requests_per_s=limit.requests_per_s if limit else None,
                caller_burst=limit.burst if limit else None,
            ),
            statements=[
                *self._deciding(queue),
                *self._telling(),
                state_table.own_items(names).may("DeleteItem"),  # of a request with a key that was refused
                *(self._accepting(waiting) if waiting else []),
                *(self._by_api() if options.api else []),
            ],
            timeout_s=30,
            **self._host(),
            # Absorbed decisions are Parquet, and the REST API alone tells them.
            requirements="requirements-api.txt" if options.api else "requirements.txt",
            reserved=context.settings.options.prediction_reserved,
        )
        alias = LiveAlias(self, function, context=context, kept=kept, alarm=names.alarm("prediction-errors"))
        if options.api is None or not options.api.private:
            url = lambda_.CfnUrl(
                self,
                "PredictionUrl",
                target_function_arn=function.resource.attr_arn,
                qualifier=LIVE,
                auth_type="AWS_IAM",
                invoke_mode="BUFFERED",
            )
            cdk.CfnOutput(
                self, "Url", value=url.attr_function_url, description="Of the prediction function, for signed calls"
            )
            url.add_resource_dependency(alias.resource)
        if chosen := options.api:
            function_arn = f"{names.function_arn('prediction')}:{LIVE}"
            api = RestApi(self, context=context, api=chosen, function=function_arn, ready=alias.resource)
            cdk.CfnOutput(self, "ApiUrl", value=api.url, description="Of the REST API, for signed calls")

    def _by_api(self) -> list[Statement]:
        """The rights of the function that tells what was decided, and drops what callers bring."""
        names = self.context.names
        brought = LANDING.write(names, *(f"{feed}/{BY_API}" for feed in BROUGHT))
        return [LAKE.read(names, "decisions"), LAKE.find(names, "decisions"), brought]

    def _accepting(self, waiting: Queue) -> list[Statement]:
        """The rights of the function that takes jobs and tells what became of them."""
        names, folder = self.context.names, jobs.FOLDER
        return [
            LAKE.below(names, folder).may("GetObject", "PutObject"),
            LAKE.find(names, folder),
            queues.send(waiting.arn),
        ]

    def _jobs(self, queue: Queue) -> Queue:
        """The queue of jobs, and the function that works them off."""
        context, names = self.context, self.context.names
        waiting = Queue(self, JOBS, context=context, visibility_s=6 * DECIDING_TIMEOUT_S, receives=JOB_TRIES + 1)
        function = Function(
            self,
            "jobs",
            context=context,
            settings=JobsSettings(**context.environment(), decisions_queue_url=queue.url, tries=JOB_TRIES),
            statements=[
                *self._deciding(queue),
                queues.receive(waiting.arn),
                LAKE.below(names, jobs.FOLDER).may("GetObject", "PutObject"),
                bus.put_events(names, JobDone, JobFailed),
            ],
            timeout_s=DECIDING_TIMEOUT_S,
            **self._host(),
        )
        feed(waiting, waiting, function, batch=1, window_s=0, concurrency=JOBS_AT_ONCE)
        return waiting

    def _host(self) -> dict[str, Any]:
        """The memory and packages of a function that decides rows."""
        rollout = self.context.workload.rollout
        return {"memory_mb": rollout.memory_mb, "beside": [HOST] if rollout.has_no_endpoint else []}

    def _deciding(self, queue: Queue) -> list[Statement]:
        """The rights of a function that decides rows by the endpoint (`millrace.decisions.online`).

        If the contract has any, it keeps images beside the decisions that name them."""
        names = self.context.names
        rollout = self.context.workload.rollout
        asked = sagemaker_endpoints.both(names) if rollout.asks_challenger else sagemaker_endpoints.live(names)
        return [
            ARTEFACTS.read(names, "runs") if rollout.has_no_endpoint else asked.may("InvokeEndpoint"),
            queues.send(queue.arn),
            *(
                [LAKE.write(names, *kept)]
                if (kept := captured.kept_folders(load_contract(self.context.folder).table("scoring")))
                else []
            ),
            state_table.own_items(names).may("GetItem", "PutItem", "UpdateItem"),
            *state_table.read_known_keys(names, self.context.workload.known_keys),
        ]

    def _telling(self) -> list[Statement]:
        """The rights of a function that tells consumers of rows without a decision."""
        names = self.context.names
        waiting = of_stage(self.context.workload.consumers, names.platform.stage, "unanswered")
        return [queues.send(names.queue_arn(queue_of(name))) for name in waiting]

    def _consumer(self, name: str, consumer: Kind) -> Queue:
        """The consumer's own queue, and the function that takes decisions from there to the target."""
        context, acts = self.context, self.context.workload.policy is not None
        queue = Queue(self, queue_of(name), context=context, visibility_s=6 * CONSUMER_TIMEOUT_S, receives=TRIES)
        rights = [
            resource(right.arn.split(":")[2], right.arn).may(*right.actions)
            for right in consumer.rights(context.platform)
        ]
        function = Function(
            self,
            queue_of(name),
            folder="consumers",
            context=context,
            settings=ConsumerSettings(**context.environment(), consumer=name, queue_url=queue.url, tries=TRIES),
            statements=[
                queues.receive(queue.arn),
                queues.hide(queue.arn),
                # In a pause what waits is put back.
                *([state_table.own_items(context.names).may("GetItem"), queues.send(queue.arn)] if acts else []),
                LAKE.read(context.names, "predictions"),
                *rights,
            ],
            timeout_s=CONSUMER_TIMEOUT_S,
            memory_mb=1024,
            feeds_itself=acts,
        )
        # A message a call: a target that is slow, or that does not answer, takes no time from the next message.
        feed(queue, queue, function, batch=1, window_s=0, concurrency=consumer.at_once)
        return queue

    def _writer(self, queue: Queue, consumers: Sequence[Queue]) -> None:
        context = self.context
        opens = [state_table.reviews(context.names).may("GetItem", "PutItem")] if context.workload.policy else []
        function = Function(
            self,
            "decisions",
            context=context,
            settings=Environment(**context.environment()),
            statements=[
                queues.receive(queue.arn),
                LAKE.write(context.names, "decisions"),
                *opens,
                *(queues.send(consumer.arn) for consumer in consumers),
            ],
            timeout_s=60,
        )
        feed(
            self,
            queue,
            function,
            batch=BATCH,
            window_s=context.settings.decision_window_s,
            concurrency=context.settings.options.decision_writers,
        )
