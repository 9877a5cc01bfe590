"""Make moto's own server fast enough, and let a test throttle calls.

AWS does: answers any number of requests, but for those that it throttles.
moto does: lists its own folder at every request and builds a parser for each JSONPath of each state: a sixth of the
    server's CPU. It builds routes of syntax trees on any thread, which CPython before 3.11.8 cannot.
We do: cache the host lookup and the parsed paths; build one tree at a time on such a Python; refuse so many calls of an
    operation as a test says.
Weaker: moto's threaded server answers some 160 requests a second in all.
"""

from infra.local.kernel.cloud import Cloud
from infra.local.kernel.moto_caches import cache_lookups
from infra.local.kernel.syntax_trees import build_one_by_one
from infra.local.kernel.throttling import throttle_on_demand


def install(cloud: Cloud) -> None:
    cache_lookups()
    build_one_by_one()
    throttle_on_demand(cloud)
