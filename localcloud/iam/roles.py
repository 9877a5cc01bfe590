"""Clients that act as a role, so that its policies decide what a state machine, a job or an endpoint may do."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.transport import connect

_KEYS_LAST_S = 3000.0
"""Seconds after which a client is made anew: a little less than the hour that assumed keys live."""


@dataclass(kw_only=True)
class RoleClients:
    """One client for each role, service and principal. It is made anew before its keys end.

    Keys of a role that was deleted stay without rights, so a later role of the same name gets a client of its own."""

    cloud: Cloud
    session: boto3.session.Session = field(default_factory=boto3.session.Session)
    """Shared by all clients, since each session reads the service models again."""
    _made: dict[tuple[str, str, str, str | None], tuple[float, Any]] = field(default_factory=dict)
    """By (role's ARN, its id, service, principal): the time of `time.monotonic` when the client was made, and the
    client."""
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def get(self, role_arn: str, service: str, principal: str | None) -> Any:
        key = role_arn, _role_id(role_arn), service, principal
        with self._lock:
            made_at, client = self._made.get(key, (0.0, None))
            if client is None or time.monotonic() - made_at > _KEYS_LAST_S:
                client = self._make(role_arn, service, principal)
                self._made[key] = time.monotonic(), client
            return client

    def _make(self, role_arn: str, service: str, principal: str | None) -> Any:
        who = (principal or "service").partition(".")[0]
        session = f"{who}-{role_arn.rpartition('/')[2]}"
        keys = self.cloud.role_environment(role_arn, session, service=principal)
        client = self.session.client(
            service,
            endpoint_url=self.cloud.endpoint_url,
            region_name=self.cloud.region,
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=keys["AWS_SESSION_TOKEN"],
            config=Config(
                # Step Functions passes parameters on as they are: not the client but the service refuses them.
                parameter_validation=False,
                request_checksum_calculation="when_required",
                retries={"total_max_attempts": 1},
            ),
        )
        # moto's tasks read the request's id from a refusal too, and it may have none.
        client.meta.events.register("after-call", _with_request_id)
        return connect(client, self.cloud.application)


def _role_id(role_arn: str) -> str:
    """The id that IAM gave the role when it was made; empty if there is no such role."""
    roles = list(moto_backend("iam", "aws").roles.values())
    return next((str(role.id) for role in roles if role.arn == role_arn), "")


def _with_request_id(parsed: dict[str, Any], **_: Any) -> None:
    parsed["ResponseMetadata"].setdefault("RequestId", str(uuid.uuid4()))


def as_role(cloud: Cloud, role_arn: str, service: str, *, principal: str | None = None) -> Any:
    """A client of `service` that acts as the role, which `principal` (`states.amazonaws.com`) assumes. Safe in threads.

    Raises PermissionError if the role does not trust the principal. With None no trust policy is checked."""
    return cloud.part(RoleClients, lambda: RoleClients(cloud=cloud)).get(role_arn, service, principal)
