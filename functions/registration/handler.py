"""Makes a signed version in the model registry of a model that passed its gates."""

from __future__ import annotations

from datetime import timedelta

import boto3

from millrace.artefact.signing import SIGNATURE_FILE
from millrace.aws.objects import put_object
from millrace.errors import ConflictError
from millrace.evaluation.report import EVALUATION_FILE
from millrace.functions.registration.chain import Documents, read_chain
from millrace.functions.room import WorkloadRoom
from millrace.messages.envelope import DELIVERED_WITHIN, StepInput
from millrace.messages.train import JudgedState, VersionRegistered
from millrace.release.askers import Askers
from millrace.release.registry import ASKED_BY, PACKAGE_FILE, Candidate, KeptVersion, Registry
from millrace.release.signatures import SigningKey, signed_version
from millrace.settings.training import RegistrationSettings
from millrace.workload.training_cost import longest_hours

ROOM = WorkloadRoom(RegistrationSettings.parse(), __name__)
S3 = boto3.client("s3")
SAGEMAKER = boto3.client("sagemaker")
ASKERS = Askers(ROOM.names, states=boto3.client("stepfunctions"), trail=boto3.client("cloudtrail"))
REGISTRY = Registry(SAGEMAKER, group=ROOM.names.package_group)
KEY = SigningKey(boto3.client("kms"), ROOM.names.platform.signing_key_alias)
DOCUMENTS = Documents(s3=S3, sagemaker=SAGEMAKER, room=ROOM, key=KEY)


@ROOM.handles(StepInput[JudgedState])
def handler(call: StepInput[JudgedState]) -> VersionRegistered:
    """The package's ARN and its version.

    Raises AskerUnknownError until CloudTrail says who started the training.
    Raises ArtefactError if the chain of digests does not hold or the model card has an empty field, and ConflictError
    if another run has the lease `train` by now."""
    # Take the lease once more: a run that failed has lost it, and after a redrive another run may have it.
    until = call.state.as_of + timedelta(hours=longest_hours(ROOM.workload))
    if not ROOM.leases.take("train", holder=call.execution_arn, as_of=call.state.as_of, expires_at=until):
        raise ConflictError(f"{call.execution_arn}: expected the lease of training, another run took it meanwhile")
    # Check the chain, write the documents, sign, register. A repeated call can do all of it again.
    url = call.state.training.model_data_url
    report_uri = ROOM.names.run_uri(call.run, "evaluation", EVALUATION_FILE)
    chain = read_chain(S3, ROOM.names, run=call.run, model_data_url=url)
    documents = DOCUMENTS.write(chain, run=call.run, model_data_url=url, verdicts=call.state.gating.answer.verdicts)
    metadata = {**chain.metadata, **documents, ASKED_BY: ASKERS.find(call.execution_arn)}
    signed = signed_version(ROOM.names, run=call.run, members=chain.members, metadata=metadata)
    put_object(S3, ROOM.names.run_uri(call.run, SIGNATURE_FILE), KEY.sign(signed.to_statement()))
    candidate = Candidate(
        run=call.run,
        image=ROOM.settings.inference_image,
        model_data_url=url,
        evaluation_uri=report_uri,
        instances=tuple(sorted(set(ROOM.workload.rollout.instance.values()))),
        metadata=metadata,
    )
    package = REGISTRY.register(candidate)
    put_object(S3, ROOM.names.run_uri(call.run, PACKAGE_FILE), KeptVersion.of(candidate, package).encode())
    if not chain.evaluation.beside:
        # A first version: the lease `first` keeps other first trainings from starting until its release has the lease
        # `release`. EventBridge tries to start the release for `DELIVERED_WITHIN`; after that the lease ends.
        ROOM.leases.take("first", holder=package.arn, as_of=call.state.as_of, expires_at=until + DELIVERED_WITHIN)
    return VersionRegistered(package_arn=package.arn, version=package.version)
