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
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from threading import RLock
from typing import Any

from localcloud.kernel.api_models import refuse_by_models
from localcloud.kernel.calls import Call, Refusal, error_answer
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.control import ROLE_KEYS, json_answer
from localcloud.kernel.patching import replace

# Throttles calls on demand: the next calls of an operation, as many as a test says, get the service's own refusal.
#
# Nothing here throttles by itself, and AWS throttles when it likes, so a test says which calls. Only calls with a
# role's
# keys are refused: those of functions, machines, jobs and rules. Calls with the operator's keys pass.

ERRORS = {
    "cloudwatch": ("Throttling", "Rate exceeded"),
    "dynamodb": ("ProvisionedThroughputExceededException", "The level of configured provisioned throughput for the "
                 "table was exceeded. Consider increasing your provisioning level with the UpdateTable API."),
    "lambda": ("TooManyRequestsException", "Rate Exceeded."),
    "s3": ("SlowDown", "Please reduce your request rate."),
    "sns": ("Throttling", "Rate exceeded"),
    "sqs": ("RequestThrottled", "The request was denied due to request throttling."),
    "sts": ("Throttling", "Rate exceeded"),
}  # fmt: skip
"""Error code and message, by botocore's name of the service.

https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""
OTHERS = ("ThrottlingException", "Rate exceeded")
"""Error code and message of all other services.

https://docs.aws.amazon.com/step-functions/latest/apireference/CommonErrors.html"""


@dataclass(kw_only=True)
class Throttles:
    """How many calls are still to be refused, and how many were."""

    left: dict[str, int] = field(default_factory=dict)
    """The number of calls still to be refused, by pattern of an operation: `{"sagemaker:Create*": 3}`."""
    refused: Counter[str] = field(default_factory=Counter)
    """The number of refused calls by operation: `{"sagemaker:CreateTrainingJob": 2}`."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def throttle(self, calls: Mapping[str, int]) -> None:
        """Refuse, for each pattern, the next calls, as many as its number says. An earlier burst ends."""
        with self._lock:
            self.left = dict(calls)
            self.refused.clear()

    def refusal(self, call: Call) -> Refusal | None:
        """The refusal of the call if it is one of those to be refused, else None."""
        # Asked without the lock: nearly always nothing is throttled.
        if not self.left or not call.access_key.startswith(ROLE_KEYS):
            return None
        with self._lock:
            pattern = next((one for one, many in self.left.items() if many and fnmatchcase(call.name, one)), None)
            if pattern is None:
                return None
            self.left[pattern] -= 1
            self.refused[call.name] += 1
        return error_answer(call, *ERRORS.get(call.service, OTHERS))

    def serve(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """The control route: GET answers `{"left": {…}, "refused": {…}}`, POST `{"sagemaker:Create*": 3}` begins."""
        if environ["REQUEST_METHOD"] == "POST":
            self.throttle(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
        return json_answer(start, "200 OK", {"left": self.left, "refused": dict(self.refused)})


# Builds one syntax tree at a time, on a Python that cannot build two at once.
#
# Up to CPython 3.11.7 all threads share one count of a tree's depth. If another thread gets its turn while a tree is
# built, `ast.parse` raises "AST constructor recursion depth mismatch"
# (https://github.com/python/cpython/issues/106905). moto's routes, alarm rules and metric math are built from such
# trees,
# on any thread. May go when the project needs CPython 3.11.8 or later.


def build_one_by_one() -> None:
    """Let each caller of `ast.parse` wait for the others, for the life of this cloud, if this Python needs it."""
    if sys.version_info >= (3, 11, 8):
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
    throttles = cloud.part(Throttles)
    cloud.guards.append(throttles.refusal)
    cloud.routes["/_millrace/throttles"] = throttles.serve
    refuse_by_models(cloud)
