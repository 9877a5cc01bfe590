"""Run by the Python of build/static: parliament's findings on policies, by where they stand, as JSON on stdout."""

from __future__ import annotations

import json
import sys
from typing import Any

import parliament


def findings(policy: dict[str, Any]) -> list[dict[str, Any]]:
    found = [parliament.enhance_finding(one) for one in parliament.analyze_policy_string(json.dumps(policy)).findings]
    return [{"issue": one.issue, "severity": one.severity, "detail": one.detail} for one in found]


if __name__ == "__main__":
    json.dump({where: findings(policy) for where, policy in json.load(sys.stdin).items()}, sys.stdout)
