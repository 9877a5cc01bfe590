"""The function that pulls: it copies what the other stage has signed and released, and nothing else."""

import gzip
from dataclasses import replace

import pytest

from millrace.artefact.artefact import digest
from millrace.aws.objects import put_object, read_object
from millrace.errors import ArtefactError, ConflictError
from millrace.names import Platform, WorkloadNames
from millrace.release.registry import Registry
from millrace.release.signatures import SigningKey
from tests.functions.cold_start import NAMES
from tests.functions.conftest import artefact_of
from tests.other_stage import register_there, release_there
from tests.signing_key import create_signing_key

DEV = WorkloadNames(platform=replace(NAMES.platform, stage="dev"), workload="electricity")
VERSION = DEV.package_arn("1")
IMAGE = f"111122223333.dkr.ecr.eu-west-1.amazonaws.com/millrace-dev-inference@sha256:{'7' * 64}"
OURS = IMAGE.replace("111122223333", "123456789012").replace("-dev-", "-local-")
ARTEFACT = artefact_of({"data": "1" * 64, "contract": "c" * 64, "config": "2" * 64, "code": "3" * 64})
RUN = "2f4c"


@pytest.fixture
def key(aws):
    """The signing key of dev."""
    place = {"LocationConstraint": "eu-west-1"}
    aws.s3.create_bucket(Bucket=DEV.platform.bucket("artefacts"), CreateBucketConfiguration=place)
    aws.sagemaker.create_model_package_group(ModelPackageGroupName=DEV.package_group)
    return SigningKey(aws.kms, create_signing_key(aws.kms, DEV.platform))


@pytest.fixture
def put(aws, key):
    """Registers a version of dev's and makes it live, unless told otherwise; its package."""

    def made(artefact=ARTEFACT, *, by=key, image=IMAGE, live=True):
        package = register_there(aws.s3, aws.sagemaker, by, DEV, artefact, run=RUN, image=image)
        if live:
            release_there(aws.sagemaker, DEV, package)
        return package

    return made


@pytest.fixture
def pull(monkeypatch, key, load, event):
    for name, value in {
        "INFERENCE_IMAGE": OURS,
        "SOURCE_ACCOUNT": DEV.platform.account,
        "SOURCE_STAGE": "dev",
        "SOURCE_SIGNING_KEY_ARN": key._alias,
    }.items():
        monkeypatch.setenv(f"MILLRACE_{name}", value)
    handler = load("pull")
    return lambda arn=VERSION: handler(event("pull", pulled=arn))


def test_a_released_version_is_copied_with_its_signature(aws, put, pull):
    package = put()
    assert pull() == pull()
    url = NAMES.run_uri("0d1c", "training", "model.tar.gz")
    assert pull() == {"version": "1", "model_data_url": url}
    assert digest(read_object(aws.s3, url)) == package.metadata["artefact_digest"]
    signature = read_object(aws.s3, DEV.run_uri(RUN, "model.sig"))
    assert read_object(aws.s3, NAMES.run_uri("0d1c", "origin.sig")) == signature


def refused(aws, pull, said, *arn, error=ArtefactError):
    """The version is not pulled, and nothing of it is here."""
    with pytest.raises(error, match=said):
        pull(*arn)
    assert aws.s3.list_objects_v2(Bucket=NAMES.platform.bucket("artefacts"))["KeyCount"] == 0


@pytest.mark.parametrize(
    ("account", "stage", "workload"),
    [("999900001111", "dev", "electricity"), ("123456789012", "stage", "electricity"), ("123456789012", "dev", "xray")],
)
def test_only_the_declared_stage_and_the_own_workload_are_asked(aws, put, pull, account, stage, workload):
    put()
    other = WorkloadNames(platform=Platform(stage=stage, account=account, region="eu-west-1"), workload=workload)
    said = f"expected a version of .*/{DEV.package_group}, got .*{other.package_group}"
    refused(aws, pull, said, other.package_arn("1"))


def test_a_version_that_was_never_live_or_was_refused_stays_where_it_is(aws, put, pull):
    package = put(live=False)
    refused(aws, pull, "expected a version that was live in dev")
    release_there(aws.sagemaker, DEV, package)
    registry = Registry(aws.sagemaker, group=DEV.package_group)
    registry.refuse(registry.describe(package.arn), reason="wrong on Sundays")
    refused(aws, pull, "wrong on Sundays", error=ConflictError)


def test_another_image_is_refused_by_its_digest(aws, put, pull):
    put(image=IMAGE.replace("7" * 64, "8" * 64))
    refused(aws, pull, r"image: expected sha256:888.*, this stage has sha256:777")


def test_a_signature_by_another_key_is_refused(aws, put, pull):
    """As somebody makes it who may write into dev's bucket and registry, and may not sign."""
    own = aws.kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    put(by=SigningKey(aws.kms, own))
    refused(aws, pull, r"version 1: model.sig: expected a signature by")


def test_other_weights_than_those_signed_are_refused(aws, put, pull, tmp_path):
    package = put()
    other = replace(ARTEFACT.description, temperature=2.0)
    another = register_there(
        aws.s3, aws.sagemaker, SigningKey(aws.kms, DEV.platform.signing_key_alias), DEV,
        replace(ARTEFACT, description=other), run="other", image=IMAGE,
    )  # fmt: skip
    put_object(aws.s3, package.model_data_url, read_object(aws.s3, another.model_data_url))
    refused(aws, pull, r"expected the members that were approved")


def test_the_signed_members_packed_anew_are_refused(aws, put, pull):
    package = put()
    archive = read_object(aws.s3, package.model_data_url)
    put_object(aws.s3, package.model_data_url, gzip.compress(gzip.decompress(archive), 1))
    refused(aws, pull, r"version 1: digest of the artefact: expected")


def test_another_contract_is_refused(aws, put, pull):
    digests = replace(ARTEFACT.description.digests, contract="9" * 64)
    put(replace(ARTEFACT, description=replace(ARTEFACT.description, digests=digests)))
    refused(aws, pull, r"version 1: digest of the contract: expected ccc\w+, got 999")
