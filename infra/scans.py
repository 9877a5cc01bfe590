"""Reads what ECR's scan found in images, and refuses those with a severe finding that a newer package mends.

A scan is basic, or enhanced by Amazon Inspector. Only the enhanced one says whether a fix is at hand. A basic one reads
the packages of the operating system alone: https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning.html.
What a scan does not say counts against the image.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date
from typing import Any

from millrace.errors import ConfigurationError
from millrace.infra.options import Accepted

SEVERE = ("CRITICAL", "HIGH")
DONE = ("COMPLETE", "ACTIVE")
"""A basic scan is complete. An enhanced one stays active: it adds what becomes known later."""
WAITING = ("PENDING", "IN_PROGRESS")
PAUSE_S, TRIES = 10.0, 90
"""An image of 10 GB is scanned within some minutes; a scan that has not ended after 15 counts as none."""


def refused(found: Mapping[str, Mapping[str, str]], accepted: Mapping[str, Accepted], today: date) -> list[str]:
    """A line on each finding that is not accepted today, of the images by their URI."""
    return [
        f"{uri}: {name} ({said}{f', accepted until {accepted[name].until}' if name in accepted else ''})"
        for uri, findings in found.items()
        for name, said in findings.items()
        if name not in accepted or accepted[name].until < today
    ]


def findings(ecr: Any, repository: str, digest: str, *, pause_s: float = PAUSE_S, tries: int = TRIES) -> dict[str, str]:
    """The severe findings of the registry's scan of the image that may be mended: by name (`CVE-2026-1234`) their
    severity, and the packages with the version that mends each. Waits for the end of a scan that runs.

    Raises ConfigurationError if no scan of the image has ended well."""
    asked = {"repositoryName": repository, "imageId": {"imageDigest": digest}}
    status = "none"
    for at in range(tries):
        time.sleep(pause_s if at else 0)
        # A scan begins some seconds after the push.
        with suppress(ecr.exceptions.ScanNotFoundException):
            status = ecr.describe_image_scan_findings(**asked, maxResults=1)["imageScanStatus"]["status"]
            if status not in WAITING:
                break
    if status not in DONE:
        expected = f"a scan of the image that is {' or '.join(DONE)}"
        raise ConfigurationError(where=f"{repository}@{digest}", field="scan", expected=expected, came=status)
    pages = ecr.get_paginator("describe_image_scan_findings").paginate(**asked)
    return {name: said for page in pages for name, said in _read(page.get("imageScanFindings", {}))}


def _read(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for one in found.get("findings", ()):
        named = {attribute["key"]: attribute.get("value") for attribute in one.get("attributes", ())}
        if one["severity"] in SEVERE:
            yield (
                one["name"],
                f"{one['severity']}, {named.get('package_name')} {named.get('package_version')} -> unknown",
            )
    for one in found.get("enhancedFindings", ()):
        if one["severity"] in SEVERE and one.get("fixAvailable") != "NO" and one.get("status") != "CLOSED":
            details = one.get("packageVulnerabilityDetails", {})
            packages = [
                f"{each['name']} {each['version']} -> {each.get('fixedInVersion', 'unknown')}"
                for each in details.get("vulnerablePackages", ())
            ]
            yield details.get("vulnerabilityId", one.get("title")), ", ".join([one["severity"], *packages])
