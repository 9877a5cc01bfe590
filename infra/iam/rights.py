"""The declared rights of functions as statements of their roles."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING

from millrace.infra.iam.resource import Resource, Statement
from millrace.settings.declaration import Grant

if TYPE_CHECKING:
    from millrace.infra.context import Context


def statements_of(context: Context, rights: Iterable[Grant]) -> Iterator[Statement]:
    """The statements of these rights of a function of the workload.

    Raises ModuleNotFoundError or AttributeError for a right that no module beside this one has."""
    known = {
        "names": context.names,
        "namespace": context.platform.metrics,
        "key_arn": context.key_arn,
        "signing_key_arn": context.signing_key_arn,
    }
    for right in rights:
        module, _, name = right.of.partition(".")
        make = attrgetter(name)(import_module(f"millrace.infra.iam.{module}"))
        first = next(iter(inspect.signature(make).parameters), "")
        made = make(*([known[first]] if first in known else []), *right.given, **right.more)
        if isinstance(made, Resource):
            yield made.may(*right.may)
        else:
            yield from [made] if isinstance(made, Statement) else made
