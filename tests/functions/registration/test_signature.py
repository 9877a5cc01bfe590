"""A registered version against its signature: what `millrace verify` finds, and what it refuses."""

from __future__ import annotations

import functools
import gzip
import json
import re
import shlex
import subprocess
from pathlib import Path

import boto3
import pytest
from typer.testing import CliRunner

from millrace.artefact.artefact import MEMBERS
from millrace.aws.objects import put_object, read_object, split_uri
from millrace.console.cli.app import app
from millrace.console.environment import Environment
from millrace.console.queries.documents import DOCUMENTS, signing_key, verify_version
from millrace.errors import ArtefactError
from millrace.release.provenance import PROVENANCE_FILE
from tests.archives import tarred, untarred
from tests.signing_key import create_signing_key

IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-local-inference:local"
RUN = "7c1b2f0e-first"
STATIC = Path(__file__).resolve().parents[3] / "build" / "static"
WORDS = ["verify", "1", "--workload", "electricity"]


@pytest.fixture
def environment(aws, trained_run, load, event, monkeypatch):
    """The run's version is registered."""
    for variable in ("MILLRACE_INFERENCE_IMAGE", "MILLRACE_PROCESSING_IMAGE"):
        monkeypatch.setenv(variable, IMAGE)
    monkeypatch.setenv("MILLRACE_KEY_ARN", "arn:aws:kms:eu-west-1:123456789012:key/0f1e2d3c")
    trained_run()
    aws.start(event("registration")["execution"])
    load("registration")(event("registration"))
    return Environment(platform=aws.names.platform, client=functools.cache(boto3.client))


@pytest.fixture
def model_url(event):
    return event("registration")["state"]["training"]["model_data_url"]


def with_a_byte_changed(archive: bytes, name: str) -> bytes:
    """The archive with the last byte of one member changed."""
    members = untarred(archive)
    return tarred({**members, name: members[name][:-1] + bytes([members[name][-1] ^ 1])})


def test_a_version_that_is_as_it_was_signed_is_verified(aws, environment):
    signed, found = verify_version(environment, aws.names, "1")
    assert signed.name == f"{aws.names.package_group}/{RUN}"
    assert {one.what for one in found if one.compared_with == "archive"} == set(MEMBERS)
    assert {one.what for one in found if one.compared_with == "file"} == {
        "model.tar.gz", "evaluation.json", "sample.jsonl", "baseline.json", "card.json", "bom.cdx.json",
    }  # fmt: skip
    assert {one.what for one in found if one.compared_with == "registry"} == {
        "asked_by",
        *(f"{name}_digest" for name in ("data", "contract", "config", "code", "weights", "onnx", "model")),
    }


def test_whatever_was_altered_or_is_missing_is_refused(aws, environment, model_url):
    """One byte of a member, the same members packed anew, a document of the run."""
    signed, _ = verify_version(environment, aws.names, "1")
    archive = read_object(aws.s3, model_url)
    altered = [(model_url, with_a_byte_changed(archive, member), member) for member in sorted(MEMBERS)]
    altered.append((model_url, gzip.compress(gzip.decompress(archive), 9), "model.tar.gz"))
    documents = [parts for name, parts in DOCUMENTS.items() if name in signed.digests]
    altered += [(aws.names.run_uri(RUN, *parts), content, parts[-1])
                for parts in documents for content in (b"{ }", None)]  # fmt: skip
    for uri, content, what in altered:
        right = read_object(aws.s3, uri)
        if content is None:
            bucket, key = split_uri(uri)
            aws.s3.delete_object(Bucket=bucket, Key=key)
        else:
            put_object(aws.s3, uri, content)
        came = "no file" if content is None else r"\w{64}"
        with pytest.raises(
            ArtefactError, match=rf"version 1: {what}: expected \w{{64}}, as it was signed, got {came}$"
        ):
            verify_version(environment, aws.names, "1")
        put_object(aws.s3, uri, right)
    verify_version(environment, aws.names, "1")


def test_edited_metadata_and_another_key_are_refused(aws, environment):
    arn = aws.names.package_arn("1")
    known = aws.sagemaker.describe_model_package(ModelPackageName=arn)["CustomerMetadataProperties"]
    metadata = known | {"data_digest": "0" * 64}
    aws.sagemaker.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", CustomerMetadataProperties=metadata
    )
    with pytest.raises(ArtefactError, match=r"data_digest: expected dddd\w*, as it was signed, the registry has 0000"):
        verify_version(environment, aws.names, "1")
    create_signing_key(aws.kms, aws.names.platform)
    with pytest.raises(ArtefactError, match="expected a signature by alias/millrace-local-signing, this key did not"):
        verify_version(environment, aws.names, "1")


def test_the_tool_of_the_standard_verifies_it(environment, tmp_path, monkeypatch):
    """OpenSSF's `model_signing`, by the very words of our output; and it refuses a changed byte."""
    monkeypatch.setattr("millrace.console.environment.find_environment", lambda *_: environment)
    folder = tmp_path / "signed"
    printed = CliRunner().invoke(app, [*WORDS, "--output", str(folder)], env={"COLUMNS": "400"}).stdout
    [words] = re.findall(r"model_signing (verify key .*)", printed)

    def verify():
        return subprocess.run([STATIC / "bin" / "model_signing", *shlex.split(words)], capture_output=True, text=True)

    verified = verify()
    assert verified.returncode == 0, verified.stderr
    assert "Verification succeeded" in verified.stdout
    graph = folder / "model" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"!")
    assert verify().returncode != 0


STOCK = """
import base64, copy, json, random, sys
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf.json_format import ParseDict
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

envelope = json.load(open(sys.argv[1]))["dsseEnvelope"]
key = SSlibKey.from_crypto(load_pem_public_key(open(sys.argv[2], "rb").read()))
key.keyid = ""  # the envelope names none

def verify(envelope):
    read = Envelope.from_dict(copy.deepcopy(envelope))
    read.verify([key], 1)
    Statement.copy_from_pb(ParseDict(json.loads(read.payload), statement_pb2.Statement())).validate()
    return read.payload.decode()

print(verify(envelope))
chance, refused = random.Random(1), 0
for number in range(1000):
    tampered = copy.deepcopy(envelope)
    place = tampered["signatures"][0] if number % 2 else tampered
    content = bytearray(base64.b64decode(place[name := "sig" if number % 2 else "payload"]))
    content[chance.randrange(len(content))] ^= chance.randrange(1, 256)
    place[name] = base64.b64encode(content).decode()
    try:
        verify(tampered)
    except VerificationError:
        refused += 1
print(refused)
"""


def test_a_stock_verifier_takes_the_provenance_and_refuses_a_thousand_tampered_ones(aws, environment, tmp_path):
    """securesystemslib reads the envelope, and in-toto's own library the statement."""
    signature, key = tmp_path / PROVENANCE_FILE, tmp_path / "key.pem"
    signature.write_bytes(read_object(aws.s3, aws.names.run_uri(RUN, PROVENANCE_FILE)))
    key.write_text(signing_key(environment).public_key())
    read = subprocess.run([STATIC / "bin" / "python", "-c", STOCK, signature, key], capture_output=True, text=True)
    assert read.returncode == 0, read.stderr
    statement, refused = read.stdout.splitlines()
    made = json.loads(statement)
    signed, _ = verify_version(environment, aws.names, "1")
    assert made["subject"] == [{"name": "model.tar.gz", "digest": {"sha256": signed.digests["artefact_digest"]}}]
    materials = [one["digest"]["sha256"] for one in made["predicate"]["buildDefinition"]["resolvedDependencies"]]
    assert materials == [signed.digests[f"{link}_digest"] for link in ("data", "contract", "config", "code")]
    assert refused == "1000"
