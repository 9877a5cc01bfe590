"""Every name that two parts must agree on, derived from stage, account, region and workload.

Stacks find each other by these names, never by exports, so each can be deployed on its own. For the workload
`air_quality` in the stage `dev`:

    Platform        .prefix                  millrace-dev
                    .bucket("lake")          millrace-dev-lake-123456789012-eu-west-1
                    .state_table             millrace-dev-state
    WorkloadNames   .prefix, .endpoint       millrace-dev-air-quality
                    .machine("train")        millrace-dev-air-quality-train
                    .function("budget")      millrace-dev-air-quality-budget
                    .table("rows")           air_quality_rows
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

STAGES = ("local", "dev", "prod")
"""The stages that need no declaration. The context of `cdk.json` may declare more, each like `dev` or like `prod`."""
STAGE_PATTERN = r"^[a-z][a-z0-9]{1,11}$"
"""A stage has no dash in its name. Else the names of one stage could begin like those of another."""
LONGEST_PREFIX = len("millrace-prod-") + 24
"""The most characters of a workload's prefix, `millrace-<stage>-<workload>`. The longest role name then has 64."""
QUERY = "query"
"""The state machine of a workload with scheduled queries; others do not have it."""
MACHINES = ("ingest", "train", "release", "score", "monitor", "retrain", "upkeep", QUERY)
"""The state machines that do a workload's work. `teardown` is not among them: it stops them."""
EVERY_MACHINE = (*MACHINES, "teardown")
ROOMS = ("ingestion", "training", "release", "serving", "scoring", "monitoring", "teardown")
"""The stacks of a workload. `teardown` is last, since a removal deletes it last: until then it can be repeated."""
TABLES = ("rows", "labels")
"""The Iceberg tables of a workload."""
ROWS = "rows"
"""The stream of rows to decide, and the queue of its dead letters."""
JOBS = "jobs"
"""The queue of requests that are answered later."""
IMAGES = ("training", "processing", "inference")
"""The container images of every stage, each a folder in `containers/`."""
BULK = "bulk"
"""The image of Spark jobs for a stage with the option `bulk`, the owner of their role, and their application."""
JOB_LOGS = tuple(f"/aws/sagemaker/{kind}Jobs" for kind in ("Training", "Processing", "Transform"))
"""The log groups of SageMaker's jobs. An account and region has one for each kind of job.

https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html"""
STARTING_QUEUES = {"drops": "intake"}
"""The queues whose messages start machines, each with the function that reads it. A teardown switches them off."""
STAGE_TAG = "millrace:stage"
WORKLOAD_TAG, COMPONENT_TAG = "millrace:workload", "millrace:component"
DEPLOYMENT_TAG, OWNER_TAG = "millrace:deployment", "millrace:owner"
"""DEPLOYMENT_TAG has `WorkloadNames.prefix`, OWNER_TAG the workload's owner.

Bills tell the workloads of all stages apart by DEPLOYMENT_TAG. Roles and the teardown know their jobs by it, since the
name of a job is a digest."""
OWN_TAGS = (STAGE_TAG, WORKLOAD_TAG, COMPONENT_TAG, DEPLOYMENT_TAG, OWNER_TAG)
"""Every resource of a stage has the first three tags. A resource of one workload has the other two as well."""
SHARED = "all-workloads"
"""The value of WORKLOAD_TAG on a resource that all workloads share. No workload can have this name: it has a dash."""
JOB_ROLE = "job"
"""The role of all training and processing jobs."""
TUNE = "tune"
"""The job that a person starts without a machine, where machines are chosen by name."""
AUDIT_CHAIN = "audit_chain"
"""The function that writes the audit's chain. No other role may write it."""
QUERY_RESULTS = "query-results"
"""The folder in the lake's bucket with the results of queries, for all workloads."""
GIVEN_UP = "aws/lambda"
"""The folder in the landing bucket for records of streams that their functions gave up. Lambda names it."""
MODEL_ROLE = "model"
"""The role of the models of endpoints and transform jobs."""
VARIANT = "main"
"""The variant of every endpoint. It is constant, since guardrails need the same name before and after an update."""
LIVE = "live"
"""The alias of the prediction function's version that its callers reach."""
API_STAGE = "v1"
"""The stage of every workload's REST API, which is the first part of its paths."""
MACHINE_OF_FEED: dict[str, Literal["ingest", "score"]] = {"training": "ingest", "labels": "ingest", "scoring": "score"}
"""The machine that a drop of each feed starts."""


def drop_id_of(bucket: str, key: str, version_id: str) -> str:
    """The id of a drop: the SHA-256 of its bucket, key and version.

    An execution that works on a single drop bears this id as its name. So repeated events start it once."""
    return hashlib.sha256("\n".join((bucket, key, version_id)).encode()).hexdigest()


def row_id_of(of: str, place: int | str) -> str:
    """The id of the row at this place, for example `9f86d081884c7d65-17`.

    `of` names the call or the bytes of the object that the row comes from. A decision on the row of a call has this id.
    A generated column of ids holds it for a row without an id."""
    return f"{of}-{place}"


def hash_of_run(run: str) -> str:
    """The beginning of the names of all jobs and executions that the execution named `run` starts.

    The machines compute the same by `States.Hash($$.Execution.Name, 'SHA-1')`."""
    return hashlib.sha1(run.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The names of one environment."""

    stage: str
    account: str
    region: str

    @property
    def prefix(self) -> str:
        return f"millrace-{self.stage}"

    @property
    def metrics(self) -> str:
        """CloudWatch's namespace of the metrics that our functions publish."""
        return f"Millrace/{self.stage}"

    def bucket(self, purpose: str) -> str:
        """The bucket for a purpose: `landing`, `lake`, `artefacts`, `audit` or `access-logs`."""
        return f"{self.prefix}-{purpose}-{self.account}-{self.region}"

    @property
    def partition(self) -> str:
        """The partition of AWS that the region belongs to. Every ARN has it as its second part."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    @property
    def domain(self) -> str:
        """The domain of AWS's service endpoints: https://docs.amazonaws.cn/en_us/aws/latest/userguide/endpoints-arns.html."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    def arn(self, service: str, resource: str) -> str:
        """An ARN in this environment. An ARN of S3 has neither region nor account, an ARN of IAM has no region."""
        region = "" if service in ("iam", "s3") else self.region
        account = "" if service == "s3" else self.account
        return f"arn:{self.partition}:{service}:{region}:{account}:{resource}"

    def secret_arn(self, name: str) -> str:
        """The ARN of a secret, to whose name Secrets Manager adds a hyphen and six characters. AWS writes `?` for them.

        https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html"""
        return self.arn("secretsmanager", f"secret:{name}-??????")

    def bucket_arn(self, purpose: str) -> str:
        return self.arn("s3", self.bucket(purpose))

    def tags(self, component: str, *, workload: str = SHARED) -> dict[str, str]:
        """The tags of every resource of one component, for bills and for conditions of IAM.

        `component` is the room of a stack."""
        return {STAGE_TAG: self.stage, WORKLOAD_TAG: workload, COMPONENT_TAG: component}

    @property
    def bus(self) -> str:
        return self.prefix

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
        """Athena's workgroup for queries over the database."""
        return self.prefix

    @property
    def query_results_uri(self) -> str:
        """The folder with the results of Athena's queries. No workload has this name, since it has a dash."""
        return f"s3://{self.bucket('lake')}/{QUERY_RESULTS}/"

    @property
    def key_alias(self) -> str:
        return f"alias/{self.prefix}"

    @property
    def signing_key_alias(self) -> str:
        """The alias of the key that signs versions."""
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
        """The SSM parameter in which one part of the environment publishes `name` for the others."""
        return f"/{self.prefix}/{name}"

    def repository(self, image: str) -> str:
        """The ECR repository of `containers/<image>`."""
        return f"{self.prefix}-{image}"

    def repository_uri(self, image: str) -> str:
        """The repository with its registry, as docker names it. A tag or a digest may follow."""
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
        """The workload's name with dashes, since many names of AWS may have no underscore."""
        return self.workload.replace("_", "-")

    @property
    def prefix(self) -> str:
        return f"{self.platform.prefix}-{self.slug}"

    def tags(self, component: str) -> dict[str, str]:
        """The tags of every resource that the room `component` makes."""
        return {**self.platform.tags(component, workload=self.workload), DEPLOYMENT_TAG: self.prefix}

    def tag_list(self, component: str) -> list[dict[str, str]]:
        """The same tags in the form that SageMaker takes."""
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

    @property
    def sessions(self) -> str:
        """What the ARN of each session of a role of the workload's functions and machines begins with."""
        return f"arn:{self.platform.partition}:sts::{self.platform.account}:assumed-role/{self.prefix}-"

    def function(self, function: str) -> str:
        return f"{self.prefix}-{function}"

    def function_arn(self, function: str) -> str:
        return self.platform.arn("lambda", f"function:{self.function(function)}")

    @property
    def prediction(self) -> str:
        """The prediction function as its callers name it, by the alias `LIVE`: `…-electricity-prediction:live`."""
        return f"{self.function('prediction')}:{LIVE}"

    def queue(self, queue: str) -> str:
        return f"{self.prefix}-{queue}"

    def queue_arn(self, queue: str) -> str:
        return self.platform.arn("sqs", self.queue(queue))

    @property
    def stream(self) -> str:
        """The Kinesis stream that brings rows to decide."""
        return f"{self.prefix}-{ROWS}"

    @property
    def stream_arn(self) -> str:
        return self.platform.arn("kinesis", f"stream/{self.stream}")

    def role(self, owner: str) -> str:
        """The role of one function, machine or job. IAM allows 64 characters."""
        return f"{self.prefix}-{owner}"

    def role_arn(self, owner: str) -> str:
        return self.platform.arn("iam", f"role/{self.role(owner)}")

    @property
    def endpoint(self) -> str:
        return self.prefix

    @property
    def scaling_alarms(self) -> str:
        """The beginning of the names of the alarms that Auto Scaling makes for the endpoint."""
        return f"TargetTracking-endpoint/{self.endpoint}/"

    @property
    def challenger(self) -> str:
        return f"{self.prefix}-challenger"

    @property
    def package_group(self) -> str:
        return self.prefix

    def model_card(self, digest: str) -> str:
        """The name of SageMaker's model card of one run. `digest` is the beginning of `hash_of_run` of the run."""
        return f"{self.prefix}-card-{digest}"

    def package_arn(self, version: str) -> str:
        """The ARN of the model version with this number."""
        return self.platform.arn("sagemaker", f"model-package/{self.package_group}/{version}")

    def tuning(self, at: datetime | None = None) -> str:
        """The name of the tuning job that a person starts at that time: `tune-electricit-8d1c-19aa3b27d80`.

        Without a time it is the beginning of the names of all such jobs. SageMaker allows a tuning job 32 characters,
        so the workload's name is cut to ten. The digest tells workloads and stages apart whose names begin alike. The
        time is in milliseconds, hexadecimal."""
        digest = hashlib.sha256(self.prefix.encode()).hexdigest()[:4]
        known = f"{TUNE}-{self.slug[:10].rstrip('-')}-{digest}-"
        return f"{known}{int(at.timestamp() * 1000):x}" if at else known

    def table(self, table: str) -> str:
        """The name of a table in the database: `electricity_rows`.

        `rows` and `labels` are Iceberg tables; `quarantine`, `decisions` and `predictions` are external tables."""
        return f"{self.workload}_{table}"

    def alarm(self, name: str) -> str:
        """The alarm that `millrace.monitoring.alarms` or `millrace.operations.alarms` names: `input-drift`."""
        return f"{self.prefix}-{name}"

    @property
    def dashboard(self) -> str:
        return self.prefix

    def lake_uri(self, *parts: str) -> str:
        """The URI `s3://<lake>/<workload>/<parts>`. For a folder, give "" as the last part: it then ends with "/"."""
        return "/".join([f"s3://{self.platform.bucket('lake')}/{self.workload}", *parts])

    def checkpoints_uri(self, run: str) -> str:
        """The folder of a run's checkpoints. It is not in the run's folder, since checkpoints are deleted sooner."""
        return f"s3://{self.platform.bucket('artefacts')}/{self.workload}/checkpoints/{run}/"

    def external_model_uri(self, digest: str) -> str:
        """The folder of the external model with this digest."""
        return f"s3://{self.platform.bucket('artefacts')}/{self.workload}/external/{digest}/"

    def run_uri(self, run: str, *parts: str) -> str:
        """The URI `s3://<artefacts>/<workload>/runs/<run>/<parts>`. `run` is the name of the train execution."""
        return "/".join([f"s3://{self.platform.bucket('artefacts')}/{self.workload}/runs/{run}", *parts])
