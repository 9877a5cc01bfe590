"""Derives what CloudFormation may do for a stage, for `cdk bootstrap --cloudformation-execution-policies`.

It is derived from the stage's templates. For each type of resource CloudFormation's own schema names the actions of its
handlers; they are allowed on resources with the stage's name. The actions of intrinsic functions come in addition. A
new type of resource needs a new right, which an administrator must give first.
https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html (handlers, permissions)"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from millrace.errors import ConfigurationError
from millrace.infra.iam.resource import Resource, Statement, every, policy, resource
from millrace.infra.options import Options
from millrace.infra.rules.assembly import Stack
from millrace.names import API_STAGE, Platform

MOST_CHARACTERS = 6144
"""Most characters of a managed policy: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html."""
LEFT_OUT = frozenset(
    {
        # Data: handlers ask for it to import a table, to replicate it, or to empty a bucket; no template does.
        "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:ImportTable",
        "dynamodb:PutItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem",
        "logs:CreateLogStream", "logs:PutLogEvents", "s3:DeleteObject", "s3:PutObject", "s3:PutObjectAcl",
        # Rights from elsewhere: our roles have all of theirs in themselves, and keep their boundary; the policies of
        # people are attached by an administrator.
        "iam:AttachGroupPolicy", "iam:AttachRolePolicy", "iam:AttachUserPolicy", "iam:DetachGroupPolicy",
        "iam:DetachRolePolicy", "iam:DetachUserPolicy", "iam:DeleteRolePermissionsBoundary",
        "lambda:PassCapacityProvider", "glue:PassConnection",
        # Of servers of one's own.
        "codedeploy:RegisterOnPremisesInstance",
        # Of databases elsewhere.
        "glue:CreateConnection", "glue:DeleteConnection", "glue:GetConnection", "glue:UpdateConnection",
        # Names in the schemas that no service has.
        "kms:ReEncrypt", "s3:GetObjectMetadata", "s3:REST.PUT.OBJECT",
    }
)  # fmt: skip
"""Actions that the schemas name and that no template needs."""
UNUSED = frozenset(
    {
        "autoscaling", "elasticfilesystem", "firehose", "lakeformation", "organizations", "s3files", "s3tables", "sso",
        "vpc-lattice", "vpce",
    }
)  # fmt: skip
"""Services of features that no template uses: global tables, table buckets, file systems, lattices, Lake Formation,
organizations, Identity Center."""
WITHOUT_RESOURCE = frozenset(
    {
        "cloudtrail:DescribeTrails",
        # Of composite alarms: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
        "cloudwatch:DescribeAlarms", "cloudwatch:PutCompositeAlarm",
        "codedeploy:StopDeployment",
        "ec2:DescribeAccountAttributes", "ec2:DescribeAvailabilityZones",
        "ec2:DescribeFlowLogs", "ec2:DescribeInstances", "ec2:DescribeNetworkAcls", "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeTags",
        "ec2:DescribeVpcEncryptionControls", "ec2:DescribeVpcEndpoints", "ec2:DescribeVpcs",
        "events:PutPermission", "events:RemovePermission",
        "kms:CreateKey", "kms:ListAliases", "lambda:CreateEventSourceMapping",
        "logs:CreateLogDelivery", "logs:DeleteIndexPolicy", "logs:DeleteLogDelivery", "logs:DeleteResourcePolicy",
        "logs:DescribeIndexPolicies", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies",
        "logs:PutIndexPolicy", "logs:PutResourcePolicy",
        "sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "sns:Unsubscribe",
    }
)  # fmt: skip
"""Actions that take no resource, so they are allowed on `*`.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html"""
NEEDED_BY: Mapping[str, frozenset[str]] = {
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-getavailabilityzones.html
    "Fn::GetAZs": frozenset({
        "ec2:DescribeAccountAttributes", "ec2:DescribeAvailabilityZones", "ec2:DescribeSubnets",
    }),
    # https://docs.aws.amazon.com/codedeploy/latest/userguide/auth-and-access-control-permissions-reference.html
    "CodeDeployLambdaAliasUpdate": frozenset({
        "codedeploy:CreateDeployment", "codedeploy:GetApplicationRevision", "codedeploy:GetDeployment",
        "codedeploy:GetDeploymentConfig", "codedeploy:RegisterApplicationRevision", "codedeploy:StopDeployment",
    }),
    **dict.fromkeys(("Fn::Contains", "Fn::GetAtt", "Fn::Join", "Fn::Not", "Fn::Select", "Fn::Split"), frozenset()),
}  # fmt: skip
"""The actions that CloudFormation calls for an intrinsic function or an update policy, by its name."""
PASSED_FOR = {
    "AWS::ApiGateway::Account": "apigateway.amazonaws.com",
    "AWS::SageMaker::MlflowApp": "sagemaker.amazonaws.com",
}
"""Services to which templates pass a role only for one type of resource, by that type."""
PASSED_TO = tuple(f"{one}.amazonaws.com" for one in ("codedeploy", "events", "lambda", "scheduler", "states"))
"""Services to which every stage's templates pass roles."""
LINKED = tuple(
    f"{one}.amazonaws.com"
    for one in ("apidestinations.events", "delivery.logs", "ops.apigateway", "ops.emr-serverless")
)
"""Services that make a role of their own at first use: for the webhook, the flow log, a REST API, and Spark."""
BOUNDED = frozenset({"iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"})
"""Actions that need the boundary as a condition: without it they can give a role every right.
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html"""
ASSETS = frozenset({"s3:GetObject", "s3:GetObjectVersion"})
GLUE = (("database/", ""), ("table/", "/*"), ("userDefinedFunction/", "/*"))
"""Resources that go with a database: text before and behind its name in their ARNs."""
APIS = ("/account", "/restapis", "/restapis/*", "/tags/*")
"""Resources of API Gateway: the account's role for logs, the APIs with all that is theirs, and the tags.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-control-access-iam-policies-examples.html"""
NAMED = "Every resource of the stage begins with its name; which ones there are is the templates' matter"
NAMELESS = "AWS gives it its name: an id that nobody knows before it is made"


def policies(platform: Platform, stacks: Sequence[Stack], options: Options) -> list[list[Statement]]:
    """The statements of each managed policy, in as few policies as their size allows."""
    # A role takes several managed policies, and each of them has its limit: statements fill one after the other.
    found: list[list[Statement]] = []
    for statement in statements(platform, stacks, options):
        if found and characters([*found[-1], statement]) <= MOST_CHARACTERS:
            found[-1].append(statement)
        else:
            found.append([statement])
    return found


def characters(several: Iterable[Statement]) -> int:
    """Characters of the policy with these statements, without blanks, as IAM counts them."""
    return len(json.dumps(policy([one.document() for one in several]), separators=(",", ":")))


def statements(platform: Platform, stacks: Sequence[Stack], options: Options) -> Iterator[Statement]:
    """A statement for each service, and a second one for its actions that take no resource. IAM has its own ones.

    Raises ConfigurationError if a handler needs a service of which nobody has said what the stage has there."""
    # By service, the actions that the templates' types and functions need.
    given: dict[str, set[str]] = defaultdict(set)
    for kind in sorted({one.kind for stack in stacks for one in stack.resources()}):
        for action in handled(kind) - LEFT_OUT:
            given[action.partition(":")[0]].add(action)
    for function in evaluated(stacks):
        for action in NEEDED_BY[function]:
            given[action.partition(":")[0]].add(action)
    resources = resources_of(platform, options.secrets)
    for service in sorted(given.keys() - UNUSED - {"iam"}):
        if service not in resources:
            expected = f"what the stage has of {service}, in resources_of or UNUSED of infra/deployer/execution.py"
            raise ConfigurationError(where="deployer", field="handlers", expected=expected, came=sorted(given[service]))
        taking = given[service] - WITHOUT_RESOURCE - ASSETS
        yield resources[service].may(*taking)
        if without := given[service] & WITHOUT_RESOURCE:
            yield every(service, because="The actions take no resource").may(*without)
    kinds = {one.kind for stack in stacks for one in stack.resources()}
    passed_to = {*PASSED_TO, *(service for kind, service in PASSED_FOR.items() if kind in kinds)}
    yield from _roles(platform, given["iam"], options, passed_to)
    # The version of the bootstrap, which each template checks, and the code that the CDK uploaded.
    yield resource("ssm", platform.arn("ssm", "parameter/cdk-bootstrap/hnb659fds/version")).may("GetParameters")
    bucket = platform.arn("s3", f"cdk-hnb659fds-assets-{platform.account}-{platform.region}/*")
    yield resource("s3", bucket, because="The CDK names an asset by its digest").may(*ASSETS)


def evaluated(stacks: Iterable[Stack]) -> set[str]:
    """The intrinsic functions in the templates (`Fn::GetAZs`), and the update policies in NEEDED_BY."""
    found = {name for stack in stacks for name in _names(stack.template)}
    return {name for name in found if name.startswith("Fn::") or name in NEEDED_BY}


def _names(value: Any) -> Iterator[str]:
    """Every key, at every depth."""
    if isinstance(value, Mapping):
        yield from value
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _names(inner)


@cache
def handled(kind: str) -> frozenset[str]:
    """The actions by which CloudFormation makes, reads, changes and deletes a resource of the type."""
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    # No deployment calls the handler `list`.
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema["handlers"]
    used = [handler["permissions"] for name, handler in handlers.items() if name != "list"]
    # Schemas write `CloudTrail:CreateTrail`; IAM does not care.
    named = (action.partition(":") for several in used for action in several)
    return frozenset(f"{service.lower()}:{action}" for service, _, action in named)


def resources_of(platform: Platform, secrets: Sequence[str]) -> Mapping[str, Resource]:
    """The resources of the stage by service, by its name where they have one."""
    prefix, arn = platform.prefix, platform.arn
    connections = (f"events!connection/{prefix}-{one}/*" for one in ("webhook", "lineage"))
    read = [f"secret:{one}" for one in (*connections, *(f"{secret}-*" for secret in secrets))]

    def named(service: str, *names: str) -> Resource:
        return resource(service, *(arn(service, name) for name in names), because=NAMED)

    key = (arn("kms", "key/*"), arn("kms", f"alias/{prefix}"), arn("kms", f"alias/{prefix}-*"))
    functions = (f"function:{prefix}-*", f"layer:{prefix}-*", "event-source-mapping:*")
    buses = (f"event-bus/{prefix}", f"rule/{prefix}-*", f"rule/{platform.bus}/{prefix}-*")
    moves = (f"application:{prefix}", f"deploymentgroup:{prefix}/{prefix}-*", "deploymentconfig:*")
    models = (f"model-package-group/{prefix}-*", "mlflow-app/*")
    # AWS names the group of an API's own errors by the API's id.
    folders = ("/aws/lambda", "/aws/vendedlogs/states", "/aws/sagemaker/Endpoints", "/aws/apigateway")
    logs = (*(f"{folder}/{prefix}-*" for folder in folders), f"API-Gateway-Execution-Logs_*/{API_STAGE}")
    apis = (f"arn:{platform.partition}:apigateway:{platform.region}::{one}" for one in APIS)
    dashboards = _global(platform, "cloudwatch", f"dashboard/{prefix}-*", because=NAMED)
    return {
        "apigateway": resource("apigateway", *apis, because=f"Of an API. {NAMELESS}"),
        "athena": named("athena", f"workgroup/{platform.workgroup}"),
        "billing": _global(platform, "billing", "billingview/*", because="The account has one view of its bill"),
        "budgets": _global(platform, "budgets", f"budget/{prefix}-*", because=NAMED),
        "cloudtrail": named("cloudtrail", f"trail/{prefix}-*"),
        "cloudwatch": named("cloudwatch", f"alarm:{prefix}-*") + dashboards,
        "codedeploy": named("codedeploy", *moves),
        "dynamodb": named("dynamodb", f"table/{prefix}-*"),
        "ec2": resource("ec2", arn("ec2", "*"), because=f"Of a part of a network. {NAMELESS}"),
        "ecr": named("ecr", f"repository/{prefix}-*"),
        "emr-serverless": resource("emr-serverless", arn("emr-serverless", "/*"), because=f"Of Spark. {NAMELESS}"),
        "events": named("events", *buses, f"connection/{prefix}-*", f"api-destination/{prefix}-*"),
        "glue": named("glue", "catalog", *(f"{part}{platform.database}{rest}" for part, rest in GLUE)),
        "kinesis": named("kinesis", f"stream/{prefix}-*"),
        "kms": resource("kms", *key, because=f"Of a key. {NAMELESS}"),
        "lambda": resource("lambda", *(arn("lambda", one) for one in functions), because=f"Of a mapping. {NAMELESS}"),
        "logs": named("logs", *(f"log-group:{one}" for one in logs)),
        "s3": resource("s3", platform.arn("s3", f"{prefix}-*"), because=NAMED),
        "sagemaker": resource(
            "sagemaker", *(arn("sagemaker", one) for one in models), because=f"Of an App. {NAMELESS}"
        ),
        "scheduler": named("scheduler", f"schedule/default/{prefix}-*"),
        "secretsmanager": resource(
            "secretsmanager",
            *(arn("secretsmanager", one) for one in read),
            because="Secrets Manager adds letters to a secret's name",
        ),
        "sns": named("sns", f"{prefix}-*"),
        "sqs": named("sqs", f"{prefix}-*"),
        "ssm": named("ssm", f"parameter/{prefix}/*"),
        "states": named("states", f"stateMachine:{prefix}-*"),
    }


def _global(platform: Platform, service: str, name: str, *, because: str) -> Resource:
    """A resource of a service that has no region in its ARNs."""
    return resource(service, f"arn:{platform.partition}:{service}::{platform.account}:{name}", because=because)


def _roles(platform: Platform, actions: set[str], options: Options, passed_to: Iterable[str]) -> Iterator[Statement]:
    """Rights on the stage's roles and policies alone, with the boundary as a condition if the stage has one.

    `passed_to` are the services to which the roles may be passed."""
    arn = platform.role_arn("*")
    boundary = {"StringEquals": {"iam:PermissionsBoundary": options.permissions_boundary}}
    bounded = actions & BOUNDED if options.permissions_boundary else set()
    if bounded:
        yield resource("iam", arn, because=NAMED, where=boundary).may(*bounded)
    policies_of_people = platform.arn("iam", f"policy/{platform.prefix}-*")
    yield resource("iam", arn, policies_of_people, because=NAMED).may(
        *actions - bounded - {"iam:PassRole", "iam:CreateServiceLinkedRole"}
    )
    passed = {"StringEquals": {"iam:PassedToService": sorted(passed_to)}}
    yield resource("iam", arn, because=NAMED, where=passed).may("PassRole")
    linked: dict[str, dict[str, Any]] = {"StringEquals": {"iam:AWSServiceName": list(LINKED)}}
    services = platform.arn("iam", "role/aws-service-role/*")
    yield resource("iam", services, because="AWS names the roles of its services", where=linked).may(
        "CreateServiceLinkedRole"
    )
