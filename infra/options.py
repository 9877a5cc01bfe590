"""The options that the owner of a stage may choose: its entry below `stages` in the context of `cdk.json`.

"stages": {"prod": {"tags": {"cost-centre": "4711"}, "machine_log": "errors"}}
"""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from millrace.contract.schema import FEEDS
from millrace.errors import ConfigurationError
from millrace.infra.cdk_context import by_stage
from millrace.names import OWN_TAGS, STAGE_PATTERN, Platform
from millrace.settings.drop import LARGEST_MB
from millrace.spelling import one_of
from millrace.workload.bulk import USUAL_VCPUS
from millrace.workload.places import keys_at

TagKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_ .:/=+@-]+$", max_length=128)]
TagValue = Annotated[str, Field(pattern=r"^[A-Za-z0-9_ .:/=+@-]*$", max_length=256)]


SubnetId = Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$")]
MachineLog = Literal["data", "events", "errors"]
"""What a state machine logs: every event with its input and output, every event without these, or only failures."""


PolicyArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[A-Za-z0-9+=,.@_/-]+$")]
KeyArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$")]


def _is(expected: str, pattern: str) -> AfterValidator:
    """A check that a text matches the pattern, which `expected` says in words."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(expected)
        return text

    return AfterValidator(check)


Mlflow = Annotated[
    str,
    _is(
        "app (which the platform makes), or the ARN of an mlflow-app or an mlflow-tracking-server of SageMaker",
        r"app|arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:(mlflow-app|mlflow-tracking-server)/[A-Za-z0-9-]+",
    ),
]
Address = Annotated[str, _is("an e-mail address", r"[^@\s]+@[^@\s]+\.[^@\s]+")]
VpcEndpointId = Annotated[str, _is("the id of a VPC endpoint: vpce-0a1b2c3d", r"vpce-[0-9a-f]{8,17}")]
Secret = Annotated[str, _is("the name of a secret of Secrets Manager", r"[A-Za-z0-9/_+=.@-]{1,512}")]


class Network(BaseModel):
    """The network of jobs and models: subnets with a route to S3, and a security group that lets traffic out to S3.

    https://docs.aws.amazon.com/sagemaker/latest/dg/train-vpc.html"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subnets: tuple[SubnetId, ...]
    """Two to six subnets, each in an availability zone of its own."""
    security_group: Annotated[str, Field(pattern=r"^sg-[0-9a-f]{8,17}$")]

    @field_validator("subnets", mode="before")
    @classmethod
    def _are_several(cls, subnets: Any) -> Any:
        if not isinstance(subnets, list | tuple) or not 2 <= len(set(map(str, subnets))) == len(subnets) <= 6:
            raise ValueError("two to six subnets, each in a zone of its own")
        return subnets


class GitHub(BaseModel):
    """The GitHub repository from which the stage is deployed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+/[\w.-]+$|^[A-Za-z0-9-]+@\d+/[\w.-]+@\d+$")]
    """The repository as the subject of its tokens names it: `<owner>/<name>`.

    A repository made since July 2026 is `<owner>@<id>/<name>@<id>`, so nobody can take over its name.
    https://github.blog/changelog/2026-04-23-immutable-subject-claims-for-github-actions-oidc-tokens/"""
    provider_arn: Annotated[
        str | None,
        Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:oidc-provider/token\.actions\.githubusercontent\.com$"),
    ] = None
    """ARN of the account's identity provider for GitHub. Without it the stack makes the provider."""


class Api(BaseModel):
    """A REST API of each workload, and how many requests each takes of all callers together.

    "Throttles are applied on a best-effort basis":
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_s: Annotated[int, Field(ge=1, le=10_000)] = 100
    burst: Annotated[int, Field(ge=1, le=5_000)] = 200
    """So many requests may come at once."""
    private: tuple[VpcEndpointId, ...] = ()
    """Interface endpoints of `execute-api`. With some, requests come by these alone, and the prediction function has no
    URL."""


class Bulk(BaseModel):
    """What the Spark jobs of a workload may take at once, in EMR Serverless. Idle it costs nothing.

    A driver takes 4 vCPUs and 16 GB, and so does each executor. A new account has 16 vCPUs of EMR Serverless in all.
    https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/endpoints-quotas.html"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vcpus: Annotated[int, Field(ge=8, le=4000, multiple_of=4)] = USUAL_VCPUS
    above_mb: Annotated[int, Field(ge=1, le=LARGEST_MB)] = LARGEST_MB
    """A drop of `training` above so many MiB is judged by a job, which also joins small files of the rows above it."""


class Catalogue(BaseModel):
    """A catalogue of data that takes events of OpenLineage by HTTP, such as Marquez."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, _is("https://…, or http://localhost:… in the local cloud", r"https://\S+|http://localhost:\S+")]
    """Where it takes them: `https://marquez.example.com/api/v1/lineage`."""
    secret: Secret | None = None
    """The name of a secret in Secrets Manager with the value of the header Authorization: `Bearer …`."""


class Callers(BaseModel):
    """What one caller may send to a workload over HTTP: so many requests in a second, and so many at once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_s: Annotated[int, Field(ge=1, le=10_000)]
    burst: Annotated[int, Field(ge=1, le=100_000)]


AccountId = Annotated[str, Field(pattern=r"^\d{12}$")]
StageName = Annotated[str, Field(pattern=STAGE_PATTERN)]


class Reader(BaseModel):
    """A stage of another account that may pull the versions of this one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account: AccountId
    stage: StageName


class Partner(BaseModel):
    """What an account may do with the stage. Each of its roles needs the same right in its own policies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drops: tuple[Annotated[str, _is("<workload>/<feed>", rf"[a-z][a-z0-9_]*/({'|'.join(FEEDS)})")], ...] = ()
    """`<workload>/<feed>`: it may drop files there, below a folder with its own number."""
    calls: tuple[str, ...] = ()
    """Names of workloads whose REST API it may call."""


class Source(Reader):
    """The stage whose versions this one may pull, in the same region. Both ARNs are pinned: an alias could move."""

    key_arn: KeyArn
    """The customer key under which its artefacts lie."""
    signing_key_arn: KeyArn
    """The key that signs its versions."""

    def platform(self, region: str) -> Platform:
        """The names of that stage's resources."""
        return Platform(stage=self.stage, account=self.account, region=region)


class Accepted(BaseModel):
    """A vulnerability that the stage's images may have until a day."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Annotated[str, Field(min_length=1)]
    until: datetime.date
    """The last day, `2027-01-31`."""


class Options(BaseModel):
    """The choices for one stage. Each has a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    like: Literal["dev", "prod"] | None = None
    """For a stage with another name than `dev` or `prod`: which of the two it is set up as."""
    tags: dict[TagKey, TagValue] = {}
    """Tags on everything, beside the platform's own: for example a cost centre."""

    alarm_email: Address | None = None
    """The address to which alarms are sent once its owner has confirmed it."""
    alarm_webhook: Secret | None = None
    """The name of a secret in Secrets Manager with the URL of a chat's webhook, to which alarms are posted."""
    lineage: Catalogue | None = None
    """A catalogue that is told what was made of what: drop, table, model, live version, predictions."""
    tracking: Mlflow | None = None
    """The MLflow in which runs are recorded: `app` (serverless), which the platform makes, or the ARN of one that
    exists. The stage `local` records in `build/mlflow.db`."""

    machine_log: MachineLog | None = None
    """What the state machines log. The default is `data`, and in `prod` it is `events`."""

    access_audit: bool | None = None
    """Whether [who reads which object](operating.md#who-read-what) is recorded, for 0.10 USD per 100,000 reads. The
    default is `true` in `prod` and `false` elsewhere."""

    permissions_boundary: PolicyArn | None = None
    """The permissions boundary of every role, for an account that lets nobody make a role without one."""
    targets: tuple[str, ...] | None = None
    """What workloads may reach outside the stage by consumers, sources, queries and weights: patterns of ARNs (secrets,
    keys), hosts and `s3://` URIs. Without it: in `prod` nothing, elsewhere everything."""
    network: Network | None = None
    """A network that replaces the platform's own."""
    key_arn: KeyArn | None = None
    """A customer key that replaces the platform's own. Its policy must let in the same services."""

    dashboards: bool = False
    """Whether each workload has a dashboard, which costs 3 USD a month beyond the three that an account has free."""
    prediction_provisioned: Annotated[int, Field(ge=0, le=1000)] = 0
    """So many environments of each prediction function are kept started. Requests beyond that meet a cold start."""
    prediction_reserved: Annotated[int, Field(ge=1, le=1000)] | None = None
    """How many requests each prediction function answers at once at most. No other function of the account gets these.

    Without it nothing is reserved. A new account has ten in all, of which Lambda lets nobody reserve one."""
    decision_writers: Annotated[int, Field(ge=2, le=1000)] = 2
    """How many functions write the decisions of a workload at once at most. Few writers make few, larger objects."""
    api: Api | None = None
    """A REST API for each workload, beside the URL of its prediction function. A million requests cost 3.50 USD."""
    callers: Callers | None = None
    """What each caller may send to a workload over HTTP. Who sends more gets the status 429."""
    bulk: Bulk | None = None
    """Spark for drops that are too large for a function. Without it such a drop is refused whole, as `too_large`."""
    github: GitHub | None = None
    """For `infra/deployer`: the repository that may deploy the stage by its pipelines."""

    accepted_findings: dict[str, Accepted] = {}
    """Vulnerabilities that [images](#images) may have, by name (`CVE-2026-1234`)."""
    pulls_from: Source | None = None
    """The stage from which versions are pulled, mostly of another account, with the image that serves them."""
    released_to: tuple[Reader, ...] = ()
    """The stages of other accounts that may pull versions of this one."""
    partners: dict[AccountId, Partner] = {}
    """By their numbers [other accounts](predictions.md#other-accounts) that drop files or call."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that CloudFormation reads."""
        named = (self.alarm_webhook, self.lineage.secret if self.lineage else None)
        return tuple(name for name in named if name)

    @model_validator(mode="after")
    def _keep_no_more_than_reserved(self) -> Options:
        kept = self.prediction_provisioned
        if self.prediction_reserved is not None and kept > self.prediction_reserved:
            raise ValueError(f"prediction_reserved of at least {kept}, which prediction_provisioned keeps started")
        return self

    @field_validator("tags")
    @classmethod
    def _are_not_ours(cls, tags: dict[str, str]) -> dict[str, str]:
        if taken := sorted(key for key in tags if key in OWN_TAGS or key.lower().startswith("aws:")):
            raise ValueError(f"other keys than {taken}, which the platform or AWS sets")
        return tags


LEAD = re.compile("^(Value error, |Input should be |String should have )")
"""Beginnings of pydantic's sentences. They are cut off, since the sentences here follow the word "expected"."""


def options_of(stages: object, stage: str) -> Options:
    """The options of the stage, out of the context's value of `stages`. On the command line (`-c stages=…`) it is JSON.

    Raises ConfigurationError for an unknown option or an impossible value."""
    chosen = by_stage(stages).get(stage)
    try:
        return Options.model_validate({} if chosen is None else chosen)
    except ValidationError as error:
        first = error.errors()[0]
    # One error is reported, the first. What came is "none", the unknown key, or the value.
    place = first["loc"]
    field = ".".join(["stages", stage, *map(str, place)])
    came = "none" if first["type"] == "missing" else place[-1] if first["type"] == "extra_forbidden" else first["input"]
    if place == ("alarm_webhook",):  # The URL of a chat by mistake: that is a secret.
        came = "another text"
    raise ConfigurationError(where="context", field=field, expected=_expected(first), came=came)


def _expected(error: ErrorDetails) -> str:
    """What pydantic expected instead, in words that follow "expected"."""
    place, context = error["loc"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return one_of(str(place[-1]), keys_at(place[:-1], Options))
        case "model_type":
            return f"an object with some of {', '.join(keys_at(place, Options))}"
        case "dict_type":
            return "an object"
        case "missing":
            return "a value"
        case "string_pattern_mismatch":
            return f"a text that matches {context['pattern']}"
        case _:
            return LEAD.sub("", error["msg"])


def declared_options(stage: str) -> Options:
    """The options of the stage in the `cdk.json` of the working folder, for programs that run without the CDK."""
    return options_of(json.loads(Path("cdk.json").read_text())["context"].get("stages"), stage)
