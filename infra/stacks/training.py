"""The training room: the machines train and retrain, their functions and jobs, and what starts them."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_sagemaker as sagemaker

from infra.constructs.function import Function
from infra.constructs.job_role import JobRole
from infra.constructs.machine import Machine
from infra.constructs.queue import Queue
from infra.constructs.rule import Rule, pattern_of
from infra.constructs.schedule import Schedule
from infra.constructs.statements import Statement, allow, list_objects, own_items, read_objects, write_objects
from infra.machines import retrain, train
from infra.stacks.workload import WorkloadStack
from millrace.messages.events import BusEvent, DatasetCommitted, ModelRefused, ModelRegistered, RetrainRequested
from millrace.settings.environment import Environment
from millrace.settings.registration import RegistrationSettings
from millrace.settings.tracking import RUN_ID_FILE, TrackingSettings
from millrace.workload.prices import projected_usd
from millrace.workload.training_cost import usages

ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


class TrainingStack(WorkloadStack):
    """Train when enough rows have come, retrain by alarm or schedule, record every run."""

    room = "training"
    in_network = True

    def build(self) -> None:
        projected_usd(usages(self.context.workload, self.context.platform.stage))  # an unknown instance stops here
        names, platform = self.context.names, self.context.platform
        self._runs, self._lake = f"{names.workload}/runs/", f"{names.workload}/iceberg/"
        self._state = platform.table_arn(platform.state_table)
        self._audit = own_items(platform.table_arn(platform.audit_table), names.workload, "PutItem")
        sagemaker.CfnModelPackageGroup(
            self,
            "Versions",
            model_package_group_name=names.package_group,
            model_package_group_description=f"Model versions of {names.workload}",
        )
        self._dead = Queue(
            self,
            "training-events",
            context=self.context,
            visibility_s=60,
            senders=["events.amazonaws.com"],
        )
        self._jobs()
        self._train()
        self._retrain()
        self._cleanup()
        if self.context.settings.tracking != "none":
            self._tracking()

    def _jobs(self) -> None:
        artefacts, lake = self.context.platform.bucket("artefacts"), self.context.platform.bucket("lake")
        for owner, image in ((train.TRAINING_ROLE, "training"), (train.EVALUATION_ROLE, "processing")):
            JobRole(
                self,
                owner,
                context=self.context,
                image=image,
                statements=[
                    read_objects(artefacts, self._runs),
                    list_objects(artefacts, self._runs),
                    write_objects(artefacts, self._runs),
                    read_objects(lake, self._lake),
                    list_objects(lake, self._lake),
                ],
            )

    def _train(self) -> None:
        context, artefacts = self.context, self.context.platform.bucket("artefacts")
        environment = context.environment()
        Function(
            self,
            "budget",
            context=context,
            description="One training at a time, within the month's budget",
            settings=Environment(**environment),
            statements=[self._table("GetItem", "PutItem", "UpdateItem")],
        )
        Function(
            self,
            "gating",
            context=context,
            description="The evaluation report against the workload's gates",
            settings=Environment(**environment),
            statements=[read_objects(artefacts, self._runs), self._audit],
        )
        Function(
            self,
            "registration",
            context=context,
            description="A model that passed becomes a version, its chain of digests checked",
            settings=RegistrationSettings(**environment, inference_image=context.images["inference"]),
            statements=[read_objects(artefacts, self._runs), self._table("PutItem"), *self._registry()],
            timeout_s=300,
            memory_mb=1024,
        )
        Machine(
            self,
            "train",
            context=context,
            definition=train.definition(context),
            statements=train.statements(context),
        )
        self._ours(
            "first-training",
            DatasetCommitted,
            feed=["training"],
            has_champion=[False],
            rows_total=[{"numeric": [">=", context.workload.training.first_rows]}],
        ).to_machine(context.names.machine_arn("train"))

    def _retrain(self) -> None:
        context, platform = self.context, self.context.platform
        names = context.names
        labels = f"{names.workload}/iceberg/{names.table('labels')}/metadata/"
        account = f"{platform.region}:{platform.account}"
        Function(
            self,
            "guard",
            context=context,
            description="May a retraining start: lease, cool-down, runs, budget, labels",
            settings=Environment(**context.environment()),
            statements=[
                self._table("GetItem", "PutItem"),
                self._audit,
                allow(
                    "glue:GetTable",
                    on=[
                        f"arn:aws:glue:{account}:catalog",
                        f"arn:aws:glue:{account}:database/{platform.database}",
                        f"arn:aws:glue:{account}:table/{platform.database}/{names.table('labels')}",
                    ],
                ),
                allow(
                    "s3:GetObject",
                    on=f"arn:aws:s3:::{platform.bucket('lake')}/{labels}*",
                    because="pyiceberg names the metadata of each table version by a UUID",
                ),
            ],
        )
        Machine(
            self,
            "retrain",
            context=context,
            definition=retrain.definition(context),
            statements=retrain.statements(context),
        )
        machine = names.machine_arn("retrain")
        alarms = [names.alarm("input-drift"), names.alarm("error")]
        Rule(
            self,
            "alarm",
            context=context,
            pattern={
                "source": ["aws.cloudwatch"],
                "detail-type": ["CloudWatch Alarm State Change"],
                "detail": {"alarmName": alarms, "state": {"value": ["ALARM"]}},
            },
            bus=None,
            dead=self._dead,
        ).to_machine(machine)
        self._ours("retrain-requested", RetrainRequested).to_machine(machine)
        Schedule(
            self,
            "retrain",
            context=context,
            expression=context.workload.retraining.schedule,
            machine_arn=machine,
            dead=self._dead,
        )

    def _cleanup(self) -> None:
        context, names, platform = self.context, self.context.names, self.context.platform
        account = f"{platform.region}:{platform.account}"
        function = Function(
            self,
            "cleanup",
            context=context,
            description="Free what an execution held when it has ended",
            settings=Environment(**context.environment()),
            dead=self._dead,
            statements=[
                self._table("Query", "GetItem", "PutItem", "UpdateItem", "DeleteItem"),
                allow(
                    "sagemaker:DeleteEndpoint",
                    on=f"arn:aws:sagemaker:{account}:endpoint/{names.challenger}",
                ),
                self._audit,
                allow("cloudwatch:DescribeAlarms", on="*", because="DescribeAlarms by prefix takes no resource"),
                allow(
                    "cloudwatch:DeleteAlarms",
                    on=f"arn:aws:cloudwatch:{account}:alarm:{names.prefix}-v*",
                    because="The alarms of a release are named by its version",
                ),
            ],
        )
        Rule(
            self,
            "cleanup",
            context=context,
            pattern={
                "source": ["aws.states"],
                "detail-type": ["Step Functions Execution Status Change"],
                "detail": {
                    "stateMachineArn": [
                        names.machine_arn(machine)
                        for machine in ("ingest", "train", "retrain", "release", "score", "monitor")
                    ],
                    "status": list(ENDED),
                },
            },
            bus=None,
            dead=self._dead,
        ).to_function(function.arn)

    def _tracking(self) -> None:
        context, artefacts = self.context, self.context.platform.bucket("artefacts")
        function = Function(
            self,
            "tracking",
            context=context,
            description="Record runs in MLflow; never in the way of a run",
            settings=TrackingSettings(**context.environment(), tracking_uri=context.settings.tracking_uri),
            dead=self._dead,
            statements=[
                read_objects(artefacts, self._runs),
                list_objects(artefacts, self._runs),
                allow(
                    "s3:PutObject",
                    on=f"arn:aws:s3:::{artefacts}/{self._runs}*/{RUN_ID_FILE}",
                    because="One file in the folder of each run, which is named by its execution",
                ),
                *self._mlflow(),
            ],
            timeout_s=120,
            memory_mb=1024,
            requirements="requirements.txt" if context.settings.tracking == "file" else "requirements-managed.txt",
        )
        Rule(
            self,
            "training-ended",
            context=context,
            pattern={
                "source": ["aws.sagemaker"],
                "detail-type": ["SageMaker Training Job State Change"],
                "detail": {
                    "TrainingJobStatus": ["Completed"],
                    "HyperParameters": {"workload": [context.workload.name]},
                },
            },
            bus=None,
            dead=self._dead,
        ).to_function(function.arn)
        self._ours("tracking-registered", ModelRegistered).to_function(function.arn)
        self._ours("tracking-refused", ModelRefused).to_function(function.arn)

    def _ours(self, name: str, event: type[BusEvent], **fields: list[Any]) -> Rule:
        """A rule on our bus; its events come from machines of ours."""
        pattern = pattern_of(event, workload=self.context.names.workload, **fields)
        return Rule(self, name, context=self.context, pattern=pattern, bus=self.context.platform.bus, dead=self._dead)

    def _table(self, *actions: str) -> Statement:
        """The workload's own items of the state table."""
        own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [self.context.names.workload]}}
        return allow(*(f"dynamodb:{action}" for action in actions), on=self._state, where=own)

    def _registry(self) -> list[Statement]:
        account = f"{self.context.platform.region}:{self.context.platform.account}"
        group = self.context.names.package_group
        return [
            allow("sagemaker:CreateModelPackage", on=f"arn:aws:sagemaker:{account}:model-package-group/{group}"),
            allow(
                "sagemaker:CreateModelPackage",
                "sagemaker:DescribeModelPackage",
                on=f"arn:aws:sagemaker:{account}:model-package/{group}/*",
                because="The registry counts the versions of the workload's own group",
            ),
            allow("sagemaker:ListModelPackages", on="*", because="ListModelPackages takes no resource"),
            # The registry looks at the image of a version in the name of who registers it:
            # https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-version.html
            allow(
                "ecr:BatchGetImage",
                "ecr:DescribeImages",
                on=f"arn:aws:ecr:{account}:repository/{self.context.platform.repository('inference')}",
            ),
        ]

    def _mlflow(self) -> list[Statement]:
        """What an app or a server of SageMaker asks; a file asks nothing.

        https://docs.aws.amazon.com/sagemaker/latest/dg/mlflow-app-setup-prerequisites-iam.html"""
        settings = self.context.settings
        if settings.tracking == "file":
            return []
        verbs = ("CreateExperiment", "CreateRun", "GetExperimentByName", "DeleteRun", "LogBatch", "UpdateRun")
        actions = [f"sagemaker-mlflow:{verb}" for verb in verbs]
        if settings.tracking == "app":
            actions.append("sagemaker:CallMlflowAppApi")
        return [allow(*actions, on=settings.tracking_uri)]
