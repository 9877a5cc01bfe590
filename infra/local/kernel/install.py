"""Make moto's own server fast enough.

AWS does: answers any number of requests.
moto does: lists its own folder at every request and builds a parser for each JSONPath of each state: a sixth of the
    server's CPU.
We do: cache the host lookup and the parsed paths.
Weaker: moto's threaded server answers some 160 requests a second in all.
"""

from infra.local.kernel.cloud import Cloud
from infra.local.kernel.moto_caches import cache_lookups


def install(_: Cloud) -> None:
    cache_lookups()
