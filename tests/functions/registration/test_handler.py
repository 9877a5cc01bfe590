"""The registration function: one version per run, its digests checked and kept."""

import base64
import hashlib
import json
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from millrace.artefact.signing import SIGNATURE_FILE
from millrace.aws.objects import read_object
from millrace.errors import ArtefactError, ConflictError
from millrace.messages.envelope import DELIVERED_WITHIN
from millrace.release.registry import PACKAGE_FILE
from millrace.release.signatures import SigningKey, automation_digest
from millrace.timestamps import parse_utc
from millrace.workload.load import load_workload
from millrace.workload.training_cost import longest_hours
from tests.functions.conftest import REPORT
from tests.millrace.release.test_bom import invalid
from tests.shipped import ELECTRICITY

IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-local-inference:local"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/0f1e2d3c-0000-4000-8000-000000000000"
AS_OF = parse_utc("1997-01-01T00:10:00Z")


@pytest.fixture
def register(monkeypatch, load):
    monkeypatch.setenv("MILLRACE_INFERENCE_IMAGE", IMAGE)
    monkeypatch.setenv("MILLRACE_PROCESSING_IMAGE", IMAGE)
    monkeypatch.setenv("MILLRACE_KEY_ARN", KEY)
    return load("registration")


@pytest.fixture
def registered(aws, register, event):
    """`registered()`: the metadata of the run's version."""

    def made():
        package = register(event("registration"))["package_arn"]
        return aws.sagemaker.describe_model_package(ModelPackageName=package)["CustomerMetadataProperties"]

    return made


@pytest.fixture
def changed(aws, trained_run):
    """`changed("config", "run.json", pulled=…)`: that document of the run says so, too; the run's name."""

    def put(*path, run="", **more):
        run = run or trained_run()
        uri = aws.names.run_uri(run, *path)
        aws.put(uri, json.dumps(json.loads(read_object(aws.s3, uri)) | more))
        return run

    return put


REPORTED = ("evaluation", "evaluation.json")


@pytest.fixture
def refused(aws, register, event):
    """`refused("digest")`: the run's model is not registered, for that."""

    def made(said=None, error=ArtefactError):
        with pytest.raises(error, match=said):
            register(event("registration"))
        assert not versions(aws)

    return made


def versions(aws):
    return aws.sagemaker.list_model_packages(ModelPackageGroupName=aws.names.package_group)["ModelPackageSummaryList"]


@pytest.fixture(autouse=True)
def started(aws, event):
    """The operator has started the run."""
    aws.start(event("registration")["execution"])


def test_a_first_version_has_the_lease_until_its_release_has_one(aws, trained_run, register, event):
    trained_run()
    package = register(event("registration"))["package_arn"]
    lease = aws.leases.find("first")
    assert lease.holder == package
    # As long as the run, and then the delivery of the event that starts its release, can take.
    assert lease.expires_at == AS_OF + timedelta(hours=longest_hours(load_workload(ELECTRICITY))) + DELIVERED_WITHIN
    metadata = aws.sagemaker.describe_model_package(ModelPackageName=package)["CustomerMetadataProperties"]
    assert metadata["beside"] == "none"


def test_a_version_names_the_one_that_it_was_compared_with(aws, changed, registered):
    compared = {
        "model_version": "4", "rows": 1, "error": 0.3, "challenger_error": 0.25, "difference": 0.05, "lower_bound": 0.0,
    }  # fmt: skip
    changed(*REPORTED, champion=compared)
    assert registered()["beside"] == "4"
    assert aws.leases.find("first") is None


def test_a_retry_finds_the_version_that_is_there(aws, trained_run, register, event):
    trained_run()
    assert register(event("registration")) == register(event("registration"))
    assert len(versions(aws)) == 1
    kept = json.loads(read_object(aws.s3, aws.names.run_uri(event("registration")["run"], PACKAGE_FILE)))
    described = aws.sagemaker.describe_model_package(ModelPackageName=versions(aws)[0]["ModelPackageArn"])
    assert {"run": kept["run"], **kept["metadata"]} == described["CustomerMetadataProperties"]
    assert kept["version"] == str(described["ModelPackageVersion"])


@pytest.mark.parametrize("link", ["data", "contract", "config", "code"])
def test_a_model_of_other_things_than_the_run_pinned_is_refused(trained_run, refused, link):
    trained_run(**{link: "0" * 64})
    refused(f"{link} digest")


def test_bytes_that_are_no_artefact_are_refused(aws, trained_run, refused, event):
    trained_run()
    aws.put(event("registration")["state"]["training"]["model_data_url"], b"not a tar")
    refused()


def test_a_run_that_lost_its_lease_registers_nothing(aws, trained_run, refused):
    trained_run()
    aws.leases.take("train", holder="another run", as_of=AS_OF, expires_at=AS_OF + timedelta(hours=1))
    refused("lease of training", ConflictError)


@pytest.mark.parametrize(
    ("threshold", "kept"),
    [(0.1 + 0.7, {"promised_error": "0.05", "automate_from": repr(0.1 + 0.7)}), (None, {"promised_error": "0.05"})],
)
def test_the_threshold_of_a_promised_error_is_signed_with_the_version(threshold, kept, registered, changed):
    some = {"value": 0.5, "low": 0.4, "high": 0.6}
    found = {"promised_error": 0.05, "threshold": threshold, "calibration_rows": 9, "coverage": some, "error": some}
    changed(*REPORTED, automation=found)
    metadata = registered()
    names = ("promised_error", "automate_from")
    assert {name: metadata[name] for name in names if name in metadata} == kept
    assert metadata["automation_digest"] == automation_digest(kept), "every digest is signed"


def test_the_costs_of_wrong_answers_are_signed_with_the_version(aws, registered, changed):
    some, digest = {"value": 0.5, "low": 0.4, "high": 0.6}, "c0" * 32
    one = {"expected": 900.0, "measured": some}
    found = {"digest": digest, "currency": "EUR", "review": 2.0, "coverage": some, "by_policy": one}
    found |= {"all_automated": one, "all_reviewed": 2000.0}
    run = changed(*REPORTED, costs=found)
    metadata = registered()
    assert metadata["costs_digest"] == digest
    bundle = read_object(aws.s3, aws.names.run_uri(run, SIGNATURE_FILE))
    assert SigningKey(aws.kms, aws.names.platform.signing_key_alias).open(bundle).digests["costs_digest"] == digest


def test_an_artefact_that_was_not_the_evaluated_one_is_refused(changed, refused):
    changed(*REPORTED, model_digest="0" * 64)
    refused("that were approved")


def test_a_report_that_names_no_artefact_proves_nothing(aws, trained_run, refused):
    run = trained_run()
    aws.put(aws.names.run_uri(run, "evaluation", "evaluation.json"), json.dumps(REPORT))
    refused("expected the digest of what was evaluated, got none")


def test_a_version_has_its_model_card(aws, trained_run, registered):
    run = trained_run()
    registered()
    metadata = registered()  # once more: the card of the first attempt stays
    card = aws.sagemaker.describe_model_card(ModelCardName=metadata["card"])
    assert metadata["card"].startswith("millrace-local-electricity-card-")
    assert card["ModelCardStatus"] == "PendingReview"
    assert card["SecurityConfig"] == {"KmsKeyId": KEY}
    content = json.loads(card["Content"])
    assert content["model_overview"]["model_owner"] == "energy-ml"
    assert content["additional_information"]["custom_details"]["model_digest"] == metadata["model_digest"]
    assert metadata["card_digest"] == hashlib.sha256(card["Content"].encode()).hexdigest()
    assert read_object(aws.s3, aws.names.run_uri(run, "card.json")).decode() == card["Content"]


def test_a_version_has_its_bill_of_materials(aws, trained_run, registered):
    run = trained_run()
    metadata, content = registered(), read_object(aws.s3, aws.names.run_uri(run, "bom.cdx.json"))
    assert metadata["bom_digest"] == hashlib.sha256(content).hexdigest()
    assert invalid(content.decode()) == ""
    named = {one["name"] for one in json.loads(content)["components"] if one["type"] == "library"}
    assert named == {"numpy", "onnxruntime"}


def test_what_cannot_be_signed_is_not_registered(aws, trained_run, refused):
    trained_run()
    aws.kms.delete_alias(AliasName=aws.names.platform.signing_key_alias)
    refused("NotFoundException", ClientError)


def test_a_pulled_version_names_where_it_comes_from_and_need_not_be_of_these_rows(
    aws, trained_run, changed, registered
):
    run, arn = trained_run(data="1" * 64, config="2" * 64, code="3" * 64), "arn:aws:sagemaker:eu-west-1:1:x/dev/1"
    changed("config", "run.json", run=run, pulled=arn)
    aws.put(aws.names.run_uri(run, "origin.sig"), b"signed there")
    metadata = registered()
    assert (metadata["origin"], metadata["data_digest"], metadata["rows_digest"]) == (arn, "1" * 64, "d" * 64)
    assert (metadata["config_digest"], metadata["declaration_digest"]) == ("2" * 64, "f" * 64)
    assert metadata["origin_digest"] == hashlib.sha256(b"signed there").hexdigest()
    signed = json.loads(read_object(aws.s3, aws.names.run_uri(run, SIGNATURE_FILE)))["dsseEnvelope"]["payload"]
    assert json.loads(base64.b64decode(signed))["predicate"]["digests"].keys() >= {"origin_digest", "rows_digest"}


def test_a_pulled_version_of_another_contract_is_refused(trained_run, changed, refused):
    changed("config", "run.json", run=trained_run(contract="0" * 64), pulled="arn:aws:sagemaker:eu-west-1:1:x")
    refused("contract digest")
