"""Names what of an app cannot be done here before anything is made: values of parameters, and images.

Types, states and tasks that are not covered are refused with their template (`stacks.py`). An image that comes in by
the input of a run, by a condition, or by what a resource is at its making is not known yet: its job says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from localcloud.cloudformation.intrinsics import evaluate
from localcloud.cloudformation.parameters import faults, is_stored, with_defaults
from localcloud.cloudformation.stack_resources import StackResources, exceptions
from localcloud.kernel.cloud import ACCOUNT, REGION, Cloud
from localcloud.kernel.control import Answer, Start, json_answer
from localcloud.ledger.inventory import LedgerGapError, definition_of
from localcloud.ledger.ledger import gaps
from localcloud.sagemaker.containers import Images, images

NOT_COVERED = "The local cloud does not cover: "
"""The beginning of the refusal of a template."""
_UNKNOWN = "-0.0e-0"
"""Stands for what is known at deployment alone: a number, since it may stand for one in a machine's definition."""
_IMAGES = frozenset({"Image", "ImageUri", "TrainingImage"})
"""The members that name the image of a model, a processing and a training job."""
_PSEUDO = {"AccountId": ACCOUNT, "Region": REGION, "Partition": "aws", "URLSuffix": "amazonaws.com"}


class _Values(dict[str, Any]):
    """What a template's names stand for before anything is made: parameters, mappings, `AWS::Region`."""

    lazy_condition_map: Mapping[str, bool] = {}

    def known(self, value: Any) -> Any:
        """The value, with _UNKNOWN in the place of each function whose result is not known."""
        try:
            return evaluate(value, self)
        except Exception:
            if isinstance(value, list):
                return [self.known(one) for one in value]
            if isinstance(value, dict) and not any(key == "Ref" or key.startswith("Fn::") for key in value):
                return {key: self.known(one) for key, one in value.items()}
            return _UNKNOWN


def lacking(template: Mapping[str, Any], parameters: Mapping[str, str], known: Images) -> Iterator[str]:
    """The images of which no container would start, each with the resource that names it, and the reason."""
    declared, pseudo = template.get("Parameters") or {}, {f"AWS::{name}": value for name, value in _PSEUDO.items()}
    given = {
        key: value
        for key, value in with_defaults(declared, parameters).items()
        if "AWS::SSM::" not in declared.get(key, {}).get("Type", "")
    }
    values = _Values({**pseudo, **template.get("Mappings", {}), **given})
    for key, one in template["Resources"].items():
        named = {} if "Condition" in one else one.get("Properties", {})
        if one["Type"] == "AWS::StepFunctions::StateMachine":
            with suppress(LedgerGapError):  # what cannot be read is refused with the template
                named = definition_of(named, lambda value: str(values.known(value)))
        elif not one["Type"].startswith("AWS::SageMaker::"):
            continue
        for uri in dict.fromkeys(_images(values.known(named))):
            if why := known.why_not(uri):
                yield f"image {uri} ({key}): {why}"


def _images(value: Any) -> Iterator[str]:
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key in _IMAGES and isinstance(one, str):
            # What JSONata computes is known in the run.
            yield from () if _UNKNOWN in one or one.startswith("{%") else (one,)
        else:
            yield from _images(one)


def refuse(template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
    """Raise ValidationError that names what of a template to be deployed does not fit, or cannot be done here."""
    refused = [*faults(template.get("Parameters") or {}, parameters)]
    refused += [NOT_COVERED + one for one in lacking(template, parameters, images(StackResources.cloud))]
    if refused:
        raise exceptions.ValidationError(message="; ".join(refused))


def serve_previews(cloud: Cloud) -> None:
    """Answer POST `/_millrace/preview` with what of an assembly's stacks cannot be done, in the order of deployment:

    `{"assembly": "cdk.out", "stacks": [{"name": "shop", "templateFile": "shop.json", "parameters": {}}]}`."""

    def look(environ: dict[str, Any], start: Start) -> Answer:
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        images(cloud).next = [body]
        return json_answer(start, "200 OK", [*_refusals(images(cloud), body["assembly"], body["stacks"])])

    cloud.routes["/_millrace/preview"] = look


def _refusals(known: Images, assembly: str, stacks: list[dict[str, Any]]) -> Iterator[str]:
    # Parameters of Systems Manager that the stacks before will have made; of one whose name is not a text, any name.
    before: set[str] = set()
    for stack in stacks:
        template, given = json.loads(Path(assembly, stack["templateFile"]).read_text()), stack["parameters"]
        stored = lambda name: "" in before or name in before or is_stored(name)  # noqa: B023, E731 - read at once
        for fault in faults(template.get("Parameters") or {}, given, stored):
            yield f"{stack['name']}: {fault}"
        if uncovered := [*gaps(template), *lacking(template, given, known)]:
            yield f"{stack['name']}: {NOT_COVERED}{'; '.join(uncovered)}"
        made = [one["Properties"] for one in template["Resources"].values() if one["Type"] == "AWS::SSM::Parameter"]
        before |= {name if isinstance(name := one.get("Name"), str) else "" for one in made}
