"""The training room: the machines `train` and `retrain`, their functions and jobs, and the rules that start them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_s3_assets as assets
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_ssm as ssm

from millrace.infra.bundles import closure
from millrace.infra.constructs.job_role import job_role
from millrace.infra.constructs.rule import Rule, pattern_of
from millrace.infra.constructs.schedule import Schedule
from millrace.infra.iam import key, registry, sharing
from millrace.infra.iam.buckets import ARTEFACTS, LAKE, one_object
from millrace.infra.iam.resource import Statement, policy, resource
from millrace.infra.machines import retrain, train
from millrace.infra.stacks.mlflow import MLFLOW_ARN
from millrace.infra.stacks.workload import WorkloadStack
from millrace.messages.events import (
    BusEvent,
    DatasetCommitted,
    ModelRefused,
    ModelRegistered,
    RetrainRequested,
)
from millrace.messages.execution import ENDED, UNWANTED
from millrace.monitoring.alarms import starters
from millrace.names import IMAGES, JOB_ROLE, MACHINES, Platform, WorkloadNames
from millrace.workload.fit import check_pretrained_file
from millrace.workload.load import SUITE

REQUESTED = events.CfnRule.InputTransformerProperty(
    input_paths_map={"id": "$.id", "time": "$.time", "detail": "$.detail"},
    input_template='{"cause": <id>, "as_of": <time>, "detail": <detail>, "by_event": true}',
)
"""The input of a retraining that an event requests: no event is a person's command, whoever put it."""


class TrainingStack(WorkloadStack):
    """Trains when enough rows have come, retrains by alarm or schedule, records every run."""

    room = "training"
    in_network = True
    has_signatures = True
    images = IMAGES

    def build(self) -> None:
        names = self.context.names
        shared = sharing.describe_versions(self.context.settings, names)
        sagemaker.CfnModelPackageGroup(
            self,
            "Versions",
            model_package_group_name=names.package_group,
            model_package_group_description=f"Model versions of {names.workload}",
            model_package_group_policy=policy(shared) if shared else None,
        )
        self.pretrained_uri = self._pretrained_uri()
        self._jobs()
        self._functions()
        self._train()
        self._pull()
        self._retrain()
        if self.context.settings.tracking != "none":
            self._tracking()

    def _jobs(self) -> None:
        """The role of all jobs of the workload: training, evaluation, preflight and drift."""
        names, kept, read = self.context.names, ["runs", "checkpoints"], ["iceberg", "decisions", "windows"]
        weights = self.context.workload.training.weights
        job_role(
            self,
            JOB_ROLE,
            context=self.context,
            images=IMAGES,
            kinds=["TrainingJobs", "ProcessingJobs"],
            statements=[
                ARTEFACTS.read(names, *kept, "external"),
                ARTEFACTS.find(names, *kept, "external"),
                ARTEFACTS.write(names, *kept),
                LAKE.read(names, *read, "predictions"),
                LAKE.find(names, *read),
                LAKE.write(names, "monitor"),
                *(one_object(names, weights.source) if weights else []),
                *(one_object(names, self.pretrained_uri) if self.pretrained_uri else []),
            ],
        )

    def _pretrained_uri(self) -> str:
        """The URI of the pre-trained part that a training takes; empty if the workload declares none.

        A file of the workload's folder is deployed as an asset, under its digest."""
        declared = self.context.workload.training.pretrained
        path = check_pretrained_file(self.context.workload, self.context.folder)
        if path is None:
            return declared.source if declared else ""
        digest = declared.digest.removeprefix("sha256:") if declared else ""
        custom = cdk.AssetHashType.CUSTOM
        return assets.Asset(self, "pretrained", path=str(path), asset_hash=digest, asset_hash_type=custom).s3_object_url

    def _functions(self) -> None:
        """The functions of the room. Executions that end are cleaned up, and those that end without an event are found.

        The sweep also gets the events of failures that did come: so it knows which ones were reported already."""
        context, images = self.context, self.context.images
        self.function("snapshot", code_digest=self._code_digest())
        self.function(
            "registration",
            inference_image=images["inference"],
            processing_image=images["processing"],
            key_arn=context.key_arn,
        )
        sweep = self.function("sweep", approval=context.approval)
        self.functions("snapshot", "registration", "sweep", "tracking", sharing.PULL)
        self._ends("cleanup", ENDED).to_function(context.names.function_arn("cleanup"))
        self._ends("failed-runs", UNWANTED).to_function(sweep.arn)

    def _train(self) -> None:
        self.machine(train, pretrained=self.pretrained_uri)
        machine = self.context.names.machine_arn("train")
        self._ours("first-training", DatasetCommitted, starts_training=[True]).to_machine(machine)

    def _pull(self) -> None:
        """The function that copies versions of another stage, if the stage's owner names one."""
        if (source := self.context.settings.options.pulls_from) is None:
            return
        stage = Platform(stage=source.stage, account=source.account, region=self.context.platform.region)
        there = WorkloadNames(platform=stage, workload=self.context.workload.name)
        self.function(
            sharing.PULL,
            inference_image=self.context.images["inference"],
            source_account=source.account,
            source_stage=source.stage,
            source_signing_key_arn=source.signing_key_arn,
            statements=[
                registry.versions(there).may("DescribeModelPackage"),
                ARTEFACTS.find(there, "runs"),
                ARTEFACTS.read(there, "runs"),
                resource("kms", source.key_arn).may("Decrypt"),
                key.verify(source.signing_key_arn),
            ],
        )

    def _retrain(self) -> None:
        context, names = self.context, self.context.names
        self.machine(retrain)
        machine = names.machine_arn("retrain")
        Rule(
            self,
            "alarm",
            context=context,
            pattern={
                "source": ["aws.cloudwatch"],
                "detail-type": ["CloudWatch Alarm State Change"],
                "detail": {
                    "alarmName": [names.alarm(name) for name in starters(context.workload.retraining)],
                    "state": {"value": ["ALARM"]},
                },
            },
            bus=None,
        ).to_machine(machine)
        self._ours("retrain-requested", RetrainRequested).to_machine(machine, envelope=REQUESTED)
        if schedule := context.workload.retraining.schedule:
            Schedule(
                self,
                "retrain",
                context=context,
                expression=schedule,
                target=resource("states", machine).may("StartExecution"),
            )

    def _tracking(self) -> None:
        context, names, tracking_uri = self.context, self.context.names, self.context.settings.tracking_uri
        if context.settings.makes_mlflow:
            tracking_uri = ssm.StringParameter.value_for_string_parameter(self, context.platform.parameter(MLFLOW_ARN))
        is_file = context.settings.tracking == "file"
        function = self.function(
            "tracking",
            statements=self._mlflow(tracking_uri),
            more={"requirements": "requirements.txt" if is_file else "requirements-managed.txt"},
            tracking_uri=tracking_uri,
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
                    # Only jobs of this stage: another stage of the account trains workloads of the same names.
                    "OutputDataConfig": {"S3OutputPath": [{"prefix": names.run_uri("")}]},
                },
            },
            bus=None,
        ).to_function(function.arn)
        self._ours("tracking-registered", ModelRegistered).to_function(function.arn)
        self._ours("tracking-refused", ModelRefused).to_function(function.arn)

    def _ends(self, name: str, statuses: Sequence[str]) -> Rule:
        """A rule on Step Functions' events of the workload's executions that end with one of the statuses."""
        detail = {
            "stateMachineArn": [self.context.names.machine_arn(machine) for machine in MACHINES],
            "status": [*statuses],
        }
        event = "Step Functions Execution Status Change"
        pattern = {"source": ["aws.states"], "detail-type": [event], "detail": detail}
        return Rule(self, name, context=self.context, pattern=pattern, bus=None)

    def _ours(self, name: str, event: type[BusEvent], **fields: list[Any]) -> Rule:
        """A rule on the platform's bus, for events of this class and workload."""
        pattern = pattern_of(event, workload=self.context.names.workload, **fields)
        return Rule(self, name, context=self.context, pattern=pattern, bus=self.context.platform.bus)

    def _mlflow(self, tracking_uri: str) -> list[Statement]:
        """The rights on an MLflow App or server of SageMaker. A file needs none.

        https://docs.aws.amazon.com/sagemaker/latest/dg/mlflow-app-setup-prerequisites-iam.html"""
        settings = self.context.settings
        if settings.tracking == "file":
            return []
        verbs = ("CreateExperiment", "GetExperimentByName")
        runs = ("CreateRun", "DeleteRun", "LogBatch", "SearchRuns", "UpdateRun")
        call = ("sagemaker:CallMlflowAppApi",) if settings.tracking == "app" else ()
        return [resource("sagemaker-mlflow", tracking_uri).may(*verbs, *runs, *call)]

    def _code_digest(self) -> str:
        """The digest of the training image; in the stage `local`, which runs no image, a digest of its sources."""
        # An image's URI ends with `@sha256:<digest>`; it is a deploy-time value, so CloudFormation splits it.
        if self.context.platform.stage != "local":
            return cdk.Fn.select(1, cdk.Fn.split("@sha256:", self.context.images["training"]))
        files = sorted(closure(SUITE, SUITE / "millrace" / "jobs" / "training" / "__main__.py"))
        return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
