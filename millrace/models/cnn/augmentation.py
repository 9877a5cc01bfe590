"""Turns, scales and moves training images by a little. That changes no answer, so few images teach more.

Each image of a batch is changed by draws of its own. They are drawn on the images' device, so nothing is read back from
it. Axes: N images, C channels, H × W pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def augmented(x: Tensor, *, rotation: float, scale: float, shift: int) -> Tensor:
    """The images, each turned, scaled and moved by random amounts, which are drawn evenly.

    An image is turned by up to `rotation` degrees either way, made larger or smaller by up to the share `scale`, and
    moved by up to `shift` pixels along both axes. The pixels at its edges are repeated outwards."""
    # Four numbers for each image, from -1 to 1.
    drawn_4N = 2 * torch.rand(4, len(x), device=x.device) - 1
    angle_N = drawn_4N[0] * math.radians(rotation)
    return warped(
        x, angle_N=angle_N, size_N=1 + drawn_4N[1] * scale, right_N=drawn_4N[2] * shift, down_N=drawn_4N[3] * shift
    )


def warped(x: Tensor, *, angle_N: Tensor, size_N: Tensor, right_N: Tensor, down_N: Tensor) -> Tensor:
    """Each image turned counter-clockwise by an angle in radians, then made `size` times as large, then moved.

    `right_N` and `down_N` are in pixels."""
    # `grid_sample` asks, for each new pixel, where in the old image it comes from. So the map is the inverse one: move
    # back, divide by the size, turn back. Coordinates are in halves of the image's sides from its centre (-1 to 1), so
    # turning an image that is no square needs the ratio of its sides.
    height, width = x.shape[2:]
    cos_N, sin_N = angle_N.cos() / size_N, angle_N.sin() / size_N
    across_N, along_N = -2 * right_N / width, -2 * down_N / height
    upper_N3 = torch.stack([cos_N, -sin_N * height / width, cos_N * across_N - sin_N * along_N * height / width], dim=1)
    lower_N3 = torch.stack([sin_N * width / height, cos_N, sin_N * across_N * width / height + cos_N * along_N], dim=1)
    theta_N23 = torch.stack([upper_N3, lower_N3], dim=1)  # (N, 2, 3)
    grid = functional.affine_grid(theta_N23, list(x.shape), align_corners=False)  # (N, H, W, 2)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def shifted(x: Tensor, pixels: int) -> list[Tensor]:
    """Five copies of the images: as they are, and moved by this many pixels down, up, right and left."""
    height, width = x.shape[2:]
    padded = functional.pad(x, (pixels,) * 4, mode="replicate")
    # A window that begins further up shows the image further down.
    corners = [(pixels, pixels), (0, pixels), (2 * pixels, pixels), (pixels, 0), (pixels, 2 * pixels)]
    return [padded[:, :, top : top + height, left : left + width] for top, left in corners]
