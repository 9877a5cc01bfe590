"""Gives a network the brightness and contrast of an image as inputs of their own: its standardised pixels have neither.

Axes: N images, C channels, H × W pixels, F = 2 C numbers out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from millrace.features.signature import TensorSpec
from millrace.models.moments import moments, pieces

PIECE = 2**24
"""How many pixels of the training images are summed at a time: 128 MiB as float64."""


class Brightness(nn.Module):
    """Images (N, C, H, W) of uint8 in; the standardised mean and deviation of each channel (N, 2 C) out.

    Both are kept within the range of the training images, as nothing was learnt about what is beyond: an image that is
    darker than every training image counts as the darkest of them."""

    mean_F: Tensor
    scale_F: Tensor
    least_F: Tensor
    most_F: Tensor

    def __init__(self, spec: TensorSpec) -> None:
        super().__init__()
        self.width = 2 * (spec.shape[0] or 1)
        for name, value in (("mean_F", 0.0), ("scale_F", 1.0), ("least_F", 0.0), ("most_F", 255.0)):
            self.register_buffer(name, torch.full((self.width,), value))

    def fit(self, pixels: Tensor) -> None:
        """Take mean, scale and range from the training images; a number that never varies there is switched off.

        Images that are all black are left out, since a missing image is black."""
        some = (piece["pixels"] for piece in pieces({"pixels": pixels}, PIECE))
        known_NF = torch.cat([_moments(piece[(piece != 0).flatten(1).any(1)]) for piece in some])
        if not len(known_NF):
            self.scale_F.zero_()
            return
        found = moments(lambda: [known_NF])
        for name in ("mean_F", "scale_F", "least_F", "most_F"):
            getattr(self, name).copy_(getattr(found, name))

    def forward(self, pixels: Tensor) -> Tensor:
        # Clip to the range of the training images, then standardise.
        within_NF = torch.minimum(torch.maximum(_moments(pixels), self.least_F), self.most_F)  # (N, 2 C)
        return (within_NF - self.mean_F) * self.scale_F


def _moments(pixels: Tensor) -> Tensor:
    """Mean and deviation of each channel (N, 2 C), by sums of whole numbers in float64 (see `standardised`)."""
    # Not the logarithm of the deviation: the last bit of an engine's logarithm depends on the place within a register.
    exact = pixels.double()  # (N, C, H, W)
    mean_NC = exact.mean((2, 3))  # (N, C)
    variance_NC = (exact.square().mean((2, 3)) - mean_NC.square()).clamp(min=0)  # (N, C)
    return torch.cat([mean_NC, variance_NC.sqrt()], dim=1).float()
