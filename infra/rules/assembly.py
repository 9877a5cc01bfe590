"""Reads a synthesized assembly for the rules: stacks with their resources, machines with their states."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One place that breaks a rule."""

    where: str
    """Stack and resource, or machine and state."""
    expected: str
    came: Any

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, got {self.came!r}"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource of a template."""

    stack: str
    logical_id: str
    kind: str
    properties: Mapping[str, Any]

    @property
    def where(self) -> str:
        return f"{self.stack}/{self.logical_id} ({self.kind})"


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One template."""

    name: str
    template: Mapping[str, Any]

    def resources(self, *kinds: str) -> Iterator[Resource]:
        """The resources of these types; all resources if no type is given."""
        for logical_id, found in self.template.get("Resources", {}).items():
            if not kinds or found["Type"] in kinds:
                yield Resource(
                    stack=self.name,
                    logical_id=logical_id,
                    kind=found["Type"],
                    properties=found.get("Properties", {}),
                )


@dataclass(frozen=True, kw_only=True)
class Task:
    """A state that calls a service."""

    where: str
    service: str
    """The called service, such as `sagemaker` or `lambda`, also in a call by `aws-sdk:`."""
    action: str
    """The called action, such as `createTrainingJob`, without `.sync` or `.waitForTaskToken`."""
    parameters: Mapping[str, Any]
    state: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One state machine. Deploy-time values in it are written as `<LogicalId.Attribute>`."""

    where: str
    definition: Mapping[str, Any]

    def tasks(self) -> Iterator[Task]:
        """Every task, also inside maps and branches."""
        for name, state in every_state(self.definition):
            if state["Type"] == "Task":
                # `arn:aws:states:::sagemaker:createTrainingJob.sync`, `arn:aws:states:::aws-sdk:s3:listObjectsV2`.
                called = state["Resource"].partition("states:::")[2].removesuffix(":2")  # of `.sync:2`
                *_, service, action = called.split(":") if called.count(":") else ("", called)
                yield Task(
                    where=f"{self.where}, state {name!r}",
                    service=service,
                    action=action.partition(".")[0],
                    parameters=state.get("Parameters", state.get("Arguments", {})),
                    state=state,
                )


def read(folder: Path) -> list[Stack]:
    """The stacks of an assembly folder, as `cdk synth` leaves it. Raises FileNotFoundError if it has no template.

    The manifest names them: the CDK leaves templates of an earlier synthesis in the folder."""
    templates = sorted(folder.glob("*.template.json"))
    if (manifest := folder / "manifest.json").is_file():
        artifacts = json.loads(manifest.read_text())["artifacts"].values()
        named = {one["properties"]["templateFile"] for one in artifacts if one["type"] == "aws:cloudformation:stack"}
        templates = [path for path in templates if path.name in named]
    if not templates:
        raise FileNotFoundError(f"{folder}: expected *.template.json of an assembly, found none")
    return [
        Stack(name=path.name.removesuffix(".template.json"), template=json.loads(path.read_text()))
        for path in templates
    ]


def resources(stacks: Sequence[Stack], *kinds: str) -> Iterator[Resource]:
    """The resources of these types in all stacks; all resources if no type is given."""
    return (resource for stack in stacks for resource in stack.resources(*kinds))


def machines(stacks: Sequence[Stack]) -> Iterator[Machine]:
    """Every state machine of the stacks."""
    for resource in resources(stacks, "AWS::StepFunctions::StateMachine"):
        definition = json.loads(text(resource.properties["DefinitionString"]))
        yield Machine(where=f"{resource.stack}/{resource.logical_id}", definition=definition)


def tasks(stacks: Sequence[Stack], *actions: str) -> Iterator[Task]:
    """The tasks of all machines that call one of these actions; all tasks if no action is given."""
    for machine in machines(stacks):
        yield from (task for task in machine.tasks() if not actions or task.action in actions)


def text(value: Any) -> str:
    """The value as text, with a deploy-time value in angle brackets: `<Key.Arn>`."""
    # A mapping with one key is an intrinsic function: Ref, Fn::GetAtt and so on. Only a join is carried out.
    if not isinstance(value, Mapping):
        return str(value)
    ((function, given),) = value.items()
    if function == "Fn::Join":
        separator, parts = given
        return str(separator).join(text(part) for part in parts)
    return f"<{'.'.join(map(text, given)) if isinstance(given, list) else given}>"


def given(values: Any, *path: str) -> Any:
    """The value at the path, or None. In a state, a key that gets its value at run time is written as `Key.$`."""
    for key in path:
        if not isinstance(values, Mapping):
            return None
        values = values.get(key, values.get(f"{key}.$"))
    return values


def listed(value: Any) -> list[Any]:
    """The value as a list. A policy may have one value, or a list of them."""
    return list(value) if isinstance(value, list | tuple) else [value]


def every_state(definition: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every state with its name, also inside maps and branches."""
    for name, state in definition["States"].items():
        yield name, state
        inner = [state[key] for key in ("ItemProcessor", "Iterator") if key in state]
        for branch in [*inner, *state.get("Branches", [])]:
            yield from every_state(branch)
