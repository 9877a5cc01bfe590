"""The rows of the parity ledger: one for each feature that an assembly may have.

*executed*: the behaviour on which the platform relies happens, by the same calls and with the same outcome.
*simulated*: it is accepted and answered. What it does on AWS happens in part or not at all; a sentence says which.
*not covered*: it is refused by name, at deployment or when it is called.

What is executed has a sentence only where AWS does more. Nobody has looked at a feature without a row: the ledger
refuses an assembly that has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import partial


class Status(StrEnum):
    EXECUTED = "executed"
    SIMULATED = "simulated"
    NOT_COVERED = "not covered"


Row = tuple[Status, str]
"""The status, and how the feature differs from AWS; empty where it does not."""


def _rows(status: Status, names: str, difference: str = "", *, prefix: str = "") -> dict[str, Row]:
    """The same row for several names: `executed("SendMessage ReceiveMessage", prefix="sqs:")` has two keys."""
    return {f"{prefix}{name}": (status, difference) for name in names.split()}


executed, simulated, not_covered = (partial(_rows, status) for status in Status)


RESOURCE_TYPES: Mapping[str, Row] = {
    **executed(
        "CDK::Metadata CloudWatch::Alarm Events::Rule Glue::Database Glue::Table IAM::ManagedPolicy "
        "IAM::Policy IAM::Role KMS::Alias Lambda::LayerVersion Lambda::Permission "
        "Lambda::Version Logs::LogGroup S3::BucketPolicy SNS::Topic SNS::TopicPolicy SQS::Queue SQS::QueuePolicy "
        "SSM::Parameter SageMaker::Endpoint SageMaker::EndpointConfig SageMaker::Model SageMaker::ModelPackageGroup",
        prefix="AWS::",
    ),
    **executed(
        "Deployment RestApi Stage",
        "APIs of an OpenAPI document with signed operations and a Lambda proxy, at "
        "`/_aws/execute-api/<api>/<stage>/<path>`. Nothing is throttled, no error is logged but in the access log.",
        prefix="AWS::ApiGateway::",
    ),
    **executed("AWS::Athena::WorkGroup", "No metrics of its own."),
    **executed(
        "AWS::CloudTrail::Trail",
        "Reads of objects, within a second; on AWS after some five minutes. No refused read and no digests of files.",
    ),
    **executed("AWS::CloudWatch::CompositeAlarm", "Actions are never suppressed."),
    **executed("AWS::DynamoDB::Table", "A deletion leaves its backup; other restorations are of now."),
    **executed("AWS::EMRServerless::Application", "Spark, by Sail; an idle one has stopped. Nothing is billed."),
    **executed("AWS::Events::ApiDestination", "Without the rate limit; http too."),
    **executed("AWS::Events::Connection", "API keys only; other kinds of authorization are kept."),
    **executed("AWS::Events::EventBus", "Without its key its dead letters get each event once a rule, not encrypted."),
    **executed("AWS::Kinesis::Stream", "On demand, with four shards for good; records do not expire."),
    **executed("AWS::Lambda::Alias", "Weights between two versions are refused."),
    **executed(
        "AWS::Lambda::EventSourceMapping",
        "Standard queues (at most four batches at once), Kinesis streams (one call at once, no window) and streams of "
        "tables, whose records do not expire; other sources, filters and other settings of a stream are refused.",
    ),
    **executed(
        "AWS::Lambda::Function",
        "Memory is looked at every 50 ms; as many at once as there are cores (two at least), the others wait. Python "
        "and processor are the host's; network, tracing and the key of the variables are settings only. No recursive "
        "loop is stopped.",
    ),
    **executed(
        "AWS::S3::Bucket",
        "An object has 1 GiB at most. Lifecycle, access logs and ownership are settings only.",
    ),
    **executed(
        "AWS::SNS::Subscription",
        "Queues and functions receive. An e-mail address stays pending, its mails are lines of the log group "
        "/local/mail; telephones receive nothing.",
    ),
    **executed(
        "AWS::Scheduler::Schedule",
        "A flexible window fires at its start, a failed call is tried four times within seconds.",
    ),
    **executed(
        "AWS::StepFunctions::StateMachine",
        "Log group and traces stay empty; Express runs as Standard; variables (Assign) are refused. TestState covers "
        "tasks with a mocked error, Choice, Pass, Succeed and Fail, and shows who took an error.",
    ),
    **simulated("AWS::ApiGateway::Account", "Kept; access logs are written without its role."),
    **simulated("AWS::Budgets::Budget", "Kept; nothing is billed here, so no notification is ever sent."),
    **simulated("AWS::CloudWatch::Dashboard", "Kept as text; nothing draws it."),
    **simulated(
        "Application DeploymentGroup",
        "Kept in its stack; all requests of an alias move at once, whatever configuration and alarms say.",
        prefix="AWS::CodeDeploy::",
    ),
    **simulated(
        "FlowLog RouteTable SecurityGroup SubnetRouteTableAssociation Subnet VPC VPCEndpoint",
        "Kept; there is no network, so no packet is routed, filtered or logged, and no endpoint's policy is checked.",
        prefix="AWS::EC2::",
    ),
    **simulated(
        "AWS::ECR::Repository",
        "Kept without images: what a Dockerfile copies is what runs, on the host's Python and its packages.",
    ),
    **simulated(
        "AWS::KMS::Key",
        "Its policy is checked by S3, SQS and SNS and at direct calls; one of ECC_NIST_P256 signs. Nothing is "
        "encrypted with it; tables, log groups, variables of functions, schedules and volumes do not check it.",
    ),
    **simulated("AWS::Lambda::Url", "Kept; the address answers nobody: the function is invoked by the API."),
    **not_covered(
        "AWS::SageMaker::MlflowApp", "A stage of an account may have one; the stage `local` records in a file."
    ),
}

OF_MOTO: Row = (Status.SIMULATED, "As moto has it: kept, some of it after its stack too, and nothing of it runs.")
"""The row of a resource type or of a call that moto has and no table here."""

STATE_TYPES: Mapping[str, Row] = {
    **executed("Pass Task Choice Wait Succeed Fail Parallel Map Retry Catch"),
    **executed("TimeoutSeconds", "Real seconds for tasks that wait for no token."),
    **executed("HeartbeatSeconds", "Real seconds, whatever the cloud's clock says."),
    "Map (DISTRIBUTED)": (Status.NOT_COVERED, "Refused when the machine is made."),
    **not_covered("JSONata", "Refused when the machine is made."),
}
"""Types of states, and features of states such as Retry and time limits."""

COMPARISONS = " ".join(
    f"{kind}{order}{path}"
    for kind in ("String", "Numeric", "Timestamp")
    for order in ("Equals", "LessThan", "GreaterThan", "LessThanEquals", "GreaterThanEquals")
    for path in ("", "Path")
)

STATE_FIELDS: Mapping[str, Row] = {
    **executed(
        "Comment Version StartAt States Type Next Default End Resource InputPath OutputPath Parameters ResultSelector "
        "ResultPath Result ItemsPath ItemSelector Error ErrorPath Cause CausePath Seconds SecondsPath Timestamp "
        "TimestampPath Retry Catch TimeoutSeconds HeartbeatSeconds ErrorEquals IntervalSeconds MaxAttempts BackoffRate "
        "MaxDelaySeconds JitterStrategy Branches Iterator ItemProcessor MaxConcurrency Choices Variable And Or Not "
        "BooleanEquals BooleanEqualsPath StringMatches IsBoolean IsNull IsNumeric IsPresent IsString IsTimestamp"
    ),
    **executed(COMPARISONS),
    **executed("ProcessorConfig", "Inline only."),
    **not_covered("Assign Arguments Output QueryLanguage", "Of JSONata: refused when the machine is made."),
}
"""Fields of a machine's definition: those of states, of their retriers and catchers, and of choices."""

CONTEXT_FIELDS: Mapping[str, Row] = executed(
    "Execution.Id Execution.Name Execution.Input Execution.RoleArn Execution.StartTime Execution.RedriveCount "
    "State.Name State.EnteredTime State.RetryCount StateMachine.Id StateMachine.Name Task.Token Map.Item.Index "
    "Map.Item.Value",
    prefix="$$.",
)
"""Fields of the context object (`$$.`), by which a machine reads its own execution."""

TEMPLATE_FEATURES: Mapping[str, Row] = {
    **executed(
        "AWSTemplateFormatVersion Description Metadata Resources DependsOn Conditions Condition Mappings Outputs "
        "Parameters"
    ),
    **executed(
        "String Number CommaDelimitedList List<Number> AWS::SSM::Parameter::Value<String> "
        "AWS::SSM::Parameter::Value<List<String>> AWS::SSM::Parameter::Name",
        prefix="parameter ",
    ),
    **simulated(
        "AWS::EC2::AvailabilityZone::Name List<AWS::EC2::AvailabilityZone::Name> AWS::EC2::Image::Id "
        "AWS::EC2::KeyPair::KeyName AWS::EC2::SecurityGroup::Id List<AWS::EC2::SecurityGroup::Id> "
        "AWS::EC2::Subnet::Id List<AWS::EC2::Subnet::Id> AWS::EC2::VPC::Id AWS::Route53::HostedZone::Id",
        "A text; AWS looks whether there is such a thing.",
        prefix="parameter ",
    ),
    **executed("Delete Retain RetainExceptOnCreate", prefix="DeletionPolicy "),
    **executed("Delete Retain", prefix="UpdateReplacePolicy "),
    **simulated("UpdatePolicy", "An update is made at once."),
    **simulated("Rules", "Kept; an assertion on parameters is never checked."),
}
"""Sections of templates, attributes of resources, types of parameters.

Intrinsic functions are looked up where they are evaluated (`localcloud/cloudformation/intrinsics.py`)."""

INTRINSIC_FUNCTIONS: Mapping[str, Row] = executed(
    "Array ArrayContains ArrayGetItem ArrayLength ArrayPartition ArrayRange ArrayUnique Base64Decode Base64Encode "
    "Format Hash JsonMerge JsonToString MathAdd MathRandom StringSplit StringToJson UUID",
    prefix="States.",
)
"""Intrinsic functions of state machines."""

TASKS: Mapping[str, Row] = executed(
    "lambda:invoke lambda:invoke.waitForTaskToken sqs:sendMessage sqs:sendMessage.waitForTaskToken sns:publish "
    "events:putEvents states:startExecution states:startExecution.sync states:startExecution.sync:2 dynamodb:getItem "
    "dynamodb:putItem dynamodb:updateItem dynamodb:deleteItem sagemaker:createTrainingJob "
    "sagemaker:createProcessingJob sagemaker:createTransformJob sagemaker:createTrainingJob.sync "
    "sagemaker:createProcessingJob.sync sagemaker:createTransformJob.sync sagemaker:createModel "
    "sagemaker:createEndpointConfig sagemaker:createEndpoint sagemaker:updateEndpoint athena:startQueryExecution "
    "athena:startQueryExecution.sync emr-serverless:startJobRun.sync"
)
"""Optimized integrations: `service:action` with its pattern. `aws-sdk:` integrations are looked up among CALLS."""

CALLS: Mapping[str, Row] = {
    **executed(
        "DeleteScalingPolicy DeregisterScalableTarget DescribeScalableTargets "
        "DescribeScalingPolicies PutScalingPolicy RegisterScalableTarget",
        prefix="application-autoscaling:",
    ),
    **executed(
        "GetQueryExecution GetQueryResults GetWorkGroup StartQueryExecution StopQueryExecution UpdateWorkGroup",
        "By duckdb, functions and types as sqlglot translates them, divided integers are a double. SELECT and UNLOAD "
        "as Parquet; no other statement, no federation.",
        prefix="athena:",
    ),
    **executed(
        "DeleteAlarms DescribeAlarms GetMetricData GetMetricStatistics PutMetricAlarm PutMetricData SetAlarmState",
        "Nothing ages out; no Insights.",
        prefix="cloudwatch:",
    ),
    **executed("cloudwatch:PutCompositeAlarm", "Actions are never suppressed."),
    **executed(
        "BatchGetItem BatchWriteItem ConditionCheckItem DeleteItem GetItem PutItem Query Scan TransactWriteItems "
        "UpdateItem",
        "Throughput is not limited, every read is consistent.",
        prefix="dynamodb:",
    ),
    **executed("DescribeStream GetRecords GetShardIterator ListStreams", prefix="dynamodb:"),
    **executed(
        "CancelJobRun GetJobRun StartJobRun TagResource", "Processes on the host's hardware.", prefix="emr-serverless:"
    ),
    **executed(
        "DescribeRule DisableRule EnableRule InvokeApiDestination ListRuleNamesByTarget ListRules ListTargetsByRule "
        "PutEvents",
        prefix="events:",
    ),
    **executed("cloudformation:GetTemplate"),
    **executed("cloudtrail:LookupEvents", "Starts of executions only, at once; on AWS after up to 15 minutes."),
    **executed("CreateTable DeleteTable GetDatabase GetTable GetTables UpdateTable", prefix="glue:"),
    **executed(
        "DescribeStream DescribeStreamSummary GetRecords GetShardIterator ListShards ListStreams PutRecord PutRecords",
        prefix="kinesis:",
    ),
    **executed("GetPublicKey Sign Verify", "Digests, by keys of ECC_NIST_P256.", prefix="kms:"),
    **executed(
        "GetFunctionConfiguration InvokeFunction ListEventSourceMappings ListFunctions UpdateEventSourceMapping",
        prefix="lambda:",
    ),
    **executed("DeleteLogGroup FilterLogEvents", prefix="logs:"),
    **executed(
        "AbortMultipartUpload CopyObject DeleteObject DeleteObjectVersion GetObject GetObjectTagging GetObjectVersion "
        "ListBucket ListBucketMultipartUploads ListBucketVersions ListMultipartUploadParts ListObjectsV2 PutObject "
        "PutObjectRetention PutObjectTagging",
        prefix="s3:",
    ),
    **executed(
        "CreateProcessingJob CreateTrainingJob CreateTransformJob DescribeProcessingJob DescribeTrainingJob "
        "DescribeTransformJob ListProcessingJobs ListTrainingJobs ListTransformJobs StopProcessingJob StopTrainingJob "
        "StopTransformJob",
        "Processes with the container's contract, on the host's hardware.",
        prefix="sagemaker:",
    ),
    **executed(
        "CreateEndpoint CreateEndpointConfig CreateModel CreateModelPackage DeleteEndpoint DeleteEndpointConfig "
        "DeleteModel DeleteModelPackage DescribeEndpoint DescribeEndpointConfig DescribeModel DescribeModelPackage "
        "DescribeModelPackageGroup InvokeEndpoint ListEndpointConfigs ListEndpoints ListModelPackages ListModels "
        "UpdateEndpoint UpdateEndpointWeightsAndCapacities UpdateModelPackage AddTags DeleteTags ListTags",
        prefix="sagemaker:",
    ),
    **executed("CreateModelCard DescribeModelCard", "AWS checks the content against its schema.", prefix="sagemaker:"),
    **executed("GetSchedule ListSchedules UpdateSchedule", prefix="scheduler:"),
    **executed("secretsmanager:GetSecretValue"),
    **executed("ListSubscriptionsByTopic Publish", prefix="sns:"),
    **executed(
        "ChangeMessageVisibility DeleteMessage GetQueueAttributes GetQueueUrl ListQueues ReceiveMessage "
        "SendMessage StartMessageMoveTask",
        prefix="sqs:",
    ),
    **executed("GetParameter GetParameters PutParameter", prefix="ssm:"),
    **executed(
        "DescribeExecution DescribeStateMachine DescribeStateMachineForExecution GetExecutionHistory ListExecutions "
        "ListStateMachines RedriveExecution SendTaskFailure SendTaskHeartbeat SendTaskSuccess StartExecution "
        "StopExecution",
        prefix="states:",
    ),
    **simulated(
        "GetAlias GetProvisionedConcurrencyConfig UpdateAlias",
        "CodeDeploy moves no alias here: a deployment does.",
        prefix="lambda:",
    ),
    **simulated("athena:GetDataCatalog", "Granted and not checked: the catalogue is Glue's."),
    **simulated(
        "BatchGetPartition GetPartition GetPartitions",
        "Granted; a table whose partitions are registered cannot be read.",
        prefix="glue:",
    ),
    **simulated("s3:GetBucketLocation", "Granted and not checked: all buckets are in one region."),
    **simulated("DeleteDashboards ListDashboards PutDashboard", "Kept; no chart is drawn.", prefix="cloudwatch:"),
    **simulated(
        "CreateNetworkInterface CreateNetworkInterfacePermission DeleteNetworkInterface "
        "DeleteNetworkInterfacePermission DescribeDhcpOptions DescribeNetworkInterfaces DescribeSecurityGroups "
        "DescribeSubnets DescribeVpcs",
        "Checked against the role that a job or model in a network is handed; no interface is made.",
        prefix="ec2:",
    ),
    **simulated(
        "BatchCheckLayerAvailability BatchGetImage GetAuthorizationToken GetDownloadUrlForLayer",
        "Checked against the role that a job or model is handed; no image is pulled.",
        prefix="ecr:",
    ),
    **simulated("ecr:DescribeImages", "Granted and not checked: the registry does not look at a version's image."),
    **simulated(
        "PutRule PutTargets",
        "Checked against a machine's role when it is made, for the rules behind `.sync` tasks; those need none here.",
        prefix="events:",
    ),
    **executed("iam:SimulatePrincipalPolicy", "Of roles, by their own policies and what the request gives."),
    **simulated("iam:CreateServiceLinkedRole", "Granted for the first use of a service; no such role is needed."),
    **simulated("Decrypt Encrypt GenerateDataKey", "The right to it is checked; nothing is encrypted.", prefix="kms:"),
    **simulated("kms:CreateGrant", "Checked for a job's volume and a model card; no grant is made."),
    **simulated("kms:DescribeKey", "Checked for schedules and model cards under a key; nothing is encrypted."),
    **simulated(
        "CreateLogGroup CreateLogStream DescribeLogStreams PutLogEvents",
        "Checked against the caller and the role passed to a job or model; lines are kept without it.",
        prefix="logs:",
    ),
    **simulated("logs:GetLogEvents", "Granted to the role of API Gateway, which reads no log here."),
    **simulated(
        "CreateLogDelivery DeleteLogDelivery DescribeLogGroups DescribeResourcePolicies GetLogDelivery "
        "ListLogDeliveries PutResourcePolicy UpdateLogDelivery",
        "Checked against a machine's role when it is made; no log is delivered.",
        prefix="logs:",
    ),
    **simulated(
        "CreateHyperParameterTuningJob DescribeHyperParameterTuningJob "
        "ListHyperParameterTuningJobs ListTrainingJobsForHyperParameterTuningJob StopHyperParameterTuningJob",
        "Training jobs run with drawn hyperparameters, as many at once as it says; the strategy Bayesian draws at "
        "random too, early stopping stops none.",
        prefix="sagemaker:",
    ),
    **simulated(
        "GetSamplingRules GetSamplingTargets PutTelemetryRecords PutTraceSegments",
        "Granted; no trace is sent.",
        prefix="xray:",
    ),
    **not_covered(
        "sagemaker-mlflow:CreateExperiment sagemaker-mlflow:CreateRun sagemaker-mlflow:DeleteRun "
        "sagemaker-mlflow:GetExperimentByName sagemaker-mlflow:LogBatch sagemaker-mlflow:SearchRuns "
        "sagemaker-mlflow:UpdateRun sagemaker:CallMlflowAppApi",
        "No MLflow answers here: the local stage writes its runs to a file.",
    ),
}
"""Actions of identity policies. Nobody has looked at an action that is not here."""

PATTERN_OPERATORS: Mapping[str, Row] = executed(
    "$or anything-but cidr equals-ignore-case exists numeric prefix suffix wildcard"
)
"""Operators of event patterns."""

POLICY_FEATURES: Mapping[str, Row] = {
    **executed("Action NotAction Resource NotResource Principal Deny iam:PassRole"),
    "permissions boundary": (Status.EXECUTED, ""),
    "identity policy": (Status.EXECUTED, "The operator's keys are not checked."),
    "trust policy": (
        Status.EXECUTED,
        "A role that assumes another by a call of its own needs its own policy only.",
    ),
    **executed("S3::BucketPolicy SQS::QueuePolicy SNS::TopicPolicy Lambda::Permission", prefix="resource policy AWS::"),
    **executed("SageMaker::ModelPackageGroup", prefix="resource policy AWS::"),
    **executed("KMS::Key", "By S3, SQS and SNS, and at direct calls.", prefix="resource policy AWS::"),
    **simulated("ECR::Repository", "Kept; no image is pulled.", prefix="resource policy AWS::"),
    **simulated("EC2::VPCEndpoint", "Kept; no request passes the endpoint.", prefix="resource policy AWS::"),
    **not_covered("NotPrincipal", "An Allow with it is void, a Deny with it bites; the refusal names it."),
}
"""Elements of policies. Condition keys and operators are looked up where they are decided (`localcloud/iam`)."""


def task_name(resource: str) -> str:
    """The name of a task by its Resource: `arn:aws:states:::sqs:sendMessage` is `sqs:sendMessage`.

    A function's own ARN, which is the old way to call it, is `lambda:invoke`."""
    # `0` stands for a partition or region that is known only at deployment (see `inventory.definition_of`).
    _, found, name = resource.partition(":states:")
    return name.lstrip(":0") if found else "lambda:invoke"
