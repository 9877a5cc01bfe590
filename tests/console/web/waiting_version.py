"""Version 3 of the stored run's workload, which waits for a person: registered, judged, signed."""

from contextlib import suppress
from datetime import UTC, datetime

import boto3

from millrace.artefact.signing import SIGNATURE_FILE
from millrace.aws.objects import put_object
from millrace.console.environment import Environment
from millrace.console.queries.versions import registry_of
from millrace.evaluation.gates.cases import CaseAnswer, CasesEvidence
from millrace.messages.audit import AuditEvent
from millrace.messages.train import GatesJudged
from millrace.names import WorkloadNames
from millrace.release.registry import ASKED_BY, Package
from millrace.release.signatures import SigningKey, signed_version
from millrace.settings.release import ReleaseSettings
from millrace.state import audit
from tests import builders
from tests.console import stored_cloud
from tests.console.conftest import read_stored
from tests.localcloud.resources import make_role
from tests.signing_key import create_signing_key

NAMES, RUN = stored_cloud.NAMES, "3c1b2f0e-asked"
PATH = "/electricity/versions/3"
ASKER = "arn:aws:sts::123456789012:assumed-role/Makers/bob"
NIGHT = CaseAnswer(
    name="closed <market>",
    reason="a price of zero is no fall",
    expected="value 0",
    came="value 0",
    is_right=True,
)


def deploy_start_release(names: WorkloadNames, *, approval: str) -> None:
    """As a stack with this `rollout.approval` deploys it, in place of one that is there."""
    settings = ReleaseSettings(
        stage=names.platform.stage, account=names.platform.account, region=names.platform.region,
        workload=names.workload, approval=approval,
    )  # fmt: skip
    functions, name = boto3.client("lambda"), names.function("start_release")
    with suppress(functions.exceptions.ResourceNotFoundException):
        functions.delete_function(FunctionName=name)
    functions.create_function(
        FunctionName=name, Runtime="python3.13", Handler="h.handler", Code={"ZipFile": b"zip"},
        Role=make_role(boto3.client("iam"), approval, "lambda"), Environment={"Variables": settings.render()},
    )  # fmt: skip


def let_wait(environment: Environment) -> Package:
    """Register and sign it, in a stage where a person approves."""
    live = read_stored(stage="dev").live
    assert live is not None
    assert live.evaluation is not None
    deploy_start_release(NAMES, approval="person")
    evaluation = live.evaluation.model_copy(update={"cases": CasesEvidence(cases=(NIGHT,))})
    s3 = boto3.client("s3")
    put_object(s3, NAMES.run_uri(RUN, "evaluation", "evaluation.json"), evaluation.to_json().encode())
    judged = GatesJudged(passed=True, verdicts=live.version.gates)
    own = {"execution_arn": NAMES.execution_arn("train", RUN), "as_of": datetime.now(UTC)}
    record = builders.record(AuditEvent.MODEL_PASSED, judged, **own)
    audit.append(boto3.client("dynamodb"), table=NAMES.platform.audit_table, workload=NAMES.workload, record=record)
    metadata = {
        "run": RUN,
        "snapshot_id": "77",
        "tag": "asked",
        "rows": "12000",
        "as_of": "1997-07-01T00:00:00Z",
        "reason": "command",
        ASKED_BY: ASKER,
        **{f"{name}_digest": value for name, value in live.version.digests.items()},
        "data_digest": "da" * 32,
    }
    kms = boto3.client("kms")
    create_signing_key(kms, NAMES.platform)
    signed = signed_version(NAMES, run=RUN, members={"model.onnx": "ab" * 32}, metadata=metadata)
    content = SigningKey(kms, NAMES.platform.signing_key_alias).sign(signed.to_statement())
    put_object(s3, NAMES.run_uri(RUN, SIGNATURE_FILE), content)
    return registry_of(environment, NAMES).register(
        builders.candidate(run=RUN, model_data_url=NAMES.run_uri(RUN, "model.tar.gz"), metadata=metadata)
    )
