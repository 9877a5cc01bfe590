"""How the function `ingestion` is deployed."""

from collections.abc import Iterator

from millrace.contract.load import load_contract
from millrace.contract.schema import FEEDS
from millrace.datasets.quarantine import REFUSED
from millrace.files.origin import image_columns
from millrace.messages.events import SchemaDrifted
from millrace.settings.declaration import TABLE_MEMORY_MB, Declared, Deployment, Grant
from millrace.settings.drop import DropEnvironment


def rights(given: Deployment) -> Iterator[Grant]:
    # A drop may name objects of the folder `objects` in place of the bytes of images (`millrace.files.manifest`).
    images = ["objects"] if image_columns(load_contract(given.folder).rows) else []
    yield Grant("buckets.LANDING.read_versions", *FEEDS, *images)
    yield Grant("buckets.LANDING.read", *FEEDS, *images)
    yield Grant("buckets.LANDING.find", "scoring", *images)
    yield Grant("buckets.LAKE.write", "staging", *REFUSED)
    yield Grant("state_table.own_items", may="GetItem")
    yield Grant("bus.put_events", SchemaDrifted)


DECLARED = Declared(
    room="ingestion",
    settings=DropEnvironment,
    timeout_s=900,
    memory_mb=TABLE_MEMORY_MB,
    rights=rights,
)
