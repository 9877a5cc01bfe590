"""The network of a stage as a graph: its residents, subnets, route tables, security groups and endpoints.

A workload's templates read the network's ids from SSM parameters, which the platform's template writes. References are
followed through these parameters, so all templates of a stage are one graph."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from millrace.infra.rules.assembly import Resource, Stack, given, listed, tasks, text
from millrace.infra.rules.policies import documents
from millrace.infra.rules.values import VPC

REFERENCE = re.compile(r"<([\w:]+)(\.\w+)?>")
READ_AT_DEPLOYMENT = re.compile(r"\{\{resolve:ssm:([^:}]+)(:\d+)?\}\}")
REGION = "MILLRACE_REGION"
"""The environment variable that tells every function of a stage its region."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call that a role may make: an action on a resource, both as its policy writes them."""

    action: str
    resource: str

    @property
    def service(self) -> str:
        """IAM's prefix of the action. Predictions have an endpoint apart from SageMaker's other calls."""
        return "sagemaker.runtime" if self.action.startswith("sagemaker:Invoke") else self.action.partition(":")[0]


@dataclass(frozen=True, kw_only=True)
class Resident:
    """A job, a model or a function in subnets. Subnets and groups are places, as `StageNetwork.place` names them."""

    where: str
    is_function: bool
    subnets: tuple[str, ...]
    groups: tuple[str, ...]
    calls: tuple[Call, ...]
    """The calls that its role may make."""


@dataclass(frozen=True)
class StageNetwork:
    """The templates of one stage, as a graph of their network."""

    stacks: Sequence[Stack]

    @cached_property
    def _by_name(self) -> Mapping[str, Stack]:
        return {stack.name: stack for stack in self.stacks}

    @cached_property
    def _published(self) -> Mapping[str, Resource]:
        return {text(one.properties.get("Name", "")): one for _, one in self.all("AWS::SSM::Parameter")}

    @cached_property
    def regions(self) -> frozenset[str]:
        """The stage's region; empty if the templates tell it to no function."""
        functions = [one for _, one in self.all("AWS::Lambda::Function")]
        told = [given(one.properties, "Environment", "Variables", REGION) for one in functions]
        return frozenset(text(region) for region in told if region)

    def all(self, kind: str) -> Iterator[tuple[str, Resource]]:
        """The resources of one type, each after its place: `<stack>/<logical id>`."""
        for stack in self.stacks:
            yield from ((f"{stack.name}/{one.logical_id}", one) for one in stack.resources(kind))

    def find(self, kind: str, place: str) -> Resource | None:
        """The resource of this type at the place; None if no template has one there."""
        return next((one for at, one in self.all(kind) if at == place), None)

    def stack_of(self, resource: Resource) -> Stack:
        return self._by_name[resource.stack]

    def place(self, stack: str, value: Any) -> str:
        """The place of the resource that the value names, `<stack>/<logical id>`; else the value as text.

        A reference to an SSM parameter that another template publishes is followed to the published resource."""
        # Three forms: a reference to a resource, a parameter of the template with the type of an SSM parameter, and a
        # `{{resolve:ssm:…}}`. A parameter's default is the name of the SSM parameter.
        written = text(value)
        reference, read = REFERENCE.fullmatch(written), READ_AT_DEPLOYMENT.fullmatch(written)
        name = reference[1] if reference else ""
        parameter = self._by_name[stack].template.get("Parameters", {}).get(name, {})
        is_read = str(parameter.get("Type", "")).startswith("AWS::SSM::Parameter::Value<")
        published = read[1] if read else str(parameter.get("Default", "")) if is_read else ""
        if published in self._published:
            found = self._published[published]
            return self.place(found.stack, found.properties.get("Value", ""))
        return published or (f"{stack}/{name}" if name else written)

    def places(self, resource: Resource, *path: str) -> tuple[str, ...]:
        """The places that a property of the resource names, one or a list; empty without such a property."""
        values = given(resource.properties, *path)
        return () if values is None else tuple(self.place(resource.stack, one) for one in listed(values))

    def residents(self) -> Iterator[Resident]:
        """Every job, model and function with a `VpcConfig`: tasks of machines, and resources."""
        for stack in self.stacks:
            for task in tasks([stack], *VPC):
                role = given(task.parameters, "RoleArn") or given(task.parameters, "ExecutionRoleArn")
                yield from self._resident(stack, task.where, given(task.parameters, *VPC[task.action]), role)
            for one in stack.resources("AWS::SageMaker::Model", "AWS::Lambda::Function"):
                role = given(one.properties, "Role") or given(one.properties, "ExecutionRoleArn")
                is_function = one.kind == "AWS::Lambda::Function"
                vpc = given(one.properties, "VpcConfig")
                yield from self._resident(stack, one.where, vpc, role, is_function=is_function)

    def _resident(
        self, stack: Stack, where: str, vpc: Any, role: Any, *, is_function: bool = False
    ) -> Iterator[Resident]:
        # Lambda and SageMaker name their subnets differently.
        subnets = given(vpc, "SubnetIds" if is_function else "Subnets")
        if not subnets:
            return
        yield Resident(
            where=where,
            is_function=is_function,
            subnets=tuple(self.place(stack.name, one) for one in listed(subnets)),
            groups=tuple(self.place(stack.name, one) for one in listed(given(vpc, "SecurityGroupIds") or [])),
            calls=tuple(self._calls(self.place(stack.name, role))),
        )

    def _calls(self, role: str) -> Iterator[Call]:
        # A role is named by a reference or by its ARN.
        for place, one in self.all("AWS::IAM::Role"):
            if place == role or role.endswith(f":role/{text(one.properties.get('RoleName', ''))}"):
                for document in documents(one):
                    yield from (call for allow in listed(document["Statement"]) for call in _allowed(allow))


def _allowed(statement: Mapping[str, Any]) -> Iterator[Call]:
    if statement["Effect"] == "Allow":
        for action in listed(statement.get("Action", [])):
            yield from (Call(action=action, resource=text(one)) for one in listed(statement.get("Resource", [])))
