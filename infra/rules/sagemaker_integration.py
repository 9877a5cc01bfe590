"""SageMaker's own integration of Step Functions waits for jobs; every other call goes by `aws-sdk:`.

The own integration takes a part of each request's fields, and a definition with another field is refused when the
machine is made: "The field ... is not supported by Step Functions". `aws-sdk:` takes every field of the API.
https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from infra.rules.assembly import Stack, machines
from infra.rules.finding import Finding

OWN = ":states:::sagemaker:"
"""In the ARN of a task, behind its partition."""
TAKEN: Mapping[str, frozenset[str]] = {
    "createTrainingJob": frozenset(
        {
            "AlgorithmSpecification", "CheckpointConfig", "EnableInterContainerTrafficEncryption",
            "EnableManagedSpotTraining", "EnableNetworkIsolation",
            "Environment", "HyperParameters", "InputDataConfig", "OutputDataConfig", "ResourceConfig", "RoleArn",
            "StoppingCondition", "Tags", "TrainingJobName", "VpcConfig",
        }
    ),
    "createProcessingJob": frozenset(
        {
            "AppSpecification", "Environment", "ExperimentConfig", "NetworkConfig", "ProcessingInputs",
            "ProcessingJobName", "ProcessingOutputConfig", "ProcessingResources", "RoleArn", "StoppingCondition",
            "Tags",
        }
    ),
    "createTransformJob": frozenset(
        {
            "BatchStrategy", "Environment", "MaxConcurrentTransforms", "MaxPayloadInMB", "ModelClientConfig",
            "ModelName", "Tags", "TransformInput", "TransformJobName", "TransformOutput", "TransformResources",
        }
    ),
}  # fmt: skip
"""Fields that AWS's guide or the CDK's own tasks give to the integration; spot training and checkpoints by
https://github.com/aws/aws-step-functions-data-science-sdk-python/issues/42 and /86, where they run. That the
integration takes EnableInterContainerTrafficEncryption no page says: only a training on several instances has it, which
may not do without. AWS says so when that machine is made; `aws stepfunctions validate-state-machine-definition` may say
it before."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each call by the own integration that does not wait, and for each field that it may refuse."""
    for machine in machines(stacks):
        for task in machine.tasks():
            resource = str(task.state["Resource"])
            if OWN not in resource:
                continue
            if not resource.endswith(".sync"):
                yield Finding(where=task.where, expected=f"aws-sdk:sagemaker:{task.action} or .sync", came=resource)
                continue
            unknown = {key.removesuffix(".$") for key in task.parameters} - TAKEN.get(task.action, frozenset())
            if unknown:
                expected = "fields that Step Functions' own integration takes"
                yield Finding(where=task.where, expected=expected, came=sorted(unknown))
