"""Helpers of all services: the parsed parameters of a call, and short ways to write a required permission."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.iam.policies import Request
from localcloud.kernel.calls import Call
from localcloud.kernel.cloud import ACCOUNT, REGION, moto_backend


@dataclass(frozen=True, kw_only=True)
class ParsedCall:
    """A call with its parameters, which are parsed once."""

    call: Call
    parameters: Mapping[str, Any]

    def get(self, *names: str) -> Any:
        """The value of the first of the names that the call has, whatever their case; None if it has none of them.

        An empty text counts as missing."""
        lowered = {key.lower(): value for key, value in self.parameters.items()}
        return next((lowered[name.lower()] for name in names if lowered.get(name.lower()) not in (None, "")), None)


def resource_arn(service: str, rest: str, region: str = REGION) -> str:
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{rest}"


def permission(action: str, *resources: str, **context: tuple[str, ...]) -> Request:
    """The permission for an action on one resource, which may have several names. Without a name it is `*`."""
    return Request(action=action, resources=resources or ("*",), context=context)


def key_arn(key: str) -> str:
    """The ARN of a customer key that is named by its id, its ARN or an alias."""
    if ":key/" in key:
        return key
    backend = moto_backend("kms")
    return resource_arn("kms", f"key/{backend.get_key_id_from_alias(key) or key.rpartition('/')[2]}")


def key_permissions(
    key: str, service: str, *verbs: str, context: Mapping[str, tuple[str, ...]] | None = None
) -> Iterator[Request]:
    """The actions on the customer key that the service needs in the name of its caller."""
    via = {"kms:viaservice": (f"{service}.{REGION}.amazonaws.com",), **(context or {})}
    yield from (Request(action=f"kms:{verb}", resources=(key_arn(key),), context=via) for verb in verbs)


def grant_of(key: str) -> Request:
    """The permission to let SageMaker use the key for a volume, or for another resource, after the call."""
    return next(key_permissions(key, "sagemaker", "CreateGrant", context={"kms:grantisforawsresource": ("true",)}))
