"""The control routes below `/_millrace/`, which report on the cloud and steer it. They take the secret of the run."""

from __future__ import annotations

import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud.kernel.checkpoints import Checkpoints
from localcloud.kernel.cloud import Cloud

if TYPE_CHECKING:
    from localcloud.kernel.calls import Call

PREFIX = "/_millrace/"
SECRET_HEADER = "X-Millrace-Secret"  # noqa: S105 - a header's name  # pragma: allowlist secret
SECRET_VARIABLE = "MILLRACE_LOCAL_SECRET"  # noqa: S105 - a variable's name  # pragma: allowlist secret
"""The environment variable from which our own clients take the secret. Processes with a role do not get it."""
ROLE_KEYS = "ASIA"
"""The beginning of the access keys of an assumed role, on AWS as here."""

Start = Callable[..., Any]
Answer = Iterable[bytes]
Application = Callable[[dict[str, Any], Start], Answer]


def write_secret(cloud: Cloud) -> None:
    """Write the secret into a file of the workspace that only its owner can read."""
    path = secret_file(cloud.workspace)
    # The rights come before the content: at no time can anybody else read the secret.
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(cloud.secret)


def secret_file(workspace: Path) -> Path:
    return workspace / "secret"


class Control:
    """The WSGI application of the control routes. All answers are JSON.

    A route is a method: GET `/_millrace/api-calls` is answered by `get_api_calls`. Fillers mount routes of their own
    in `Cloud.routes`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._calls: Counter[str] = Counter()
        self._of_people: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, call: Call | None) -> None:
        """Count a call that the port got; None is a request without a signature."""
        name = call.name if call else "unsigned"
        with self._lock:
            self._calls[name] += 1
            if call is None or not call.access_key.startswith(ROLE_KEYS):
                self._of_people[name] += 1

    def serve(self, environ: dict[str, Any], start: Start) -> Answer:
        """The answer of the route, of this class or of a filler, if the client knows the secret of the run.

        Answers 403 without the secret, and 415 if a POST is not JSON."""
        secret = environ.get("HTTP_" + SECRET_HEADER.upper().replace("-", "_"), "")
        if not hmac.compare_digest(secret.encode(), self._cloud.secret.encode()):
            message = f"expected the secret of this run in the header {SECRET_HEADER} (variable {SECRET_VARIABLE})"
            return json_answer(start, "403 Forbidden", {"error": message})
        content = environ.get("CONTENT_TYPE", "")
        if environ["REQUEST_METHOD"] == "POST" and content.partition(";")[0].strip() != "application/json":
            message = f"expected the content type application/json, got {content!r}"
            return json_answer(start, "415 Unsupported Media Type", {"error": message})
        path = environ["PATH_INFO"]
        # "/_millrace/" itself is among the routes, so that there is always one.
        longest = max((prefix for prefix in self._cloud.routes if path.startswith(prefix)), key=len)
        return self._cloud.routes[longest](environ, start)

    def __call__(self, environ: dict[str, Any], start: Start) -> Answer:
        name = environ["PATH_INFO"].removeprefix(PREFIX).replace("-", "_")
        route = getattr(self, f"{environ['REQUEST_METHOD'].lower()}_{name}", None)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        try:
            if route is None:
                return json_answer(start, "404 Not Found", {"error": f"no control route {environ['PATH_INFO']}"})
            return json_answer(start, "200 OK", route(json.loads(environ["wsgi.input"].read(length) or "{}")))
        except (ValueError, KeyError) as error:
            return json_answer(start, "400 Bad Request", {"error": str(error)})

    def get_clock(self, _: Any) -> dict[str, str]:
        return {"now": self._cloud.clock.now().isoformat()}

    def post_clock(self, body: dict[str, str]) -> dict[str, str]:
        """Move the clock to `body["to"]`. Returns when every schedule that falls due on the way has fired."""
        self._cloud.clock.move(datetime.fromisoformat(body["to"]))
        return self.get_clock(body)

    def get_api_calls(self, _: Any) -> dict[str, Any]:
        """The counts of all calls, and of those that no role made: by people, by the deployment, by tests."""
        with self._lock:
            return {
                "total": self._calls.total(),
                "by_operation": dict(self._calls.most_common()),
                "of_people": dict(self._of_people.most_common()),
            }

    def get_idle(self, _: Any) -> dict[str, Any]:
        running, retries = (
            [line for look in looks for line in look()] for looks in (self._cloud.pending, self._cloud.retries)
        )
        return {"idle": not running and not retries, "running": running, "retries": retries}

    def get_entered(self, _: Any) -> list[str]:
        """A line `<process> <file> <function>` for each function of ours that was called since `follow`, in order."""
        entered = self._cloud.entered
        return entered.read_text().splitlines() if entered.exists() else []

    def post_follow(self, body: dict[str, bool]) -> dict[str, bool]:
        """Begin (`{"on": true}`) or end following. The end deletes the lines that were written."""
        self._cloud.follow(body["on"])
        return body

    def post_checkpoint(self, body: dict[str, Any]) -> dict[str, str]:
        """Make a checkpoint, such as `{"name": "deployed", "beside": ["build/mlflow.db"]}`, once this is answered.

        It is there when the socket is. Who connects to the socket gets a line when the cloud is as it was then."""
        beside = [Path(file) for file in body.get("beside", ())]
        return {"socket": str(self._cloud.parts[Checkpoints].ask(body["name"], beside))}

    def post_end_life(self, _: Any) -> None:
        """End this process, without an answer. The templates of its checkpoints stay."""
        self._cloud.parts[Checkpoints].end_life()

    def get_deployments(self, _: Any) -> list[dict[str, Any]]:
        return self._cloud.deployments

    def post_deployments(self, body: dict[str, Any]) -> dict[str, Any]:
        """Keep what a deployer did, and start the actions that follow a deployment.

        `body` is for example `{"assembly": "build/cdk.out", "stacks": [{"name": "millrace-local-platform",
        "status": "CREATE_COMPLETE", "resources": 40, "seconds": 2.1}]}`."""
        entry = {**body, "at": time.time()}
        self._cloud.deployments.append(entry)
        for number, action in enumerate(self._cloud.after_deployment):
            self._cloud.background(f"after-deployment-{number}", action)
        return entry


def json_answer(start: Start, status: str, body: Any) -> Answer:
    data = json.dumps(body).encode()
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]
