"""moto's own server, made fast enough, and calls that a test throttles or a model forbids.

AWS does: answer any number of requests, except those that it throttles.
moto does: list its own folder at every request, and build a parser for each JSONPath of each state. Both take a sixth
    of the server's CPU. It also builds routes from syntax trees on any thread, which CPython before 3.11.8 cannot do.
We do: cache the host lookup and the parsed paths. On such a Python, build one syntax tree at a time. Refuse as many
    calls of an operation as a test says, and members of a request beyond the limits of its API model.
Weaker: moto's threaded server answers some 160 requests a second in all.
"""

from localcloud.kernel.api_models import refuse_by_models
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.moto_caches import cache_lookups
from localcloud.kernel.syntax_trees import build_one_by_one
from localcloud.kernel.throttling import throttle_on_demand


def install(cloud: Cloud) -> None:
    cache_lookups()
    build_one_by_one()
    throttle_on_demand(cloud)
    refuse_by_models(cloud)
