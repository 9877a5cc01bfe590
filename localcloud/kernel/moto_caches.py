"""Caches for moto's lookup of hosts and its parser of JSONPaths, which take a sixth of the server's CPU."""

from __future__ import annotations

import functools

from localcloud.kernel.patching import replace

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
