"""The stored run of electricity and a queue of decisions of income, worked through in a browser by worked.mjs."""

from pathlib import Path
from typing import Any

from millrace.console.environment import find_environment
from millrace.console.queries.reviews import reviews_of
from millrace.console.web.app import console_app
from tests.console import stored_cloud
from tests.console.browser import drive
from tests.console.conftest import make_machines
from tests.console.web.queue_of_items import NAMES, open_items
from tests.console.web.served import serving
from tests.console.web.waiting_version import let_wait


def worked(number: int, folder: Path) -> dict[str, Any]:
    """What the browser saw, and what has become of the items."""
    with stored_cloud.running():
        environment = find_environment("dev", Path("build"))
        make_machines(environment, NAMES, "ingest")
        open_items(environment, number)
        let_wait(environment)
        app, close = console_app(environment)
        with serving(app) as (_, url):
            found = drive(Path(__file__).with_name("worked.mjs"), url, folder)
        close()
        items = reviews_of(environment, NAMES).queue.find([f"r-{each}" for each in range(1, number + 1)])
        return {**found, "items": items}
