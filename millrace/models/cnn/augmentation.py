"""Images turned, scaled and moved by a little, which changes no answer: more to learn from few images.

N images, C channels, H × W pixels. Each image of a batch has draws of its own, on its device: nothing is read back."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def augmented(x: Tensor, *, rotation: float, scale: float, shift: int) -> Tensor:
    """The images turned by up to `rotation` degrees either way, made larger or smaller by up to the share `scale`, and
    moved by up to `shift` pixels along both axes, all drawn evenly; the pixels of the edges are repeated outwards."""
    drawn_4N = 2 * torch.rand(4, len(x), device=x.device) - 1
    angle_N = drawn_4N[0] * math.radians(rotation)
    return warped(
        x, angle_N=angle_N, size_N=1 + drawn_4N[1] * scale, right_N=drawn_4N[2] * shift, down_N=drawn_4N[3] * shift
    )


def warped(x: Tensor, *, angle_N: Tensor, size_N: Tensor, right_N: Tensor, down_N: Tensor) -> Tensor:
    """Each image turned counter-clockwise by an angle in radians, then made `size` times as large, then moved.

    The grid says for each new pixel where it comes from, in halves of the image's sides from its centre: so the map is
    the inverse one, and turning an image that is no square takes the ratio of its sides."""
    height, width = x.shape[2:]
    cos_N, sin_N = angle_N.cos() / size_N, angle_N.sin() / size_N
    across_N, along_N = -2 * right_N / width, -2 * down_N / height
    upper_N3 = torch.stack([cos_N, -sin_N * height / width, cos_N * across_N - sin_N * along_N * height / width], dim=1)
    lower_N3 = torch.stack([sin_N * width / height, cos_N, sin_N * across_N * width / height + cos_N * along_N], dim=1)
    theta_N23 = torch.stack([upper_N3, lower_N3], dim=1)  # (N, 2, 3)
    grid = functional.affine_grid(theta_N23, list(x.shape), align_corners=False)  # (N, H, W, 2)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def shifted(x: Tensor, pixels: int) -> list[Tensor]:
    """The images as they are, and moved by so many pixels down, up, right and left."""
    height, width = x.shape[2:]
    padded = functional.pad(x, (pixels,) * 4, mode="replicate")
    corners = [(pixels, pixels), (0, pixels), (2 * pixels, pixels), (pixels, 0), (pixels, 2 * pixels)]
    return [padded[:, :, top : top + height, left : left + width] for top, left in corners]
