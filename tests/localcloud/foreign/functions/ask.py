"""One function writes the numbers that it is asked with to the queue; one reads them and starts the machine."""

import json
import os

import boto3


def ask(event, _):
    boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=json.dumps(event))


def start(event, _):
    machines = boto3.client("stepfunctions")
    for record in event["Records"]:
        machines.start_execution(stateMachineArn=os.environ["MACHINE"], input=record["body"])
