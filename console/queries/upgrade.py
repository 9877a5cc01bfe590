"""What the installed version would change in a deployed stage, resource by resource."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from millrace.aws.errors import passed_over
from millrace.console.environment import Environment
from millrace.console.local_cloud.local_cloud import synthesis_context, synthesis_variables
from millrace.console.words import column
from millrace.errors import RunError

Kind = Literal["made", "changed", "replaced", "removed"]
WHOLE = "the whole stack"
Templates = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource of a stack that an upgrade would touch."""

    stack: str = column()
    resource: str = column()
    type: str = column()
    change: Kind = column()
    properties: str = column(heading="by")
    """The properties that differ; of a resource that is replaced, those that make CloudFormation replace it."""
    holds_data: bool = False
    """Whether its template keeps it when its stack goes, for the next one. Layers (`Retain`) are made anew."""

    @property
    def is_refused(self) -> bool:
        """Whether the upgrade is none to make without a plan: what is there would be made anew, or left behind."""
        return self.change == "replaced" or (self.change == "removed" and self.holds_data)


def synthesized(environment: Environment, build: Path) -> Templates:
    """The resources of the stage's templates, by stack. Raises RunError if it is not synthesized."""
    with TemporaryDirectory() as folder:
        platform = environment.platform
        given = synthesis_variables(Path(folder), synthesis_context({"bases": "unpinned"}, (), platform))
        # As `up` gives it to the stage local: its functions know where they lie.
        given |= {"MILLRACE_BUILD": str((build / "up").resolve())} if platform.stage == "local" else {}
        command = [sys.executable, "-m", "millrace.infra.app"]
        done = subprocess.run(command, env={**os.environ, **given}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RunError(f"the stage {platform.stage} is not synthesized: {done.stderr.strip()}")
        paths = Path(folder).glob("*.template.json")
        return {path.name.split(".")[0]: json.loads(path.read_text())["Resources"] for path in paths}


def compare_deployed(environment: Environment, made: Templates) -> list[Change]:
    """How the templates differ from those that are deployed."""
    cloudformation, region = environment.client("cloudformation"), environment.platform.region
    found = {stack: _deployed(cloudformation, stack) for stack in made}
    return [one for stack, now in found.items() for one in compare(stack, now, made[stack], region)]


def compare(stack: str, before: Mapping[str, Any], after: Mapping[str, Any], region: str) -> Iterator[Change]:
    """The differences of the resources of two templates of a stack; none are `before` if it is not deployed."""
    if not before:
        yield Change(stack=stack, resource=WHOLE, type="", change="made", properties=f"{len(after)} resources")
        return
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        change: Kind = "changed"
        by: list[str] = []
        if old is None or new is None:
            change = "made" if old is None else "removed"
        elif (old["Type"], old.get("Properties")) == (new["Type"], new.get("Properties")):
            continue
        elif by := sorted(_replacing(old, new, region)):
            change = "replaced"
        else:
            given, wanted = old.get("Properties", {}), new.get("Properties", {})
            by = sorted(key for key in {*given, *wanted} if given.get(key) != wanted.get(key))
        yield Change(
            stack=stack,
            resource=name,
            type=(new or old or {})["Type"],
            change=change,
            properties=", ".join(by),
            holds_data=(old or new or {}).get("DeletionPolicy") == "RetainExceptOnCreate",
        )


def _replacing(old: Mapping[str, Any], new: Mapping[str, Any], region: str) -> Iterator[str]:
    """The properties by whose change CloudFormation makes the resource anew, as the type's own schema lists them.

    https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html (createOnlyProperties)"""
    from cfnlint.schema import ResourceNotFoundError
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    if old["Type"] != new["Type"]:
        yield "Type"
        return
    try:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, new["Type"]).schema
    except ResourceNotFoundError:  # a custom resource: what its function makes of it nobody can know
        return
    for pointer in [*schema.get("createOnlyProperties", ()), *schema.get("conditionalCreateOnlyProperties", ())]:
        path = pointer.split("/")[2:]
        if _at(old.get("Properties"), path) != _at(new.get("Properties"), path):
            yield ".".join(path)


def _at(value: Any, path: Sequence[str]) -> Any:
    """The value at the path; the whole list where the path goes on in each of its items."""
    for part in takewhile(lambda one: one != "*", path):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _deployed(cloudformation: Any, stack: str) -> Mapping[str, Any]:
    """The resources of a deployed stack's template; none if there is no such stack."""
    with passed_over(lambda error: "does not exist" in str(error)):
        body = cloudformation.get_template(StackName=stack, TemplateStage="Original")["TemplateBody"]
        found: Mapping[str, Any] = (json.loads(body) if isinstance(body, str) else body)["Resources"]
        return found
    return {}
