"""The types that moto's own CloudFormation has and no table here: kept as moto keeps them, simulated.

moto makes them without a call, so no role's right is asked for, and it ignores the properties that it does not know."""

from __future__ import annotations

import functools
from importlib import import_module
from typing import Any

from localcloud.cloudformation.resources.kind import Kind, Made, Wanted
from localcloud.kernel.cloud import ACCOUNT

parsing: Any = import_module("moto.cloudformation.parsing")


@functools.cache
def find(type_name: str) -> Kind | None:
    """How moto makes a type; None for one that it does not know. Each change replaces it."""
    model = parsing.get_model_map().get(type_name)
    # moto makes a nested stack beside ours.
    if model is None or type_name == "AWS::CloudFormation::Stack":
        return None
    put = functools.partial(_put, model, type_name)
    # Where moto has no deletion, its base class answers, and does nothing.
    return Kind(put=put, drop=functools.partial(_drop, model), fixed=("*",))


class _Attributes(dict[str, str]):
    """The attributes of a resource of moto's, which names none of them beforehand."""

    def __init__(self, resource: Any) -> None:
        super().__init__()
        self.resource = resource

    def __missing__(self, name: str) -> Any:
        try:
            return self.resource.get_cfn_attribute(name)
        except parsing.UnformattedGetAttTemplateException:
            raise KeyError(name) from None


def _put(model: Any, type_name: str, wanted: Wanted) -> Made:
    name = wanted.properties.get(parsing.resource_name_property_from_type(type_name))
    name = name or parsing.generate_resource_name(type_name, wanted.stack, wanted.logical_id)
    described = {"Type": type_name, "Properties": wanted.properties}
    own = {"LogicalId": wanted.logical_id, "StackId": wanted.stack_id, "ResourceType": type_name}
    made = model.create_from_cloudformation_json(name, described, ACCOUNT, wanted.cloud.region, **own)
    # moto's methods of REST APIs have no id.
    return Made(ref=getattr(made, "physical_resource_id", name), attributes=_Attributes(made))


def _drop(model: Any, wanted: Wanted, made: Made) -> None:
    described = {"Properties": wanted.properties}
    model.delete_from_cloudformation_json(made.ref, described, ACCOUNT, wanted.cloud.region)
