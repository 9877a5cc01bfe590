"""A small app that knows nothing of this repository: `python app.py FOLDER` synthesizes it.

A function writes to a queue, another one reads it and starts a machine, which trains in an image of the app's own."""

from __future__ import annotations

import sys
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_lambda as functions
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as machines
from aws_cdk import aws_stepfunctions_tasks as tasks

HERE = Path(__file__).parent


class Shop(cdk.Stack):
    """The one stack of the app."""

    def __init__(self, scope: cdk.App) -> None:
        super().__init__(scope, "shop", env=cdk.Environment(account="123456789012", region="eu-west-1"))
        models, place = s3.Bucket(self, "models", bucket_name="shop-models"), tasks.S3Location.from_bucket
        seconds = cdk.CfnParameter(self, "Seconds", type="Number", min_value=30)
        queue = sqs.Queue(self, "numbers", visibility_timeout=cdk.Duration.seconds(seconds.value_as_number))
        fit = tasks.SageMakerCreateTrainingJob(
            self,
            "fit",
            integration_pattern=machines.IntegrationPattern.RUN_JOB,
            training_job_name=machines.JsonPath.string_at("$$.Execution.Name"),
            algorithm_specification=tasks.AlgorithmSpecification(
                training_image=tasks.DockerImage.from_asset(self, "image", directory=str(HERE / "image"))
            ),
            hyperparameters={"numbers": machines.JsonPath.string_at("$.numbers")},
            input_data_config=[
                tasks.Channel(
                    channel_name="none",
                    data_source=tasks.DataSource(
                        s3_data_source=tasks.S3DataSource(
                            s3_location=place(models, "input/"),
                            s3_data_type=tasks.S3DataType.S3_PREFIX,
                        )
                    ),
                )
            ],
            output_data_config=tasks.OutputDataConfig(s3_output_location=place(models, "fitted")),
        )
        machine = machines.StateMachine(self, "machine", definition_body=machines.DefinitionBody.from_chainable(fit))
        ask = self._function("ask", "ask.ask", QUEUE=queue.queue_url)
        queue.grant_send_messages(ask)
        start = self._function("start", "ask.start", MACHINE=machine.state_machine_arn)
        start.add_event_source(event_sources.SqsEventSource(queue, batch_size=1))
        machine.grant_start_execution(start)

    def _function(self, name: str, handler: str, **environment: str) -> functions.Function:
        return functions.Function(
            self,
            name,
            function_name=f"shop-{name}",
            runtime=functions.Runtime.PYTHON_3_11,
            handler=handler,
            code=functions.Code.from_asset(str(HERE / "functions")),
            environment=environment,
            timeout=cdk.Duration.seconds(30),
        )


app = cdk.App(outdir=sys.argv[1])
Shop(app)
app.synth()
