"""The grid of "Failing Loudly" (Rabanser et al. 2019, arXiv 1810.11953) on images: who sees which shift, ours or BBSDs.

`python -m benchmarks.image_shifts`; the last line is JSON. BBSDs is the paper's best detector: Kolmogorov and
Smirnov's test of each softmax output, by Bonferroni, here of the same network. Ours is what the monitor does with such
answers (`millrace.monitoring.answers`): Hotelling's T² of confidence, answers, likeness and coordinates. Both compare
with the same held-out rows, at the same rate, on the same windows.

    shift       of the affected images
    noise       normal noise on each pixel, of deviation 1, 10 and 100 (of 255)
    transform   turned and moved: by 5 degrees and 2 %, 15 and 5 %, 40 and 20 %
    knock-out   images of one class are replaced by others

10, 50 and 100 % of the images of a window are affected; a window has 10 to 1,000 rows. The images are chest X-rays of
two classes, and scikit-learn's digits of ten.

The bar: in no cell is BBSDs ahead by more than the error of simulation (three deviations of the paired difference), and
ours alarms in no more quiet windows than declared, by the same measure."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.datasets import load_digits
from torch import nn

from benchmarks import conclude
from millrace.contract.load import load_contract
from millrace.features import catalogue as encoders
from millrace.models.likeness import Likeness, states
from millrace.monitoring.answers import HeldAnswers, held_answers
from millrace.workload.load import load_workload

RATE, TRIALS, EPOCHS, TRAINED, HELD = 0.01, 100, 8, 0.35, 0.25
ROWS, SHARES = (10, 20, 50, 100, 200, 500, 1_000), (0.1, 0.5, 1.0)
NOISE = {"small": 1, "medium": 10, "large": 100}
MOVES = {"small": (5, 0.02), "medium": (15, 0.05), "large": (40, 0.2)}
DRAWN = 20_000
"""Windows that are drawn to find the distance above which BBSDs alarms."""
SEED = 11
"""Other splits and windows than those on which the rate was shared out."""
HOME = Path("workloads/xray")
Floats = NDArray[np.float64]


class Network(nn.Module):
    def __init__(self, side: int, classes: int) -> None:
        super().__init__()
        width = 16 * (side // 4) ** 2
        self.body = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(width, 32), nn.ReLU()),
        )
        self.head = nn.Linear(32, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.body(image))
        return found


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the network says of some images (N), and what it measures of them."""

    softmax_NW: Floats
    distance_N: Floats
    coordinates_NS: Floats

    def answers(self, held_distances: Floats) -> tuple[dict[str, NDArray[Any]], dict[str, Floats]]:
        """The answers and the measures of the rows, as the container gives them."""
        value_N = self.softmax_NW.argmax(axis=1).astype(str).astype(object)
        nearer_N = np.searchsorted(np.sort(held_distances), self.distance_N, side="left")
        likeness_N = (1 + len(held_distances) - nearer_N) / (1 + len(held_distances))
        measured = {f"embedding.{place}": column for place, column in enumerate(self.coordinates_NS.T)}
        return {"value": value_N, "confidence": self.softmax_NW.max(axis=1)}, {"likeness": likeness_N, **measured}


@dataclass(frozen=True, kw_only=True)
class Detectors:
    held_NW: Floats
    ours: HeldAnswers
    held_distances: Floats

    def rows(self, seen: Seen) -> Floats:
        """Our columns of each row (N, A)."""
        answers, measured = seen.answers(self.held_distances)
        texts = {f"value = {name}": (answers["value"] == name) for name in np.unique(answers["value"])}
        known = {**texts, "confidence": answers["confidence"], **measured}
        empty_N = np.zeros(len(seen.distance_N))
        return np.stack([np.asarray(known.get(name, empty_N), np.float64) for name in self.ours.columns], axis=1)

    def alarm(self, rows_nA: Floats, softmax_nW: Floats) -> tuple[bool, bool]:
        """Whether ours alarms, and whether BBSDs does."""
        shift = self.ours.shift(rows_nA)
        far = max(map(apart, self.held_NW.T, softmax_nW.T))
        bound = critical(len(self.held_NW), len(softmax_nW), RATE / softmax_nW.shape[1])
        return bool(shift and shift.value > shift.bound), far > bound


def apart(held_N: Floats, window_n: Floats) -> float:
    """The distance of Kolmogorov and Smirnov."""
    at = np.concatenate([held_N, window_n])
    below_2 = (np.searchsorted(np.sort(one), at, side="right") / len(one) for one in (held_N, window_n))
    return float(np.abs(np.subtract(*below_2)).max())


@lru_cache
def critical(held: int, rows: int, rate: float) -> float:
    """The distance that windows without a shift exceed with the probability `rate`, from their ranks among all."""
    random = np.random.default_rng(0)
    count_n = np.arange(1, rows + 1)
    far = []
    for _ in range(DRAWN):
        rank_n = np.sort(random.choice(held + rows, rows, replace=False)) + 1
        of_held_n = (rank_n - count_n) / held
        far.append(max((count_n / rows - of_held_n).max(), (of_held_n - (count_n - 1) / rows).max()))
    return float(np.quantile(far, 1 - rate, method="higher"))


def xrays() -> tuple[Floats, NDArray[np.int64]]:
    table = pq.read_table(HOME / "sample" / "pneumoniamnist.parquet")
    table = table.filter(table["split"].is_valid())
    features = encoders.declare(load_workload(HOME).prediction.features, load_contract(HOME).rows)
    pixels_NCHW = encoders.encode(features, table)["image"]
    return pixels_NCHW[:, 0].astype(np.float64), table["label"].to_numpy().astype(np.int64)


def digits() -> tuple[Floats, NDArray[np.int64]]:
    found = load_digits()
    return found.images * (255 / 16), found.target.astype(np.int64)


def trained(pixels_NHW: Floats, label_N: NDArray[np.int64]) -> tuple[Network, Likeness]:
    torch.manual_seed(0)
    network = Network(pixels_NHW.shape[1], int(label_N.max()) + 1)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    image_N, target_N = tensor(pixels_NHW), torch.from_numpy(label_N)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(target_N)).split(32):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(image_N[rows]), target_N[rows]).backward()
            optimiser.step()
    likeness = Likeness(network)
    likeness.fit(states(network, [{"image": image_N}]))
    return network.eval(), likeness


def tensor(pixels_NHW: Floats) -> torch.Tensor:
    return torch.from_numpy(pixels_NHW[:, None].astype(np.float32) / 255)


def look(network: Network, likeness: Likeness, pixels_NHW: Floats) -> Seen:
    image_N = tensor(pixels_NHW)
    with torch.no_grad():
        softmax_NW = torch.softmax(network(image_N), dim=1).double().numpy()
        measured_NS = likeness(states(network, [{"image": image_N}])).double().numpy()
    return Seen(softmax_NW=softmax_NW, distance_N=measured_NS[:, 0], coordinates_NS=measured_NS[:, 1:])


def shifted(pixels_NHW: Floats, random: np.random.Generator) -> Iterator[tuple[str, Floats]]:
    """The same images under each shift but the knock-out."""
    for name, deviation in NOISE.items():
        noise = random.normal(0, deviation, pixels_NHW.shape)
        yield f"noise {name}", np.clip(pixels_NHW + noise, 0, 255)
    side = pixels_NHW.shape[1]
    for name, (degrees, share) in MOVES.items():
        turned = [
            ndimage.shift(
                ndimage.rotate(one, random.uniform(-degrees, degrees), reshape=False, order=1, mode="nearest"),
                random.uniform(-share, share, 2) * side,
                order=1,
                mode="nearest",
            )
            for one in pixels_NHW
        ]
        yield f"transform {name}", np.stack(turned)


def grid(pixels_NHW: Floats, label_N: NDArray[np.int64], seed: int) -> dict[tuple[str, float, int], NDArray[np.bool_]]:
    """Whether ours and BBSDs alarm in each trial (T, 2), by shift, affected share and rows."""
    random = np.random.default_rng(seed)
    order_N = random.permutation(len(label_N))
    first, second = (int(len(order_N) * share) for share in (TRAINED, TRAINED + HELD))
    train, held, pool = np.split(order_N, [first, second])
    network, likeness = trained(pixels_NHW[train], label_N[train])
    before = look(network, likeness, pixels_NHW[held])
    ours = held_answers(*before.answers(before.distance_N), np.arange(len(held)), rate=RATE)
    assert ours is not None
    known = Detectors(held_NW=before.softmax_NW, ours=ours, held_distances=before.distance_N)
    plain = look(network, likeness, pixels_NHW[pool])
    looks = {"none": plain, "knock-out": plain}
    looks |= {name: look(network, likeness, moved) for name, moved in shifted(pixels_NHW[pool], random)}
    rows = {name: (known.rows(one), one.softmax_NW) for name, one in looks.items()}
    label_N = label_N[pool]
    found = {}
    for name in looks:
        for share in SHARES if name != "none" else (0.0,):
            for count in [count for count in ROWS if count <= 0.75 * len(pool)]:
                trials = [trial(name, share, count, rows, label_N, known, random) for _ in range(TRIALS)]
                found[name, share, count] = np.array(trials)
    return found


def trial(
    name: str,
    share: float,
    count: int,
    rows: Mapping[str, tuple[Floats, Floats]],
    label_N: NDArray[np.int64],
    known: Detectors,
    random: np.random.Generator,
) -> tuple[bool, bool]:
    place_N = random.permutation(len(label_N))
    if name == "knock-out":
        # Of the last class, as many as are affected are left out.
        kept_N = (label_N[place_N] != label_N.max()) | (random.random(len(place_N)) >= share)
        place_N = place_N[kept_N]
    place_n = place_N[:count]
    is_moved_n = np.arange(len(place_n)) < round(share * len(place_n))
    mine, theirs = (
        np.where(is_moved_n[:, None], moved[place_n], plain[place_n])
        for moved, plain in zip(rows[name], rows["none"], strict=True)
    )
    return known.alarm(mine, theirs)


def verdict(found: Mapping[str, Mapping[tuple[str, float, int], NDArray[np.bool_]]]) -> dict[str, Any]:
    """The result: the cells in which BBSDs is ahead, and the rates of both in quiet windows."""
    behind, quiet = [], []
    for data, cells in found.items():
        for (name, share, rows), alarms_T2 in cells.items():
            ahead_T = alarms_T2[:, 0].astype(float) - alarms_T2[:, 1]
            error = 3 * max(float(ahead_T.std()), 1 / len(ahead_T) ** 0.5 * 0.1) / len(ahead_T) ** 0.5
            if name == "none":
                quiet.append(alarms_T2)
            elif ahead_T.mean() < -error:
                behind.append(f"{data}, {name} {share:.0%} of {rows}: {alarms_T2.mean(axis=0).tolist()}")
    rates = np.concatenate(quiet).mean(axis=0)
    most = RATE + 3 * (RATE / sum(map(len, quiet))) ** 0.5
    return {
        "name": "image_shifts",
        "figure": len(behind),
        "unit": "cells in which BBSDs is ahead",
        "bar": 0,
        "behind": behind,
        "quiet": {"ours": float(rates[0]), "BBSDs": float(rates[1])},
        "holds": not behind and bool(rates[0] <= most),
    }


def main() -> None:
    """Print the mean over the rows of each shift; the last line says whether the bar holds."""
    torch.set_num_threads(1)
    found = {"x-rays": grid(*xrays(), seed=SEED), "digits": grid(*digits(), seed=SEED + 1)}
    for data, cells in found.items():
        for name, share, rows in cells:
            ours, theirs = cells[name, share, rows].mean(axis=0)
            print(f"{data}, {name}, {share:.0%} of {rows}: ours {ours:.3f}, BBSDs {theirs:.3f}", file=sys.stderr)
    conclude(verdict(found))


if __name__ == "__main__":
    main()
