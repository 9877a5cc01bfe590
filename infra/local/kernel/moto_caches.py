"""Cache moto's host lookup and JSONPath parsing (a sixth of the server's CPU)."""

from __future__ import annotations

import functools

from infra.local.kernel.patching import replace

KEPT = 4096


def cache_lookups() -> None:
    """Keep both for the life of this cloud. moto lists its own folder for each request, and builds a parser for each
    path of each state that it evaluates: a sixth of all that the server computed."""
    from jsonpath_ng.ext.parser import parse
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication
    from moto.stepfunctions.parser.asl.component.common.path import result_path
    from moto.stepfunctions.parser.asl.utils import json_path

    find = DomainDispatcherApplication.get_backend_for_host
    replace(DomainDispatcherApplication, get_backend_for_host=functools.lru_cache(KEPT)(find))
    # A parsed path is only read afterwards, never changed.
    kept = functools.lru_cache(KEPT)(parse)
    for module in (json_path, result_path):
        replace(module, parse=kept)
