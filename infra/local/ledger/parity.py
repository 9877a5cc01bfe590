"""The rows of the parity ledger: one for each feature that an assembly may have, with a status and a sentence.

*executed*: the behaviour on which the platform relies happens, by the same calls and with the same outcome.
*simulated*: it is accepted and answered. What it does on AWS happens in part or not at all; the sentence says which.
*not covered*: it is refused by name, at deployment or when it is called.

Nobody has looked at a feature without a row: the ledger refuses an assembly that has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Status(StrEnum):
    EXECUTED = "executed"
    SIMULATED = "simulated"
    NOT_COVERED = "not covered"


Row = tuple[Status, str]

_DOES, _ACTS, _LACKS = Status.EXECUTED, Status.SIMULATED, Status.NOT_COVERED


def _each(row: Row, prefix: str, names: str) -> dict[str, Row]:
    """The same row for several names: `_each(row, "sqs:", "SendMessage ReceiveMessage")` has two keys."""
    return {f"{prefix}{name}": row for name in names.split()}


RESOURCE_TYPES: Mapping[str, Row] = {
    "AWS::Athena::WorkGroup": (_DOES, "Says where results go and how much a query may scan; no metrics of its own."),
    "AWS::Budgets::Budget": (_ACTS, "Kept with its notifications; nothing is billed here, so none is ever sent."),
    "AWS::CDK::Metadata": (_DOES, "Says nothing on AWS either."),
    "AWS::CloudWatch::Alarm": (
        _DOES,
        "Statistics, percentiles, metric math, missing data, M out of N; actions and events are sent. Judged a moment "
        "after a metric came, not once a minute; a move of the clock is judged at its end.",
    ),
    "AWS::CloudWatch::CompositeAlarm": (
        _DOES,
        "Its rule follows the alarms that it names; actions are never suppressed.",
    ),
    "AWS::CloudWatch::Dashboard": (_ACTS, "Kept as text; nothing draws it."),
    "AWS::DynamoDB::Table": (
        _DOES,
        "Items, conditions, transactions and the stream; a passed TTL deletes nothing, backups and encryption are "
        "settings only.",
    ),
    "AWS::EC2::SecurityGroup": (_ACTS, "Kept; no packet is filtered."),
    **_each(
        (_ACTS, "Kept; no packet is routed."),
        "AWS::EC2::",
        "RouteTable SubnetRouteTableAssociation",
    ),
    "AWS::EC2::FlowLog": (_ACTS, "Kept; no packet passes the network, so nothing is logged."),
    **_each(
        (_ACTS, "Kept; jobs and functions are processes of the host, outside of any network."),
        "AWS::EC2::",
        "Subnet VPC",
    ),
    "AWS::EC2::VPCEndpoint": (_ACTS, "Kept; no request passes it, its policy is not checked."),
    "AWS::ECR::Repository": (
        _ACTS,
        "Kept without images: what a Dockerfile copies is what runs, on the host's Python and its packages.",
    ),
    "AWS::Events::ApiDestination": (
        _DOES,
        "Its URL is called with what a rule sends, under the rule's role; without AWS's rate limit, http too.",
    ),
    "AWS::Events::Connection": (_DOES, "Its API key goes as a header; other kinds of authorization are kept only."),
    "AWS::Events::EventBus": (_DOES, "Events reach the rules of their bus; its key is a setting only."),
    "AWS::Events::Rule": (
        _DOES,
        "Patterns, schedules, input transformers, dead letters. A failed delivery is tried again three times within "
        "seconds; AWS tries as its target says, in these templates 8 times more within an hour.",
    ),
    "AWS::Glue::Database": (_DOES, "Kept, with tables that have versions."),
    "AWS::Glue::Table": (_DOES, "Kept; an update of an old version is refused, as Iceberg commits need it."),
    **_each((_DOES, "Checked at each call of a role that has it."), "AWS::IAM::", "ManagedPolicy Policy"),
    "AWS::IAM::Role": (
        _DOES,
        "Assumed by functions, machines, jobs, rules and schedules; each of their calls is decided by it.",
    ),
    "AWS::KMS::Alias": (_DOES, "Names its key."),
    "AWS::KMS::Key": (
        _ACTS,
        "Its policy is checked by S3, SQS and SNS and at direct calls; one of ECC_NIST_P256 signs. Nothing is "
        "encrypted with it; tables, log groups, variables of functions, schedules and volumes do not check it.",
    ),
    "AWS::Lambda::Alias": (_DOES, "Names its version; weights between two versions are kept, not drawn."),
    "AWS::Lambda::EventInvokeConfig": (
        _DOES,
        "Retries and destinations of asynchronous invocations; the waits between are seconds instead of minutes.",
    ),
    "AWS::Lambda::EventSourceMapping": (
        _DOES,
        "Queues are polled in batches, with windows and failures of single items, at most four batches at once. "
        "Streams of tables are read in order, a batch that fails is tried until it succeeds, no record expires. Other "
        "sources, filters, and other settings of a stream are refused.",
    ),
    "AWS::Lambda::Function": (
        _DOES,
        "The staged bundle with its layers in processes under the function's role, by AWS's own runtime client. The "
        "time limit is kept, memory is looked at every 50 ms; as many at once as there are cores (two at least), the "
        "next ones wait. Python and processor are the host's; network, tracing and the key of the variables are "
        "settings only. No recursive loop is stopped.",
    ),
    "AWS::Lambda::LayerVersion": (_DOES, "On the path of the function."),
    "AWS::Lambda::Permission": (_DOES, "Checked when a service of AWS invokes the function."),
    "AWS::Lambda::Url": (_ACTS, "Kept; the address answers nobody: the function is invoked by the API."),
    "AWS::Lambda::Version": (_DOES, "Code and settings as they were when it was published."),
    "AWS::Logs::LogGroup": (
        _DOES,
        "The lines of functions, jobs and endpoints, with the times at which their invocations and processes ended; "
        "nothing expires.",
    ),
    "AWS::S3::Bucket": (
        _DOES,
        "Versions, parts, tags, events, and locks by the machine's own time; lifecycle, access logs, ownership and "
        "encryption are settings only.",
    ),
    "AWS::S3::BucketPolicy": (_DOES, "Checked at each call of a role, conditions included."),
    "AWS::SNS::Subscription": (
        _DOES,
        "Queues and functions receive. An e-mail address stays pending, what it would be sent is a line of the log "
        "group /local/mail; telephones receive nothing.",
    ),
    "AWS::SNS::Topic": (_DOES, "Messages reach the subscriptions."),
    "AWS::SNS::TopicPolicy": (_DOES, "Checked when a role or a service publishes."),
    "AWS::SQS::Queue": (
        _DOES,
        "Visibility, delays and retention by the cloud's clock, dead letters after the last attempt.",
    ),
    "AWS::SQS::QueuePolicy": (_DOES, "Checked when a role or a service sends."),
    "AWS::SSM::Parameter": (_DOES, "Kept, with versions."),
    "AWS::SageMaker::MlflowApp": (_LACKS, "A stage of an account may have one; the stage `local` records in a file."),
    "AWS::SageMaker::MlflowTrackingServer": (_LACKS, "As an App."),
    "AWS::SageMaker::ModelPackageGroup": (_DOES, "Versions with metadata, approval and events."),
    "AWS::Scheduler::Schedule": (
        _DOES,
        "Fires under its role by the cloud's clock, each due time once and in order; a flexible window fires at its "
        "start, a failed call is tried four times within seconds.",
    ),
    "AWS::StepFunctions::StateMachine": (
        _DOES,
        "Interpreted, each call under the machine's role, with events, task tokens and redrive. The limit of a "
        "history is not kept; log group and traces stay empty; Express runs as Standard; "
        "variables (Assign) are refused. TestState runs one state; of an inline Map it shows the inputs of the "
        "iterations and runs none; no distributed Map, no Parallel.",
    ),
}

STATE_TYPES: Mapping[str, Row] = {
    "Pass": (_DOES, "Passes its result on."),
    "Task": (_DOES, "Makes its call with the machine's role; see the calls."),
    "Choice": (_DOES, "Every comparison of JSONPath machines."),
    "Wait": (_DOES, "By the cloud's clock: a move of the clock ends it."),
    "Succeed": (_DOES, "Ends the execution."),
    "Fail": (_DOES, "Ends the execution with error and cause."),
    "Parallel": (_DOES, "Branches run side by side; one that fails stops the others."),
    "Map": (_DOES, "Inline, with MaxConcurrency."),
    "Map (DISTRIBUTED)": (_LACKS, "Refused when the machine is made."),
    "Retry": (_DOES, "Intervals by the cloud's clock, backoff, jitter and limits."),
    "Catch": (_DOES, "Error names as AWS gives them."),
    "TimeoutSeconds": (
        _DOES,
        "By the cloud's clock for machines and for tasks that wait for a token; real seconds for other tasks.",
    ),
    "HeartbeatSeconds": (_DOES, "Real seconds, whatever the cloud's clock says."),
    "JSONata": (_LACKS, "Refused when the machine is made."),
}
"""Types of states, and features of states such as Retry and time limits."""

STATE_FIELDS: Mapping[str, Row] = {
    **_each((_DOES, "Says nothing on AWS either."), "", "Comment Version"),
    **_each((_DOES, "Which state comes first, which next."), "", "StartAt States Type Next Default End"),
    **_each(
        (_DOES, "JSONPath, evaluated by moto's interpreter."),
        "",
        "InputPath OutputPath Parameters ResultSelector ResultPath Result ItemsPath ItemSelector",
    ),
    **_each((_DOES, "What is called; see the tasks."), "", "Resource"),
    **_each((_DOES, "Kept by the execution that ends."), "", "Error ErrorPath Cause CausePath"),
    **_each((_DOES, "Waited by the cloud's clock."), "", "Seconds SecondsPath Timestamp TimestampPath"),
    **_each((_DOES, "As their rows among the states say."), "", "Retry Catch TimeoutSeconds HeartbeatSeconds"),
    **_each(
        (_DOES, "When and how often a task is tried again."),
        "",
        "ErrorEquals IntervalSeconds MaxAttempts BackoffRate MaxDelaySeconds JitterStrategy",
    ),
    **_each((_DOES, "Branches and items run side by side."), "", "Branches Iterator ItemProcessor MaxConcurrency"),
    "ProcessorConfig": (_DOES, "Its mode: inline; the other one is refused."),
    **_each((_DOES, "Decided by moto's interpreter, every comparison of JSONPath."), "", "Choices Variable And Or Not"),
    **_each(
        (_DOES, "Compared by moto's interpreter."),
        "",
        " ".join(
            f"{kind}{comparison}{path}"
            for kind in ("String", "Numeric", "Timestamp", "Boolean")
            for comparison in (
                ("Equals",)
                if kind == "Boolean"
                else ("Equals", "LessThan", "GreaterThan", "LessThanEquals", "GreaterThanEquals")
            )
            for path in ("", "Path")
        )
        + " StringMatches IsBoolean IsNull IsNumeric IsPresent IsString IsTimestamp",
    ),
    "Assign": (_LACKS, "Variables need JSONata to be read: refused when the machine is made."),
    **_each((_LACKS, "Of JSONata: refused when the machine is made."), "", "Arguments Output QueryLanguage"),
}
"""Fields of a machine's definition: those of states, of their retriers and catchers, and of choices."""

CONTEXT_FIELDS: Mapping[str, Row] = {
    **_each((_DOES, "As AWS gives it."), "$$.", "Execution.Id Execution.Name Execution.Input Execution.RoleArn"),
    "$$.Execution.StartTime": (_DOES, "By the cloud's clock; a redrive does not change it."),
    "$$.Execution.RedriveCount": (_DOES, "Counted here: moto has none."),
    **_each((_DOES, "As AWS gives it."), "$$.", "State.Name State.EnteredTime StateMachine.Id StateMachine.Name"),
    "$$.State.RetryCount": (_DOES, "Of what can be retried, as on AWS; from 0 again after a redrive."),
    "$$.Task.Token": (_DOES, "What SendTaskSuccess and SendTaskFailure take."),
    **_each((_DOES, "Of an inline Map."), "$$.Map.Item.", "Index Value"),
}
"""Fields of the context object (`$$.`), by which a machine reads its own execution."""

TEMPLATE_FEATURES: Mapping[str, Row] = {
    **_each((_DOES, "Says nothing on AWS either."), "", "AWSTemplateFormatVersion Description Metadata"),
    **_each(
        (_DOES, "Made, updated, replaced and deleted in the order of their references."), "", "Resources DependsOn"
    ),
    **_each((_DOES, "Evaluated when the stack is made."), "", "Conditions Condition Mappings Outputs Parameters"),
    "Rules": (_ACTS, "Kept; an assertion on parameters is never checked."),
    **_each((_DOES, "Given, or its default."), "parameter ", "String Number CommaDelimitedList List<Number>"),
    "parameter AWS::SSM::Parameter::Value<String>": (_DOES, "The parameter's value when the stack is made."),
    **_each(
        (_DOES, "Kept or deleted with its stack, as it says."), "DeletionPolicy ", "Delete Retain RetainExceptOnCreate"
    ),
    **_each((_DOES, "Kept or deleted when it is replaced, as it says."), "UpdateReplacePolicy ", "Delete Retain"),
}
"""Sections of templates, attributes of resources, types of parameters.

Intrinsic functions are looked up where they are evaluated (`infra/local/cloudformation/intrinsics.py`)."""

INTRINSIC_FUNCTIONS: Mapping[str, Row] = _each(
    (_DOES, "Evaluated by moto's interpreter."),
    "States.",
    "Array ArrayContains ArrayGetItem ArrayLength ArrayPartition ArrayRange ArrayUnique Base64Decode Base64Encode "
    "Format Hash JsonMerge JsonToString MathAdd MathRandom StringSplit StringToJson UUID",
)
"""Intrinsic functions of state machines."""

TASKS: Mapping[str, Row] = {
    "lambda:invoke": (_DOES, "The function runs; its error type is the error's name."),
    **_each(
        (_DOES, "Waits for SendTaskSuccess or SendTaskFailure."),
        "",
        "lambda:invoke.waitForTaskToken sqs:sendMessage.waitForTaskToken",
    ),
    "sqs:sendMessage": (_DOES, "The message is sent."),
    "sns:publish": (_DOES, "The message is published."),
    "events:putEvents": (_DOES, "The events reach the bus; a failed entry fails the state."),
    "states:startExecution": (_DOES, "The other machine starts."),
    "states:startExecution.sync": (_DOES, "Waits for the end; its output is text."),
    "states:startExecution.sync:2": (_DOES, "Waits for the end; its output is JSON."),
    **_each(
        (_DOES, "The item is read or written, conditions kept."), "dynamodb:", "getItem putItem updateItem deleteItem"
    ),
    **_each(
        (_DOES, "The job starts as a process with the container's contract."),
        "sagemaker:",
        "createTrainingJob createProcessingJob createTransformJob",
    ),
    **_each(
        (_DOES, "Waits for the job; a stopped execution stops it."),
        "sagemaker:",
        "createTrainingJob.sync createProcessingJob.sync createTransformJob.sync",
    ),
    **_each(
        (_DOES, "The model or the configuration is kept, checked by AWS's own model of the call."),
        "sagemaker:",
        "createModel createEndpointConfig",
    ),
    "sagemaker:createEndpoint": (_DOES, "The endpoint's processes start."),
    "sagemaker:updateEndpoint": (_DOES, "Blue and green, canary, rollback by alarms, waits by the cloud's clock."),
}
"""Optimized integrations: `service:action` with its pattern. `aws-sdk:` integrations are looked up among CALLS."""

CALLS: Mapping[str, Row] = {
    **_each(
        (_DOES, "The variants of endpoints follow their policies' alarms; a target takes its policies with it."),
        "application-autoscaling:",
        "DeleteScalingPolicy DeregisterScalableTarget DescribeScalableTargets DescribeScalingActivities "
        "DescribeScalingPolicies PutScalingPolicy RegisterScalableTarget",
    ),
    **_each(
        (
            _DOES,
            "SELECT, SHOW, DESCRIBE and EXPLAIN by the caller's rights, over the files that Glue names, by duckdb. "
            "Functions and types as sqlglot translates them, divided integers are a double; no DML, views, federation.",
        ),
        "athena:",
        "GetQueryExecution GetQueryResults GetWorkGroup StartQueryExecution StopQueryExecution UpdateWorkGroup",
    ),
    **_each(
        (_DOES, "Alarms as their row says; metrics with percentiles and metric math. Nothing ages out, no Insights."),
        "cloudwatch:",
        "DeleteAlarms DescribeAlarms GetMetricData GetMetricStatistics PutMetricAlarm PutMetricData SetAlarmState",
    ),
    "cloudwatch:PutCompositeAlarm": (_DOES, "Its rule is evaluated after the alarms that it names; no suppression."),
    **_each(
        (_ACTS, "Kept by name, its body checked as JSON; no chart is drawn."),
        "cloudwatch:",
        "DeleteDashboards ListDashboards PutDashboard",
    ),
    **_each(
        (_DOES, "Items and conditions; throughput is not limited, every read is consistent."),
        "dynamodb:",
        "BatchGetItem BatchWriteItem ConditionCheckItem DeleteItem GetItem PutItem Query Scan TransactWriteItems "
        "UpdateItem",
    ),
    **_each(
        (_DOES, "Checked against the role when its function is fed from the stream."),
        "dynamodb:",
        "DescribeStream GetRecords GetShardIterator ListStreams",
    ),
    **_each(
        (_ACTS, "Checked against the role that a job or model in a network is handed; no interface is made."),
        "ec2:",
        "CreateNetworkInterface CreateNetworkInterfacePermission DeleteNetworkInterface "
        "DeleteNetworkInterfacePermission DescribeDhcpOptions DescribeNetworkInterfaces DescribeSecurityGroups "
        "DescribeSubnets DescribeVpcs",
    ),
    **_each(
        (_ACTS, "Checked against the role that a job or model is handed; no image is pulled."),
        "ecr:",
        "BatchCheckLayerAvailability BatchGetImage GetAuthorizationToken GetDownloadUrlForLayer",
    ),
    "ecr:DescribeImages": (
        _ACTS,
        "Granted and not checked: the registry here does not look at the image of a version.",
    ),
    "events:InvokeApiDestination": (_DOES, "Checked when a rule calls the destination."),
    "events:PutEvents": (_DOES, "The events reach their bus."),
    **_each(
        (_DOES, "Rules are found by what they start, and switched off and on: a disabled one matches nothing."),
        "events:",
        "DescribeRule DisableRule EnableRule ListRuleNamesByTarget",
    ),
    **_each(
        (
            _ACTS,
            "Checked against a machine's role when it is made, for the rules behind `.sync` tasks; those wait without "
            "one.",
        ),
        "events:",
        "PutRule PutTargets",
    ),
    **_each(
        (_DOES, "The catalogue, with its check of versions."),
        "glue:",
        "CreateTable DeleteTable GetDatabase GetTable GetTables UpdateTable",
    ),
    "iam:CreateServiceLinkedRole": (_ACTS, "Granted for the first use of a service; no such role is needed."),
    **_each((_ACTS, "The right to it is checked; nothing is encrypted."), "kms:", "Decrypt Encrypt GenerateDataKey"),
    **_each(
        (_DOES, "Digests, by keys of ECC_NIST_P256; others verify the signatures too."),
        "kms:",
        "GetPublicKey Sign Verify",
    ),
    "kms:CreateGrant": (
        _ACTS,
        "Checked against a job's role for its volume, and who makes a model card; no grant is made.",
    ),
    "kms:DescribeKey": (
        _ACTS,
        "Checked against who puts a schedule or a model card under the customer key; nothing is encrypted.",
    ),
    **_each(
        (_DOES, "The queue is polled while it is enabled; `Disabling` until its poller has stopped."),
        "lambda:",
        "ListEventSourceMappings UpdateEventSourceMapping",
    ),
    "lambda:InvokeFunction": (_DOES, "Synchronously and asynchronously, with retries and destinations."),
    **_each(
        (
            _ACTS,
            "Checked against the caller and the role passed to a job or model; lines are kept without it.",
        ),
        "logs:",
        "CreateLogGroup CreateLogStream DescribeLogStreams PutLogEvents",
    ),
    **_each(
        (_ACTS, "Checked against a machine's role when it is made; no log is delivered."),
        "logs:",
        "CreateLogDelivery DeleteLogDelivery DescribeLogGroups DescribeResourcePolicies GetLogDelivery "
        "ListLogDeliveries PutResourcePolicy UpdateLogDelivery",
    ),
    "logs:DeleteLogGroup": (_DOES, "The group and its lines are gone."),
    **_each(
        (_DOES, "Objects with versions, parts, tags, locks and events."),
        "s3:",
        "AbortMultipartUpload DeleteObject DeleteObjectVersion GetObject GetObjectTagging GetObjectVersion ListBucket "
        "ListBucketMultipartUploads ListBucketVersions ListMultipartUploadParts ListObjectsV2 PutObject "
        "PutObjectRetention PutObjectTagging",
    ),
    **_each(
        (_DOES, "Jobs are processes with the container's contract, on the host's hardware."),
        "sagemaker:",
        "CreateProcessingJob CreateTrainingJob CreateTransformJob DescribeProcessingJob DescribeTrainingJob "
        "DescribeTransformJob ListProcessingJobs ListTrainingJobs ListTransformJobs StopProcessingJob StopTrainingJob "
        "StopTransformJob",
    ),
    **_each(
        (
            _ACTS,
            "Training jobs run with drawn hyperparameters, so many at once; the strategy Bayesian draws at random too, "
            "early stopping stops none.",
        ),
        "sagemaker:",
        "CreateHyperParameterTuningJob DeleteHyperParameterTuningJob DescribeHyperParameterTuningJob "
        "ListHyperParameterTuningJobs ListTrainingJobsForHyperParameterTuningJob StopHyperParameterTuningJob",
    ),
    **_each(
        (_DOES, "Endpoints are processes that answer HTTP, as many as they have instances."),
        "sagemaker:",
        "CreateEndpoint CreateEndpointConfig CreateModel DeleteEndpoint DeleteEndpointConfig DeleteModel "
        "DescribeEndpoint DescribeEndpointConfig DescribeModel ListEndpointConfigs ListEndpoints ListModels "
        "UpdateEndpoint UpdateEndpointWeightsAndCapacities",
    ),
    "sagemaker:InvokeEndpoint": (_DOES, "Answered by a process of the variant, by the variants' weights."),
    **_each(
        (_DOES, "The registry: versions, metadata, approval, life cycle and their events."),
        "sagemaker:",
        "CreateModelPackage DeleteModelPackage DescribeModelPackage DescribeModelPackageGroup ListModelPackages "
        "UpdateModelPackage",
    ),
    **_each(
        (_DOES, "Model cards as moto keeps them: by name, the content as it is; AWS checks it against its schema."),
        "sagemaker:",
        "CreateModelCard DescribeModelCard",
    ),
    **_each((_DOES, "Tags of jobs, models, endpoints and packages."), "sagemaker:", "AddTags DeleteTags ListTags"),
    **_each(
        (_LACKS, "No MLflow server answers here: the local stage writes its runs to a file."),
        "sagemaker-mlflow:",
        "CreateExperiment CreateRun DeleteRun GetExperimentByName LogBatch UpdateRun",
    ),
    "sagemaker:CallMlflowAppApi": (_LACKS, "No MLflow App answers here: the local stage writes its runs to a file."),
    **_each(
        (_DOES, "Kept; a disabled schedule fires no more."), "scheduler:", "GetSchedule ListSchedules UpdateSchedule"
    ),
    "sns:Publish": (_DOES, "The message reaches the topic's subscriptions."),
    **_each(
        (_DOES, "Messages, visibility and delays by the cloud's clock, dead letters."),
        "sqs:",
        "ChangeMessageVisibility DeleteMessage GetQueueAttributes GetQueueUrl ListMessageMoveTasks ReceiveMessage "
        "SendMessage StartMessageMoveTask",
    ),
    **_each((_DOES, "Parameters with versions."), "ssm:", "GetParameter GetParameters PutParameter"),
    **_each(
        (_DOES, "Executions, histories, task tokens, redrive."),
        "states:",
        "DescribeExecution GetExecutionHistory ListExecutions RedriveExecution SendTaskFailure SendTaskHeartbeat "
        "SendTaskSuccess StartExecution StopExecution",
    ),
    **_each(
        (_ACTS, "Granted; no trace is sent."),
        "xray:",
        "GetSamplingRules GetSamplingTargets PutTelemetryRecords PutTraceSegments",
    ),
}
"""Actions of identity policies. Nobody has looked at an action that is not here."""

PATTERN_OPERATORS: Mapping[str, Row] = _each(
    (_DOES, "Matched by moto as AWS matches it."),
    "",
    "$or anything-but cidr equals-ignore-case exists numeric prefix suffix wildcard",
)
"""Operators of event patterns."""

POLICY_FEATURES: Mapping[str, Row] = {
    **_each((_DOES, "Matched with wildcards, in any case."), "", "Action NotAction"),
    "Resource": (_DOES, "Matched against the resource that the call names, with wildcards and policy variables."),
    "NotResource": (_DOES, "Matched against the resource that the call names."),
    "Principal": (_DOES, "Roles, sessions, the account and services."),
    "NotPrincipal": (_LACKS, "An Allow with it is void, a Deny with it bites; the refusal names it."),
    "Deny": (_DOES, "Wins over every Allow."),
    "identity policy": (_DOES, "Checked at every call with a role's keys; the operator's keys are not checked."),
    "trust policy": (
        _DOES,
        "Checked when a service assumes the role; a role that assumes another by a call of its own needs its own "
        "policy only.",
    ),
    "permissions boundary": (_DOES, "Limits what the role's policies allow."),
    "resource policy AWS::S3::BucketPolicy": (_DOES, "Checked at each call of a role."),
    **_each(
        (_DOES, "Checked at each call of a role and each delivery of a service."),
        "resource policy AWS::",
        "SQS::QueuePolicy SNS::TopicPolicy",
    ),
    "resource policy AWS::Lambda::Permission": (_DOES, "Checked at each delivery of a service."),
    "resource policy AWS::KMS::Key": (
        _DOES,
        "Checked at each call of a role, also what S3, SQS and SNS need for the caller, and at deliveries of services.",
    ),
    "resource policy AWS::ECR::Repository": (_ACTS, "Kept; no image is pulled."),
    "resource policy AWS::EC2::VPCEndpoint": (_ACTS, "Kept; no request passes the endpoint."),
    "iam:PassRole": (_DOES, "Checked for each role that a call hands to a service, with `iam:PassedToService`."),
}
"""Elements of policies. Condition keys and operators are looked up where they are decided (`infra/local/iam`)."""


def task_name(resource: str) -> str:
    """The name of a task by its Resource: `arn:aws:states:::sqs:sendMessage` is `sqs:sendMessage`.

    A function's own ARN, which is the old way to call it, is `lambda:invoke`."""
    # `reference` stands for a partition or region that is known only at deployment (see `inventory.definition_of`).
    _, found, name = resource.partition(":states:")
    return name.lstrip(":").replace("reference:", "") if found else "lambda:invoke"
