"""Copies a released version of another stage into this run, after its signature and every digest were checked."""

from __future__ import annotations

import tempfile
from pathlib import Path

import boto3

from millrace.artefact.artefact import ARCHIVE, digest, read_archive
from millrace.artefact.signing import SIGNATURE_FILE
from millrace.aws.objects import download, put_object, read_object
from millrace.errors import ArtefactError
from millrace.functions.room import Room
from millrace.messages.envelope import StepInput
from millrace.messages.train import PinnedState, VersionPulled
from millrace.release.promotion import check_not_refused
from millrace.release.registry import Package, Registry
from millrace.release.signatures import ORIGIN_FILE, SigningKey, check_signature
from millrace.settings.release import PullSettings

ROOM = Room(PullSettings.parse(), __name__)
SOURCE = ROOM.settings.source
S3 = boto3.client("s3")
REGISTRY = Registry(boto3.client("sagemaker"), group=SOURCE.package_group)
KEY = SigningKey(boto3.client("kms"), ROOM.settings.source_signing_key_arn)


@ROOM.handles(StepInput[PinnedState])
def handler(call: StepInput[PinnedState]) -> VersionPulled:
    """The copy of the version, under this stage's key. A repeated call copies the same.

    Raises ArtefactError for a version of another stage than the declared one, for one that was never live there, for
    another image or contract than this stage's, and if a signature or a digest is wrong. Raises ConflictError for a
    version that a person has refused."""
    package = find_released(call.state.pulled)
    check_not_refused(package)
    check_image(package)
    signed = check_signature(S3, KEY, SOURCE, package)
    where = f"version {package.version}"
    url = ROOM.names.run_uri(call.run, "training", ARCHIVE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ARCHIVE
        download(S3, package.model_data_url, path)
        artefact = read_archive(path, approved=signed.digests["model_digest"])
        content = path.read_bytes()
        for name, expected, came in (
            ("artefact", signed.digests["artefact_digest"], digest(content)),
            ("contract", call.state.snapshot.answer.contract_digest, artefact.description.digests.contract),
        ):
            if came != expected:
                raise ArtefactError(f"{where}: digest of the {name}: expected {expected}, got {came}")
        put_object(S3, url, content)
    # Beside the copy lies the other stage's signature: registration signs its digest, too.
    origin = read_object(S3, SOURCE.run_uri(package.metadata["run"], SIGNATURE_FILE))
    put_object(S3, ROOM.names.run_uri(call.run, ORIGIN_FILE), origin)
    return VersionPulled(version=package.version, model_data_url=url)


def find_released(arn: str) -> Package:
    """The version with this ARN in the other stage's registry, which was live there."""
    version = arn.rpartition("/")[2]
    if arn != (expected := SOURCE.package_arn(version)):
        raise ArtefactError(f"pulled: expected a version of {expected.rpartition('/')[0]}, got {arn}")
    package = REGISTRY.describe(arn)
    if not package.was_live:
        raise ArtefactError(f"pulled: expected a version that was live in {SOURCE.platform.stage}, {arn} never was")
    return package


def check_image(package: Package) -> None:
    """Raise ArtefactError unless both stages serve the version by the same image."""
    expected, came = image_id(package.image), image_id(ROOM.settings.inference_image)
    if came != expected:
        raise ArtefactError(
            f"image: expected {expected}, by which version {package.version} was released, this stage has {came}; "
            f"`make images STAGE={ROOM.settings.stage}` of the same commit copies it"
        )


def image_id(uri: str) -> str:
    """The digest of an image, `sha256:…`; in the local cloud, where no image runs, its tag."""
    return uri.rpartition("@" if "@" in uri else ":")[2]
