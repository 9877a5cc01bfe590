"""Rule: Step Functions' own integration with SageMaker waits for jobs, and every other call goes by `aws-sdk:`.

Its own integration only takes some of a request's fields. A definition with another field is refused when the machine
is made: "The field ... is not supported by Step Functions". `aws-sdk:` takes every field of the API.
https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from millrace.infra.rules.assembly import Finding, Stack, machines

OWN = ":states:::sagemaker:"
"""The own integration in the ARN of a task, behind the partition."""
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
"""Fields of each call that AWS's guide or the CDK's own tasks give to the integration.

Spot training and checkpoints run in https://github.com/aws/aws-step-functions-data-science-sdk-python/issues/42 and
/86. No page says that the integration takes EnableInterContainerTrafficEncryption. Only a training on several instances
has this field, and it needs it. If AWS refuses it, it does so when that machine is made. Maybe
`aws stepfunctions validate-state-machine-definition` says it before."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each call by the own integration that does not wait, or has a field that it may refuse."""
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
