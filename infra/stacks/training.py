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

from millrace.artefact.signing import SIGNATURE_FILE
from millrace.contract.load import load_contract
from millrace.decisions import captured
from millrace.infra.bundles import closure
from millrace.infra.constructs.function import Function
from millrace.infra.constructs.job_role import job_role
from millrace.infra.constructs.machine import Machine
from millrace.infra.constructs.rule import Rule, pattern_of
from millrace.infra.constructs.schedule import Schedule
from millrace.infra.iam import (
    alarms,
    bus,
    functions,
    iceberg,
    key,
    registry,
    sagemaker_endpoints,
    sharing,
    state_table,
    step_functions,
)
from millrace.infra.iam.buckets import ARTEFACTS, LAKE, LANDING, find_audit_chain, one_object
from millrace.infra.iam.resource import Resource, Statement, every, policy, resource
from millrace.infra.machines import retrain, train
from millrace.infra.stacks.mlflow import MLFLOW_ARN
from millrace.infra.stacks.workload import WorkloadStack
from millrace.messages.events import (
    AlarmUnanswered,
    BusEvent,
    DatasetCommitted,
    EndpointOrphaned,
    EndpointWanted,
    ModelRefused,
    ModelRegistered,
    RetrainRequested,
    RunUnheard,
)
from millrace.messages.execution import ENDED, UNWANTED
from millrace.monitoring.alarms import starters
from millrace.names import IMAGES, JOB_ROLE, MACHINES, TABLES
from millrace.release.bom import BOM_FILE
from millrace.release.card import CARD_FILE
from millrace.release.idle import START_SCHEDULE
from millrace.settings.environment import Environment
from millrace.settings.pull import PullSettings
from millrace.settings.registration import RegistrationSettings
from millrace.settings.release import ReleaseSettings
from millrace.settings.snapshot import SnapshotSettings
from millrace.settings.tracking import RUN_ID_FILE, TrackingSettings
from millrace.workload.fit import check_pretrained_file
from millrace.workload.load import SUITE

SNAPSHOT_MEMORY_MB = 3008
SWEEP = "rate(1 hour)"


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
        self._snapshot()
        self._train()
        self._pull()
        self._retrain()
        self._cleanup()
        self._sweep()
        if self.context.settings.tracking != "none":
            self._tracking()

    def _jobs(self) -> None:
        """The role of all jobs of the workload: training, evaluation, preflight and drift."""
        names, kept, read = self.context.names, ["runs", "checkpoints"], ["iceberg", "decisions", "windows"]
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
                *self._weights(),
                *(one_object(names, self.pretrained_uri) if self.pretrained_uri else []),
            ],
        )

    def _weights(self) -> list[Statement]:
        """The right to read the archive of the model from which a training starts, if the workload declares one."""
        declared = self.context.workload.training.weights
        return one_object(self.context.names, declared.source) if declared else []

    def _pretrained_uri(self) -> str:
        """The URI of the vectors of words that a training takes; empty if the workload declares none.

        A file of the workload's folder is deployed as an asset, under its digest."""
        declared = self.context.workload.training.pretrained
        path = check_pretrained_file(self.context.workload, self.context.folder)
        if path is None:
            return declared.source if declared else ""
        digest = declared.digest.removeprefix("sha256:") if declared else ""
        custom = cdk.AssetHashType.CUSTOM
        asset = assets.Asset(self, "pretrained", path=str(path), asset_hash=digest, asset_hash_type=custom)
        return asset.s3_object_url

    def _snapshot(self) -> None:
        context, names = self.context, self.context.names
        images = [captured.FOLDER] if captured.long_columns(load_contract(context.folder).rows) else []
        Function(
            self,
            "snapshot",
            context=context,
            description="A training run gets its rows, labels that came late included, and its configuration",
            settings=SnapshotSettings(**context.environment(), code_digest=self._code_digest()),
            statements=[
                LAKE.read(names, "iceberg", "decisions", "predictions", *images),
                LAKE.find(names, "decisions"),
                LAKE.write(names, "iceberg"),
                ARTEFACTS.write(names, "runs"),
                iceberg.tables(names, *TABLES).may("GetTable"),
                iceberg.tables(names, "rows").may("UpdateTable"),
                iceberg.remove_manifests(names, "rows"),
                state_table.own_items(names).may("GetItem"),
                state_table.append_audit(names),
                *state_table.write_known_keys(names, context.workload.known_keys),
            ],
            timeout_s=900,
            memory_mb=SNAPSHOT_MEMORY_MB,
        )

    def _train(self) -> None:
        context, names, items = self.context, self.context.names, state_table.own_items(self.context.names)
        environment = context.environment()
        Function(
            self,
            "budget",
            context=context,
            description="One training at a time, within the month's budget",
            role=self.room,
            settings=Environment(**environment),
            statements=[items.may("GetItem", "PutItem", "UpdateItem")],
        )
        Function(
            self,
            "gating",
            context=context,
            description="The evaluation report against the workload's gates",
            role=self.room,
            settings=Environment(**environment),
            statements=[
                ARTEFACTS.read(names, "runs"),
                items.may("GetItem"),
                state_table.append_audit(names),
                state_table.read_audit(names),
            ],
        )
        Function(
            self,
            "registration",
            context=context,
            description="A model that passed becomes a version, its chain of digests checked and signed",
            settings=RegistrationSettings(
                **environment,
                inference_image=context.images["inference"],
                processing_image=context.images["processing"],
                key_arn=context.key_arn,
            ),
            statements=[
                # To make a model card under the key, beside GenerateDataKey: what CloudFormation's handler needs.
                # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sagemaker-modelcard.html
                key.describe(context.key_arn),
                key.lend(context.key_arn),
                ARTEFACTS.read(names, "runs"),
                *(self._file_of_each_run(file).may("PutObject") for file in (BOM_FILE, CARD_FILE, SIGNATURE_FILE)),
                key.sign(context.signing_key_arn),
                items.may("PutItem"),
                *self._registry(),
                *step_functions.askers(names, "train", "retrain"),
            ],
            timeout_s=300,
            memory_mb=1024,
        )
        Machine(
            self,
            "train",
            context=context,
            definition=train.definition(context, pretrained=self.pretrained_uri),
            statements=train.statements(context),
        )
        self._ours(
            "first-training",
            DatasetCommitted,
            feed=["training"],
            has_champion=[False],
            rows_total=[{"numeric": [">=", context.workload.training.first_rows]}],
        ).to_machine(names.machine_arn("train"))

    def _pull(self) -> None:
        """The function that copies versions of another stage, if the stage's owner names one."""
        context, names = self.context, self.context.names
        if (source := context.settings.options.pulls_from) is None:
            return
        settings = PullSettings(
            **context.environment(),
            inference_image=context.images["inference"],
            source_account=source.account,
            source_stage=source.stage,
            source_signing_key_arn=source.signing_key_arn,
        )
        Function(
            self,
            sharing.PULL,
            context=context,
            description="A released version of another stage, checked and copied",
            settings=settings,
            statements=[
                registry.versions(settings.source).may("DescribeModelPackage"),
                ARTEFACTS.find(settings.source, "runs"),
                ARTEFACTS.read(settings.source, "runs"),
                resource("kms", source.key_arn).may("Decrypt"),
                key.verify(source.signing_key_arn),
                ARTEFACTS.write(names, "runs"),
            ],
            timeout_s=300,
            memory_mb=1024,
        )

    def _retrain(self) -> None:
        context, names = self.context, self.context.names
        tables = ("labels", "rows")
        Function(
            self,
            "guard",
            context=context,
            description="May a retraining start: lease, cool-down, runs, budget, labels",
            role=self.room,
            settings=Environment(**context.environment()),
            statements=[
                state_table.own_items(names).may("GetItem", "PutItem"),
                state_table.append_audit(names),
                iceberg.tables(names, *tables).may("GetTable"),
                LAKE.read(names, "iceberg"),
            ],
            timeout_s=300,
            memory_mb=1024,
        )
        Machine(
            self,
            "retrain",
            context=context,
            definition=retrain.definition(context),
            statements=retrain.statements(context),
        )
        machine = names.machine_arn("retrain")
        Rule(
            self,
            "alarm",
            context=context,
            pattern={
                "source": ["aws.cloudwatch"],
                "detail-type": ["CloudWatch Alarm State Change"],
                "detail": {
                    "alarmName": [names.alarm(name) for name in starters()],
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

    def _cleanup(self) -> None:
        context, names = self.context, self.context.names
        prefixed, listed = "DescribeAlarms by prefix takes no resource", "ListModelPackages takes no resource"
        function = Function(
            self,
            "cleanup",
            context=context,
            description="Free what an execution held when it has ended",
            role=self.room,
            settings=Environment(**context.environment()),
            keeps_events=True,
            statements=[
                state_table.own_items(names).may("Query", "GetItem", "PutItem", "UpdateItem", "DeleteItem"),
                sagemaker_endpoints.both(names).may("DescribeEndpoint", "DeleteEndpoint"),
                sagemaker_endpoints.configs(names).may("DescribeEndpointConfig"),
                sagemaker_endpoints.find_scaling(),
                step_functions.machines(names, "release").may("StartExecution"),
                state_table.append_audit(names),
                every("sagemaker", because=listed).may("ListModelPackages"),
                registry.versions(names).may("DescribeModelPackage"),
                alarms.describe(because=prefixed),
                alarms.of_releases(names).may("DeleteAlarms"),
            ],
        )
        self._ends("cleanup", ENDED).to_function(function.arn)

    def _sweep(self) -> None:
        """The function that finds executions which ended without an event.

        It calls `cleanup` for each of them, reports failures, and deletes what releases have left behind. It also gets
        the events of failures that did come: so it knows which ones were reported already."""
        context, names = self.context, self.context.names
        by_name, prefixed = "An execution names itself or is named by a digest", "DescribeAlarms takes no resource"
        listed = "ListModelPackages takes no resource"
        idle, append = context.workload.rollout.idle, state_table.append_audit(names)
        # Answers whose label nobody has dropped, and decisions that nobody has answered in time.
        reviews = [
            state_table.reviews(names).may("Query", "GetItem", "UpdateItem", "DeleteItem"),
            append,
            LANDING.write(names, "labels/review"),
        ]
        # An endpoint that nobody asks: its scaling goes with it, and the alarms of the scaling.
        sleep = [
            alarms.read_metrics(),
            sagemaker_endpoints.scalable_targets(names).may("DeregisterScalableTarget"),
            alarms.of_scaling(names).may("DeleteAlarms"),
        ]
        function = Function(
            self,
            "sweep",
            context=context,
            description="Each hour: free what no running execution holds",
            role=self.room,
            settings=ReleaseSettings(**context.environment(), approval=context.approval),
            keeps_events=True,
            statements=[
                state_table.own_items(names).may("Query", "GetItem", "PutItem", "UpdateItem", "DeleteItem"),
                step_functions.executions(names, *MACHINES, because=by_name).may("DescribeExecution"),
                step_functions.machines(names, *MACHINES).may("ListExecutions"),
                step_functions.machines(names, "release").may("StartExecution"),
                functions.invoke(names.function_arn("cleanup")),
                sagemaker_endpoints.both(names).may("DescribeEndpoint", "DeleteEndpoint"),
                sagemaker_endpoints.configs(names).may("DescribeEndpointConfig"),
                sagemaker_endpoints.find_scaling(),
                every("sagemaker", because=listed).may("ListModelPackages"),
                registry.versions(names).may("DescribeModelPackage"),
                *([registry.refuse(names)] if context.approval == "person" else []),
                bus.put_events(
                    names, EndpointOrphaned, AlarmUnanswered, RunUnheard, *([EndpointWanted] if idle else [])
                ),
                alarms.describe(because=prefixed),
                alarms.of_releases(names).may("DeleteAlarms"),
                state_table.read_audit(names),
                find_audit_chain(names),
                *(reviews if context.workload.policy else []),
                *([*sleep, append] if idle else []),
            ],
            timeout_s=120,
        )
        self._ends("failed-runs", UNWANTED).to_function(function.arn)
        # In the local cloud, a clock that is moved by a year would call it nine thousand times.
        Schedule.of_function(function, context=context, expression=SWEEP, is_on=context.platform.stage != "local")
        if idle and idle.start_at:
            target = functions.invoke(names.function_arn("sweep"))
            start = Schedule(self, START_SCHEDULE, context=context, expression=idle.start_at, target=target)
            start.node.add_dependency(function)

    def _tracking(self) -> None:
        context, names = self.context, self.context.names
        run_ids = self._file_of_each_run(RUN_ID_FILE)
        tracking_uri = context.settings.tracking_uri
        if context.settings.makes_mlflow:
            parameter = context.platform.parameter(MLFLOW_ARN)
            tracking_uri = ssm.StringParameter.value_for_string_parameter(self, parameter)
        function = Function(
            self,
            "tracking",
            context=context,
            description="Record runs in MLflow; never in the way of a run",
            role=self.room,
            settings=TrackingSettings(**context.environment(), tracking_uri=tracking_uri),
            keeps_events=True,
            statements=[
                ARTEFACTS.read(names, "runs"),
                ARTEFACTS.find(names, "runs"),
                run_ids.may("PutObject"),
                *self._mlflow(tracking_uri),
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

    def _file_of_each_run(self, file: str) -> Resource:
        one_file = "One file in the folder of each run, which is named by its execution"
        return resource("s3", ARTEFACTS.arn(self.context.names, f"runs/*/{file}"), because=one_file)

    def _registry(self) -> list[Statement]:
        names = self.context.names
        return [
            registry.group(names).may("CreateModelPackage"),
            registry.versions(names).may("CreateModelPackage", "DescribeModelPackage"),
            registry.cards(names).may("CreateModelCard", "AddTags"),
            every("sagemaker", because="ListModelPackages takes no resource").may("ListModelPackages"),
            # The registry looks at the image of a version in the name of who registers it:
            # https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-version.html
            registry.repository(names, "inference").may("BatchGetImage", "DescribeImages"),
        ]

    def _mlflow(self, tracking_uri: str) -> list[Statement]:
        """The rights on an MLflow App or server of SageMaker. A file needs none.

        https://docs.aws.amazon.com/sagemaker/latest/dg/mlflow-app-setup-prerequisites-iam.html"""
        settings = self.context.settings
        if settings.tracking == "file":
            return []
        verbs = ("CreateExperiment", "CreateRun", "GetExperimentByName", "DeleteRun", "LogBatch", "UpdateRun")
        call = ("sagemaker:CallMlflowAppApi",) if settings.tracking == "app" else ()
        return [resource("sagemaker-mlflow", tracking_uri).may(*verbs, *call)]

    def _code_digest(self) -> str:
        """The digest of the training image; in the stage `local`, which runs no image, a digest of its sources."""
        # An image's URI ends with `@sha256:<digest>`; it is a deploy-time value, so CloudFormation splits it.
        if self.context.platform.stage != "local":
            return cdk.Fn.select(1, cdk.Fn.split("@sha256:", self.context.images["training"]))
        files = sorted(closure(SUITE, SUITE / "millrace" / "jobs" / "training" / "__main__.py"))
        return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
