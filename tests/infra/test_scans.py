"""What ECR's scan found in an image, basic or enhanced, and which of it stops `make images`."""

from __future__ import annotations

import datetime
import json
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from millrace.errors import ConfigurationError
from millrace.infra import images, scans
from millrace.infra.options import options_of
from tests.infra.test_images import address, ecr, parameters, root

__all__ = ["address", "ecr", "root"]
DIGEST = f"sha256:{'a' * 64}"
TODAY = datetime.date(2026, 11, 30)


def enhanced(severity: str, fix: str | None, **given: str) -> dict[str, Any]:
    """A finding of Amazon Inspector's, in the form of its documentation."""
    package = {"name": "openssl", "version": "3.5.1", "arch": "X86_64", "packageManager": "OS"}
    fixed = {"fixedInVersion": "0:3.5.2"} if fix in ("YES", "PARTIAL") else {}
    details = {"vulnerabilityId": "CVE-2026-1", "source": "DEBIAN_CVE", "vulnerablePackages": [package | fixed]}
    return {
        "findingArn": "arn:aws:inspector2:eu-west-1:123456789012:finding/0",
        "severity": severity,
        "status": "ACTIVE",
        "type": "PACKAGE_VULNERABILITY",
        "title": "CVE-2026-1 - openssl",
        "packageVulnerabilityDetails": details,
        **({"fixAvailable": fix} if fix else {}),
        **given,
    }


def basic(severity: str) -> dict[str, Any]:
    named = {"package_version": "3.5.1", "package_name": "openssl", "CVSS3_SCORE": "9.8"}
    attributes = [{"key": key, "value": value} for key, value in named.items()]
    return {"name": "CVE-2026-1", "severity": severity, "uri": "https://example.com", "attributes": attributes}


def page(status: str, **found: Any) -> dict[str, Any]:
    return {"imageScanStatus": {"status": status}, "imageScanFindings": found}


@cache
def client() -> Any:
    return boto3.client("ecr", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")


def scanned(*answers: dict[str, Any] | str) -> dict[str, str]:
    """What is read when the registry gives these answers, or errors of these names, one after the other."""
    with Stubber(client()) as stub:
        for one in answers:
            if isinstance(one, str):
                stub.add_client_error("describe_image_scan_findings", one)
            else:
                stub.add_response("describe_image_scan_findings", one)
        found = scans.findings(client(), "millrace-dev-training", DIGEST, pause_s=0, tries=3)
        stub.assert_no_pending_responses()
    return found


def refused(found: dict[str, str], **accepted: dict[str, str]) -> list[str]:
    """What is said of the findings on 30 November 2026."""
    named = {name.replace("_", "-"): one for name, one in accepted.items()}
    options = options_of({"dev": {"accepted_findings": named}}, "dev")
    return scans.refused({"image": found}, options.accepted_findings, TODAY)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"enhancedFindings": [enhanced("CRITICAL", "YES")]}, "CVE-2026-1 (CRITICAL, openssl 3.5.1 -> 0:3.5.2)"),
        ({"enhancedFindings": [enhanced("HIGH", "PARTIAL")]}, "CVE-2026-1 (HIGH, openssl 3.5.1 -> 0:3.5.2)"),
        ({"enhancedFindings": [enhanced("HIGH", None)]}, "CVE-2026-1 (HIGH, openssl 3.5.1 -> unknown)"),
        ({"enhancedFindings": [enhanced("HIGH", "NO")]}, ""),
        ({"enhancedFindings": [enhanced("MEDIUM", "YES")]}, ""),
        ({"enhancedFindings": [enhanced("HIGH", "YES", status="CLOSED")]}, ""),
        ({"findings": [basic("HIGH")]}, "CVE-2026-1 (HIGH, openssl 3.5.1 -> unknown)"),
        ({"findings": [basic("LOW")]}, ""),
        ({}, ""),
    ],
)
def test_a_severe_finding_with_a_fix_or_without_a_word_on_it_is_refused(found: dict[str, Any], said: str) -> None:
    assert refused(scanned(page("ACTIVE"), page("ACTIVE", **found))) == [f"image: {said}"] * bool(said)


def test_the_scan_is_awaited_and_read_to_its_last_page() -> None:
    first = page("COMPLETE", findings=[basic("CRITICAL")]) | {"nextToken": "more"}
    last = page("COMPLETE", findings=[basic("HIGH") | {"name": "CVE-2026-2"}])
    found = scanned("ScanNotFoundException", page("IN_PROGRESS"), page("COMPLETE"), first, last)
    assert list(found) == ["CVE-2026-1", "CVE-2026-2"]


@pytest.mark.parametrize(
    ("answers", "came"),
    [
        ([page("FAILED")], "FAILED"),
        ([page("UNSUPPORTED_IMAGE")], "UNSUPPORTED_IMAGE"),
        ([page("SCAN_ELIGIBILITY_EXPIRED")], "SCAN_ELIGIBILITY_EXPIRED"),
        ([page("PENDING")] * 3, "PENDING"),
        (["ScanNotFoundException"] * 3, "none"),
    ],
)
def test_an_image_without_a_whole_scan_is_refused(answers: list[Any], came: str) -> None:
    with pytest.raises(ConfigurationError, match=f"a scan of the image that is COMPLETE or ACTIVE, got '{came}'"):
        scanned(*answers)


def test_an_accepted_finding_passes_until_its_date() -> None:
    found = scanned(page("ACTIVE"), page("ACTIVE", enhancedFindings=[enhanced("HIGH", "YES")]))
    assert refused(found, CVE_2026_1={"reason": "not reachable", "until": "2026-11-30"}) == []
    (said,) = refused(found, CVE_2026_1={"reason": "not reachable", "until": "2026-11-29"})
    assert said == "image: CVE-2026-1 (HIGH, openssl 3.5.1 -> 0:3.5.2, accepted until 2026-11-29)"
    assert refused(found, CVE_2026_2={"reason": "another", "until": "2027-01-01"}) != []


@pytest.mark.parametrize(("accepted", "lacks"), [({"until": "2027-01-01"}, "reason"), ({"reason": "unused"}, "until")])
def test_who_accepts_a_finding_says_why_and_until_when(accepted: dict[str, str], lacks: str) -> None:
    with pytest.raises(ConfigurationError, match=f"accepted_findings.CVE-2026-1.{lacks}: expected a value"):
        options_of({"dev": {"accepted_findings": {"CVE-2026-1": accepted}}}, "dev")


def test_no_digest_is_noted_until_each_finding_is_mended_or_accepted(
    ecr: Any, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SCAN", json.dumps(page("ACTIVE", enhancedFindings=[enhanced("HIGH", "YES")])))
    with pytest.raises(ConfigurationError, match=f"accepted_findings, got {len(images.IMAGES)}"):
        images.run(root, "dev")
    assert "millrace-dev-inference" in capsys.readouterr().err
    assert parameters() == {}
    accepted = {"CVE-2026-1": {"reason": "not reachable", "until": f"{datetime.date.max}"}}
    (root / "cdk.json").write_text(json.dumps({"context": {"stages": {"dev": {"accepted_findings": accepted}}}}))
    images.run(root, "dev")
    assert len(parameters()) == len(images.IMAGES)
