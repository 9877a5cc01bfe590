"""Every name that two parts must agree on, derived from stage, account, region and workload.

Stacks find each other by these names, never by exports, so each can be deployed on its own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

STAGES = ("local", "dev", "prod")
"""Those that need no declaration; any other is like `dev` or `prod`, as the context of `cdk.json` says."""
STAGE_PATTERN = r"^[a-z][a-z0-9]{1,11}$"
"""Without a dash: the names of a stage would begin as those of another."""
LONGEST_PREFIX = len("millrace-prod-") + 24
"""Of a workload's names: stage and workload share it, and the longest role then has 64 letters."""
MACHINES = ("ingest", "train", "release", "score", "monitor", "retrain")
"""The state machines that do a workload's work. Beside them it has `teardown`, which ends them."""
EVERY_MACHINE = (*MACHINES, "teardown")
TABLES = ("rows", "labels")
"""The Iceberg tables of a workload."""
IMAGES = ("training", "processing", "inference")
"""The folders below `containers/`."""
JOB_LOGS = tuple(f"/aws/sagemaker/{kind}Jobs" for kind in ("Training", "Processing", "Transform"))
"""The log groups of SageMaker's jobs, one of each kind for an account and region.

https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html"""
STARTING_QUEUES = {"drops": "intake"}
"""Queues whose messages start machines, each with the function that it feeds; a teardown switches them off."""
SCHEDULED_FUNCTIONS = ("sweep", "lateness", "upkeep")
"""Functions that a schedule calls itself; a teardown switches those schedules off."""
STAGE_TAG = "millrace:stage"
WORKLOAD_TAG, COMPONENT_TAG = "millrace:workload", "millrace:component"
DEPLOYMENT_TAG, OWNER_TAG = "millrace:deployment", "millrace:owner"
"""By which bills tell workloads of stages apart (`WorkloadNames.prefix`), and roles their jobs, which digests name; and
who answers for one."""
OWN_TAGS = (STAGE_TAG, WORKLOAD_TAG, COMPONENT_TAG, DEPLOYMENT_TAG, OWNER_TAG)
"""All of a stage carries the first three; what belongs to one workload carries the other two as well."""
SHARED = "all-workloads"
"""The value of WORKLOAD_TAG on what all workloads share; no workload can have this name."""
TRAINING_ROLE, EVALUATION_ROLE, DRIFT_ROLE = "training-job", "evaluation-job", "drift-job"
PREFLIGHT_ROLE = "preflight-job"
ByHand = Literal["tune", "experiment"]
"""What a person starts beside the machines."""
BY_HAND: tuple[ByHand, ...] = get_args(ByHand)
AUDIT_CHAIN = "audit_chain"
"""The function that writes the audit's chain; its role alone may."""
QUERY_RESULTS = "query-results"
"""Below the lake's bucket, for all workloads."""
MODEL_ROLE = "model"
"""Of the models of endpoints and batch transforms."""
VARIANT = "main"
"""Of every endpoint, constant: guardrails need the same variant name before and after an update."""
MACHINE_OF_FEED: dict[str, Literal["ingest", "score"]] = {"training": "ingest", "labels": "ingest", "scoring": "score"}
"""Which machine a drop starts."""


def drop_id_of(bucket: str, key: str, version_id: str) -> str:
    """Names one version of an object, and the execution that works on it alone: repeated events start one execution."""
    return hashlib.sha256("\n".join((bucket, key, version_id)).encode()).hexdigest()


def row_id_of(of: str, place: int | str) -> str:
    """Names the row at this place, `9f86d081884c7d65-17`; `of` says of which object's bytes or which call.

    It is the id of a decision on a row of a call, and what a generated column holds for a row without one."""
    return f"{of}-{place}"


def hash_of_run(run: str) -> str:
    """What the names of an execution's jobs, and of the executions that it starts, begin with; `run` is its name.

    As the machines compute it: `States.Hash($$.Execution.Name, 'SHA-1')`."""
    return hashlib.sha1(run.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The names of one environment."""

    stage: str
    account: str
    region: str
    event_bus: str | None = None
    """A bus of the account's instead of the stage's own; other stages may be on it."""

    @property
    def prefix(self) -> str:
        return f"millrace-{self.stage}"

    def bucket(self, purpose: str) -> str:
        """The bucket for `landing`, `lake`, `artefacts`, `audit` or `access-logs`."""
        return f"{self.prefix}-{purpose}-{self.account}-{self.region}"

    @property
    def partition(self) -> str:
        """The group of regions that this one belongs to: ARNs begin with it."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    @property
    def domain(self) -> str:
        """What the endpoints of AWS's services end in: https://docs.amazonaws.cn/en_us/aws/latest/userguide/endpoints-arns.html."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    def arn(self, service: str, resource: str) -> str:
        """An ARN in this environment; those of S3 hold neither region nor account, those of IAM no region."""
        region = "" if service in ("iam", "s3") else self.region
        account = "" if service == "s3" else self.account
        return f"arn:{self.partition}:{service}:{region}:{account}:{resource}"

    def bucket_arn(self, purpose: str) -> str:
        return self.arn("s3", self.bucket(purpose))

    def tags(self, component: str, *, workload: str = SHARED) -> dict[str, str]:
        """What all that belongs to one component carries, for bills and conditions; `component` is a stack's room."""
        return {STAGE_TAG: self.stage, WORKLOAD_TAG: workload, COMPONENT_TAG: component}

    @property
    def bus(self) -> str:
        return self.event_bus or self.prefix

    @property
    def bus_arn(self) -> str:
        return self.arn("events", f"event-bus/{self.bus}")

    @property
    def state_table(self) -> str:
        return f"{self.prefix}-state"

    @property
    def audit_table(self) -> str:
        return f"{self.prefix}-audit"

    def table_arn(self, table: str) -> str:
        return self.arn("dynamodb", f"table/{table}")

    @property
    def database(self) -> str:
        """The Glue database."""
        return f"millrace_{self.stage}"

    @property
    def workgroup(self) -> str:
        """Athena's, in which queries over the database run."""
        return self.prefix

    @property
    def query_results_uri(self) -> str:
        """The folder of what queries answered; no workload can have a name with a dash."""
        return f"s3://{self.bucket('lake')}/{QUERY_RESULTS}/"

    @property
    def key_alias(self) -> str:
        return f"alias/{self.prefix}"

    @property
    def signing_key_alias(self) -> str:
        """The key by which versions are signed."""
        return f"alias/{self.prefix}-signing"

    @property
    def alarm_topic(self) -> str:
        return f"{self.prefix}-alarms"

    @property
    def alarm_topic_arn(self) -> str:
        return self.arn("sns", self.alarm_topic)

    def alarm(self, name: str) -> str:
        """The alarm of this name in `STAGE_ALARMS` of `millrace.operations.alarms`."""
        return f"{self.prefix}-{name}"

    def rule(self, name: str) -> str:
        """The rule of this name in `millrace.operations.notices`."""
        return f"{self.prefix}-{name}"

    def queue(self, name: str) -> str:
        """A queue of the stage itself."""
        return f"{self.prefix}-{name}"

    def queue_url(self, name: str) -> str:
        """The URL of a queue by its whole name."""
        return f"https://sqs.{self.region}.{self.domain}/{self.account}/{name}"

    def parameter(self, name: str) -> str:
        """The SSM parameter by which one part of the environment publishes `name` to the others."""
        return f"/{self.prefix}/{name}"

    def repository(self, image: str) -> str:
        """The ECR repository of `containers/<image>`."""
        return f"{self.prefix}-{image}"

    def repository_uri(self, image: str) -> str:
        """The repository with its registry, as docker names it: a tag or a digest follows."""
        return f"{self.account}.dkr.ecr.{self.region}.{self.domain}/{self.repository(image)}"

    def function(self, function: str) -> str:
        """A function that all workloads share."""
        return f"{self.prefix}-{function}"

    def function_arn(self, function: str) -> str:
        return self.arn("lambda", f"function:{self.function(function)}")

    def role(self, owner: str) -> str:
        """The role of a function that all workloads share."""
        return f"{self.prefix}-{owner}"

    def role_arn(self, owner: str) -> str:
        return self.arn("iam", f"role/{self.role(owner)}")

    def digest_parameter(self, image: str, tag: str) -> str:
        """The SSM parameter that holds the digest (`sha256:…`) of the image with this tag."""
        return self.parameter(f"image/{image}/{tag}")


@dataclass(frozen=True, kw_only=True)
class WorkloadNames:
    """The names of one workload in one environment."""

    platform: Platform
    workload: str
    """Snake case, as the folder under `workloads/`."""

    @property
    def slug(self) -> str:
        """The workload's name where AWS takes no underscore."""
        return self.workload.replace("_", "-")

    @property
    def prefix(self) -> str:
        return f"{self.platform.prefix}-{self.slug}"

    def tags(self, component: str) -> dict[str, str]:
        """What all that the room `component` makes carries."""
        return {**self.platform.tags(component, workload=self.workload), DEPLOYMENT_TAG: self.prefix}

    def tag_list(self, component: str) -> list[dict[str, str]]:
        """The same as SageMaker takes it."""
        return [{"Key": key, "Value": value} for key, value in self.tags(component).items()]

    def stack(self, room: str) -> str:
        """The stack of `infra/stacks/<room>.py`."""
        return f"{self.prefix}-{room}"

    def machine(self, machine: str) -> str:
        """The state machine of `infra/machines/<machine>.py`."""
        return f"{self.prefix}-{machine}"

    def machine_arn(self, machine: str) -> str:
        return self.platform.arn("states", f"stateMachine:{self.machine(machine)}")

    def execution_arn(self, machine: str, run: str = "*") -> str:
        return self.platform.arn("states", f"execution:{self.machine(machine)}:{run}")

    def function(self, function: str) -> str:
        return f"{self.prefix}-{function}"

    def function_arn(self, function: str) -> str:
        return self.platform.arn("lambda", f"function:{self.function(function)}")

    def queue(self, queue: str) -> str:
        return f"{self.prefix}-{queue}"

    def queue_arn(self, queue: str) -> str:
        return self.platform.arn("sqs", self.queue(queue))

    def role(self, owner: str) -> str:
        """The role of one function, machine or job (`<prefix>-<owner>`, 64 characters at most)."""
        return f"{self.prefix}-{owner}"

    def role_arn(self, owner: str) -> str:
        return self.platform.arn("iam", f"role/{self.role(owner)}")

    @property
    def endpoint(self) -> str:
        return self.prefix

    @property
    def scaling_alarms(self) -> str:
        """How the names of the alarms begin that Auto Scaling makes for the endpoint."""
        return f"TargetTracking-endpoint/{self.endpoint}/"

    @property
    def challenger(self) -> str:
        return f"{self.prefix}-challenger"

    @property
    def package_group(self) -> str:
        return self.prefix

    def model_card(self, digest: str) -> str:
        """SageMaker's model card of one run; `digest` is `hash_of_run` of the run, in short."""
        return f"{self.prefix}-card-{digest}"

    def package_arn(self, version: str) -> str:
        """The model version with this number."""
        return self.platform.arn("sagemaker", f"model-package/{self.package_group}/{version}")

    def by_hand(self, kind: ByHand, at: datetime | None = None) -> str:
        """The name of the job that a person starts then; without a time, what the names of all of them begin with.

        SageMaker allows a tuning job 32 characters. The digest tells workloads and stages apart whose names begin
        alike."""
        digest = hashlib.sha256(self.prefix.encode()).hexdigest()[:4]
        known = f"{kind}-{self.slug[:10].rstrip('-')}-{digest}-"
        return f"{known}{int(at.timestamp() * 1000):x}" if at else known

    def table(self, table: str) -> str:
        """`rows`, `labels` (Iceberg); `quarantine`, `decisions`, `predictions` (external tables)."""
        return f"{self.workload}_{table}"

    def alarm(self, name: str) -> str:
        """The alarm of this name in `millrace.monitoring.alarms` or `millrace.operations.alarms`: `input-drift`."""
        return f"{self.prefix}-{name}"

    @property
    def dashboard(self) -> str:
        return self.prefix

    def lake_uri(self, *parts: str) -> str:
        """`s3://<lake>/<workload>/<parts>`; a folder ends with "/" (give "" as its last part)."""
        return "/".join([f"s3://{self.platform.bucket('lake')}/{self.workload}", *parts])

    def checkpoints_uri(self, run: str) -> str:
        """The folder of a run's checkpoints, apart from what the run leaves: they are deleted sooner."""
        return f"s3://{self.platform.bucket('artefacts')}/{self.workload}/checkpoints/{run}/"

    def external_model_uri(self, digest: str) -> str:
        """The folder of the external model with this digest."""
        return f"s3://{self.platform.bucket('artefacts')}/{self.workload}/external/{digest}/"

    def run_uri(self, run: str, *parts: str) -> str:
        """`s3://<artefacts>/<workload>/runs/<run>/<parts>`; `run` is the train execution's name."""
        return "/".join([f"s3://{self.platform.bucket('artefacts')}/{self.workload}/runs/{run}", *parts])
