"""Roles that a service of AWS may assume, and the code of functions that have one."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any


def allow(actions: str | list[str], resource: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


def make_role(iam: Any, name: str, service: str, *statements: dict[str, Any]) -> str:
    """The ARN of a new role that the service (`lambda`, `states`) may assume, with these statements as its policy."""
    trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document(trust))["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=_document(*statements))
    return arn


def zipped(source: str) -> bytes:
    """The code of a function with `app.py`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", source)
    return buffer.getvalue()


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
