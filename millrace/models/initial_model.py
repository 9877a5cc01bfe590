"""A network that starts from another model's weights: which tensors it takes, and which of them learn on."""

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
"""Of a predictor's tensors those of its network; the others are the task's."""
FIELD = "training.weights"
NAMED = 8
"""Of the tensors that do not fit."""

Tensors = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class InitialModel:
    """A model whose trunk another one of its family starts from."""

    weights: bytes
    """Safetensors."""
    description: Description | None
    """None where the weights came alone: of which family they are, their names and shapes say."""
    is_frozen: bool
    """Whether the trunk stays as it is."""

    def encoders(self, fitted: Features, parameters: Parameters) -> Features:
        """The encoders, each text as the model reads it: its ids are rows of the trunk's tables.

        Categories too, where the columns belong to the trunk. Raises ArtefactError for one that the model does not
        read, or whose words nobody has told."""
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
            # Whether a cell may be missing is the contract's word, not the model's.
            return replace(known, optional=fitted.optional)
        return known

    def apply(self, network: nn.Module, parameters: Parameters) -> None:
        """Set the trunk's tensors, and what is behind it where all of that fits; freeze the trunk where it is so
        declared.

        Raises ArtefactError for another family, and for a trunk that does not fit: it names the tensors."""
        came, expected = self.description.family if self.description else "", parameters.network.split(".")[2]
        if came not in ("", expected):
            raise ArtefactError(f"{FIELD}: expected a model of the family {expected}, got {came}")
        own, given = network.state_dict(), self._given()
        trunk, given_trunk = (_part(held, parameters, behind=False) for held in (own, given))
        if misfits := _misfits(trunk, given_trunk):
            more = f"; and {len(misfits) - NAMED} more" if len(misfits) > NAMED else ""
            raise ArtefactError(f"{FIELD}: {'; '.join(misfits[:NAMED])}{more}")
        behind, given_behind = (_part(held, parameters, behind=True) for held in (own, given))
        taken = given_trunk if _misfits(behind, given_behind) else given
        network.load_state_dict(taken, strict=False)
        if self.is_frozen:
            for name, parameter in network.named_parameters():
                parameter.requires_grad_(name in behind)

    def _given(self) -> Tensors:
        try:
            tensors = load(self.weights)
        except SafetensorError as error:
            raise ArtefactError(f"{FIELD}: expected safetensors, got {error}") from None
        return {name.removeprefix(NETWORK): value for name, value in tensors.items() if name.startswith(NETWORK)}


def _part(tensors: Mapping[str, Tensor], parameters: Parameters, *, behind: bool) -> Tensors:
    """Those of the trunk, or those behind it."""
    return {name: value for name, value in tensors.items() if (name.split(".")[0] in parameters.behind_trunk) is behind}


def _misfits(expected: Tensors, came: Tensors) -> list[str]:
    """A tensor of one that the other lacks or has in another shape."""
    return [
        f"{name}: expected {_shape(expected, name)}, got {_shape(came, name)}"
        for name in sorted(expected.keys() | came.keys())
        if _shape(expected, name) != _shape(came, name)
    ]


def _shape(tensors: Tensors, name: str) -> str:
    return str(list(tensors[name].shape)) if name in tensors else "no such tensor"
