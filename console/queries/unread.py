"""What AWS did not let a person read: its place says so, and the rest is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore.exceptions import ClientError

DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "403"}
"""How the services call a refusal by IAM; SNS says `AuthorizationError`, a `HEAD` of S3 has the status alone."""
PartT = TypeVar("PartT")


@dataclass(frozen=True, kw_only=True)
class Unread:
    """A part that could not be read."""

    why: str
    """In the service's words, which name person, action and resource."""
    is_denied: bool = False
    """Whether IAM refused it."""

    @property
    def words(self) -> str:
        return f"{'not allowed' if self.is_denied else 'cannot be read'}: {self.why}"


def part(read: Callable[[], PartT]) -> PartT | Unread:
    """What `read` returns, or that a service answered it with an error."""
    try:
        return read()
    except ClientError as error:
        return unread(error)


def part_in_words(found: Any, words: Callable[[Any], Any], nothing: Any = "") -> Any:
    """What `words` makes of a part, `nothing` of an empty one; of one that could not be read, why."""
    return found.words if isinstance(found, Unread) else words(found) if found else nothing


def unread(error: Exception) -> Unread:
    """The error as a part that could not be read."""
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    return Unread(why=str(error), is_denied=code in DENIED)
