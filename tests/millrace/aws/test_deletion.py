"""What goes and what stays where several of one kind are deleted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from millrace.aws.deletion import delete_each


def refused(message: str) -> Callable[..., None]:
    def call(*, Name: str) -> None:
        raise ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "DeleteModel")

    return call


def test_what_is_gone_already_counts_as_deleted() -> None:
    call = refused('Could not find model "a".')
    assert delete_each("model", ["a"], call, parameter="Name", at_most=2) == ["model a"]


def test_a_refusal_is_raised() -> None:
    with pytest.raises(ClientError, match="not authorized"):
        delete_each("model", ["a"], refused("You are not authorized"), parameter="Name", at_most=2)
