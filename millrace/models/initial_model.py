"""Starts a network from the weights of an initial model: which tensors it takes, and which of them go on learning.

A network has two parts. Its trunk can be taken by another model of the same family. What is behind the trunk
(`Parameters.behind_trunk`), such as the head, belongs to one workload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from millrace.artefact.artefact import Description
from millrace.errors import ArtefactError
from millrace.features.catalogue import Features
from millrace.features.encoder import Encoder
from millrace.features.free_text import FreeText
from millrace.features.signature import JOINED
from millrace.models.parameters import Parameters

NETWORK = "network."
"""The prefix of the tensors of a predictor's network; the other tensors belong to the task."""
FIELD = "training.weights"
"""The key of workload.yaml that errors name."""
NAMED = 8
"""An error names at most this many tensors that do not fit."""

Tensors = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class InitialModel:
    """A model whose trunk another model of the same family starts from."""

    weights: bytes
    """The weights as safetensors."""
    description: Description | None
    """None if the weights came alone. Only their names and shapes then show of which family they are."""
    is_frozen: bool
    """Whether the trunk stays as it is, so that only what is behind it learns."""

    def encoders(self, fitted: Features, parameters: Parameters) -> Features:
        """The encoders of the new model; the encoders of texts are taken from the initial model.

        The ids of a text are rows in a table of the trunk, so both models must number the words alike. Encoders of
        categories are taken as well if the columns belong to the trunk. Raises ArtefactError for a feature that the
        initial model does not read, and if the weights came alone, without the words."""
        trunk_has_columns = "columns" not in parameters.behind_trunk
        return tuple(
            self._known(encoder) if trunk_has_columns or encoder.spec.name not in JOINED else encoder
            for encoder in fitted
        )

    def _known(self, fitted: Encoder) -> Encoder:
        if fitted.spec.kind not in ("text", "categories"):
            return fitted
        if self.description is None:
            expected = f"a model.tar.gz, whose description has the words of {fitted.name}"
            raise ArtefactError(f"{FIELD}: expected {expected}, got weights alone")
        features = self.description.features
        known = next((one for one in features if (one.kind, one.name) == (fitted.kind, fitted.name)), None)
        if known is None:
            came = ", ".join(f"{one.name} by {one.kind}" for one in features)
            raise ArtefactError(f"{FIELD}: expected a model that reads {fitted.name} by {fitted.kind}, got {came}")
        if isinstance(known, FreeText) and isinstance(fitted, FreeText):
            # The contract decides whether a cell may be missing, not the initial model.
            return replace(known, optional=fitted.optional)
        return known

    def apply(self, network: nn.Module, parameters: Parameters) -> None:
        """Set the tensors of the network's trunk, and those behind it if all of them fit; freeze the trunk if declared.

        Raises ArtefactError for another family, and for a trunk that does not fit; the error names the tensors."""
        # A family has the name of its parameters' class: `gru` has those of `Gru`.
        came, expected = self.description.family if self.description else "", type(parameters).__name__.lower()
        if came not in ("", expected):
            raise ArtefactError(f"{FIELD}: expected a model of the family {expected}, got {came}")
        own, given = network.state_dict(), self._given()
        trunk, given_trunk = (_part(held, parameters, behind=False) for held in (own, given))
        if misfits := _misfits(trunk, given_trunk):
            more = f"; and {len(misfits) - NAMED} more" if len(misfits) > NAMED else ""
            raise ArtefactError(f"{FIELD}: {'; '.join(misfits[:NAMED])}{more}")
        # Behind the trunk, all or nothing is taken.
        behind, given_behind = (_part(held, parameters, behind=True) for held in (own, given))
        taken = given_trunk if _misfits(behind, given_behind) else given
        network.load_state_dict(taken, strict=False)
        if self.is_frozen:
            for name, parameter in network.named_parameters():
                parameter.requires_grad_(name in behind)

    def _given(self) -> Tensors:
        """The tensors of the initial model's network, by the names that they have in a network."""
        try:
            tensors = load(self.weights)
        except SafetensorError as error:
            raise ArtefactError(f"{FIELD}: expected safetensors, got {error}") from None
        return {name.removeprefix(NETWORK): value for name, value in tensors.items() if name.startswith(NETWORK)}


def _part(tensors: Mapping[str, Tensor], parameters: Parameters, *, behind: bool) -> Tensors:
    """The tensors of the trunk, or with `behind` the tensors behind it."""
    # The first part of a tensor's name is its module: "head" of "head.weight".
    return {name: value for name, value in tensors.items() if (name.split(".")[0] in parameters.behind_trunk) is behind}


def _misfits(expected: Tensors, came: Tensors) -> list[str]:
    """A line for each tensor that one side lacks, or has in another shape."""
    return [
        f"{name}: expected {_shape(expected, name)}, got {_shape(came, name)}"
        for name in sorted(expected.keys() | came.keys())
        if _shape(expected, name) != _shape(came, name)
    ]


def _shape(tensors: Tensors, name: str) -> str:
    return str(list(tensors[name].shape)) if name in tensors else "no such tensor"
