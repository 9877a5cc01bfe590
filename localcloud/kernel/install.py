"""moto's own server, made fast enough, and calls that a test throttles or a model forbids.

AWS does: answer any number of requests, except those that it throttles.
moto does: list its own folder at every request, and build a parser for each JSONPath of each state. Both take a sixth
    of the server's CPU. It also builds routes from syntax trees on any thread, which CPython before 3.11.8 cannot do.
We do: cache the host lookup and the parsed paths. On such a Python, build one syntax tree at a time. Refuse as many
    calls of an operation as a test says, and members of a request beyond the limits of its API model.
Weaker: moto's threaded server answers some 160 requests a second in all.
"""

from __future__ import annotations

import ast
import functools
import sys
from threading import RLock
from typing import Any

from localcloud.kernel.api_models import refuse_by_models
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.patching import replace
from localcloud.kernel.throttling import throttle_on_demand

# Builds one syntax tree at a time, on a Python that cannot build two at once.
#
# Up to CPython 3.11.7 all threads share one count of a tree's depth. If another thread gets its turn while a tree is
# built, `ast.parse` raises "AST constructor recursion depth mismatch"
# (https://github.com/python/cpython/issues/106905). moto's routes, alarm rules and metric math are built from such
# trees,
# on any thread. May go when the project needs CPython 3.11.8 or later.

MENDED = (3, 11, 8)
"""The first version of CPython without the defect."""


def build_one_by_one(version: tuple[int, ...] = sys.version_info[:3]) -> None:
    """Let each caller of `ast.parse` wait for the others, for the life of this cloud, if this Python needs it."""
    if version >= MENDED:
        return
    parse = ast.parse
    # Reentrant: to build a tree may collect garbage, and finalizers that this calls may parse too.
    building = RLock()

    def one_by_one(*arguments: Any, **named: Any) -> Any:
        with building:
            return parse(*arguments, **named)

    replace(ast, parse=one_by_one)


# Caches for moto's lookup of hosts and its parser of JSONPaths, which take a sixth of the server's CPU.

KEPT = 4096
"""The most hosts, and the most paths, that are kept."""


def cache_lookups() -> None:
    """Cache both for the life of this cloud.

    moto lists its own folder at each request, and builds a parser for each path of each state that it evaluates."""
    from jsonpath_ng.ext.parser import parse
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication
    from moto.stepfunctions.parser.asl.component.common.path import result_path
    from moto.stepfunctions.parser.asl.utils import json_path

    # May go when moto lists its folder once. The answer depends on the host alone.
    find = DomainDispatcherApplication.get_backend_for_host
    replace(DomainDispatcherApplication, get_backend_for_host=functools.lru_cache(KEPT)(find))
    # May go when moto keeps its parsed paths. A parsed path is only read afterwards, never changed.
    kept = functools.lru_cache(KEPT)(parse)
    for module in (json_path, result_path):
        replace(module, parse=kept)


def install(cloud: Cloud) -> None:
    cache_lookups()
    build_one_by_one()
    throttle_on_demand(cloud)
    refuse_by_models(cloud)
