"""Boosted trees beside a network: fitted by scikit-learn before the first step, kept and exported as tensors.

They are buffers of the predictor, so they go into weights, checkpoints and the ONNX graph like any other weight. Axes:
N rows, C columns, J nodes of all trees, W numbers of an answer, R rounds (a round has one tree for each of W)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from millrace.features.signature import Signature
from millrace.tasks.task import Objective

MOST_ROWS = 200_000
"""The most training rows that trees are fitted on, spread evenly."""
MOST_ROUNDS, MOST_TREES = 1000, 3000
"""The most rounds, and the most trees in all rounds together."""
LEAVES, DEPTH = 15, 8
"""The most leaves of a tree, and the most comparisons from its root to a leaf."""
NODE = "ai.onnx.ml::TreeEnsembleRegressor"
PARTS = ("column_J", "misses_left_J", "threshold_J", "left_J", "value_J")
FEWEST_HELD = 2
"""With fewer rows to stop by, the fit has UNSTOPPED_ROUNDS."""
UNSTOPPED_ROUNDS = 100
FAR = np.finfo(np.float32).max
"""A threshold that no number is greater than: weights are finite."""
NEVER = -30.0
"""The raw number of a class that does not occur among the training rows: a probability of 1e-13."""

Rows = tuple[Mapping[str, Tensor], Tensor]
"""Tensors and targets of the same rows."""


class Trees(nn.Module):
    """The signature's tensors in; out come the raw numbers (N, W), as a network gives them.

    Every tensor is flattened to columns of numbers, a category to its place in the list."""

    column_J: Tensor
    """Which column a node compares."""
    misses_left_J: Tensor
    """Whether a missing number goes to the left child."""
    threshold_J: Tensor
    """A greater number goes to the right child. FAR at a leaf."""
    left_J: Tensor
    """The left child of a node, the right one is the next; a leaf is its own."""
    value_J: Tensor
    root_WR: Tensor
    base_W: Tensor
    """The raw numbers before the first tree."""
    factor: Tensor
    """What corrects the mean of the answers where the label has a scale; see `Predictor`."""

    def __init__(self, signature: Signature, width: int) -> None:
        super().__init__()
        self.names = tuple(spec.name for spec in signature)
        # One leaf that is all trees, until `fit`.
        self.register_buffer("column_J", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("misses_left_J", torch.ones(1, dtype=torch.bool))
        self.register_buffer("threshold_J", torch.full((1,), torch.finfo(torch.float32).max))
        self.register_buffer("left_J", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("value_J", torch.zeros(1))
        self.register_buffer("root_WR", torch.zeros(width, 1, dtype=torch.int64))
        self.register_buffer("base_W", torch.zeros(width))
        self.register_buffer("factor", torch.tensor(1.0))

    def forward(self, **tensors: Tensor) -> Tensor:
        x_NC = self._columns(tensors)
        if torch.onnx.is_in_onnx_export():
            # An operator of the engine for all trees; `export.with_weights` puts them into it.
            width = len(self.base_W)
            found: Tensor = torch.onnx.ops.symbolic(
                NODE, [x_NC], {"n_targets": width}, dtype=torch.float32, shape=(x_NC.shape[0], width), version=3
            )
            return found
        x_NWC = x_NC[:, None, :].expand(-1, len(self.base_W), -1)
        node_NWR = self.root_WR.expand(len(x_NC), -1, -1)
        for _ in range(DEPTH):
            x_NWR = x_NWC.gather(2, self.column_J[node_NWR])
            is_right = torch.where(x_NWR.isnan(), ~self.misses_left_J[node_NWR], x_NWR > self.threshold_J[node_NWR])
            node_NWR = self.left_J[node_NWR] + is_right.long()
        return self.value_J[node_NWR].sum(2) + self.base_W

    def _columns(self, tensors: Mapping[str, Tensor]) -> Tensor:
        # No number is beyond FAR, where the comparison of a leaf would go on into the next tree.
        return torch.cat([tensors[name].flatten(1).float().clamp(-float(FAR), float(FAR)) for name in self.names], 1)

    def fit(
        self,
        tensors: Mapping[str, Tensor],
        target_N: Tensor,
        objective: Objective,
        held: Rows | None = None,
    ) -> None:
        """Fit the trees on training rows, and stop when the loss on the `held` rows no longer falls.

        Equal rows give equal trees: one thread, and no number is drawn."""
        # Scikit-learn computes on the processor, wherever the rows lie.
        rows = on_processor((tensors, target_N), step=1 + (len(target_N) - 1) // MOST_ROWS)
        held = on_processor(held) if held else None
        classes = np.unique(rows[1].numpy().astype(np.int64)) if objective.is_calibrated else None
        if classes is not None and len(classes) == 1:
            self._be_certain(int(classes[0]))
            return
        if held is not None and classes is not None:
            # Rows of a class that no training row has cannot stop the fit.
            known = torch.isin(held[1].long(), torch.from_numpy(classes))
            held = {name: value[known] for name, value in held[0].items()}, held[1][known]
        most = max(10, min(MOST_ROUNDS, MOST_TREES // objective.width))
        if held is None or len(held[1]) < FEWEST_HELD:
            held, most = rows, min(most, UNSTOPPED_ROUNDS)
        stop = self._matrix(held[0]), held[1].numpy()
        fitted = _boosted(self._matrix(rows[0]), rows[1].numpy(), stop, objective, rounds=most)
        self._take(fitted, classes)

    def _be_certain(self, place: int) -> None:
        """Answer with the only class that occurs, however many there could be."""
        width = len(self.base_W)
        if width == 1:
            base_W = np.full(1, -NEVER if place else NEVER, np.float32)
        else:
            base_W = np.where(np.arange(width) == place, 0, NEVER).astype(np.float32)
        for name, array in zip(PARTS, _leaf(), strict=True):
            self._set(name, array)
        self._set("root_WR", np.zeros((width, 1), np.int64))
        self._set("base_W", base_W)

    def _matrix(self, tensors: Mapping[str, Tensor]) -> npt.NDArray[np.float32]:
        # Scikit-learn fails on a column without any known number; no tree splits one that never varies.
        x_NC = self._columns(tensors).numpy()
        unknown_C = np.isnan(x_NC).all(axis=0)
        return np.where(unknown_C, np.float32(0), x_NC)

    def _take(self, fitted: list[Any], classes: npt.NDArray[np.int64] | None) -> None:
        """Set the buffers from scikit-learn's models; `classes` are those that occur, None for numbers."""
        width, base = len(self.base_W), np.concatenate([np.ravel(model._baseline_prediction) for model in fitted])
        # Two classes of several have one tree in each round: it is that of the second one's odds.
        places = list(range(width)) if classes is None else [0] if width == 1 else classes[-len(base) :].tolist()
        # The rounds after the best one showed that nothing better comes.
        kept = [model._predictors[: max(1, int(np.argmax(model.validation_score_)))] for model in fitted]
        of_places = [trees for rounds in kept for trees in zip(*rounds, strict=True)]
        # The columns of nodes, in the order of PARTS; a first leaf of zero is every tree that is not there.
        parts, offset = [_leaf()], 1
        root_WR = np.zeros((width, max(map(len, kept))), np.int64)
        for place, trees in zip(places, of_places, strict=True):
            for r, tree in enumerate(trees):
                parts.append(_flat(tree.nodes, offset))
                root_WR[place, r] = offset
                offset += len(tree.nodes)
        base_W = np.full(width, NEVER, np.float32)
        base_W[[0] if width == 1 or classes is None else classes] = 0
        base_W[places] = base
        for name, arrays in zip(PARTS, zip(*parts, strict=True), strict=True):
            self._set(name, np.concatenate(arrays))
        self._set("root_WR", root_WR)
        self._set("base_W", base_W)

    def _set(self, name: str, value: npt.NDArray[Any]) -> None:
        device = getattr(self, name).device
        setattr(self, name, torch.from_numpy(np.ascontiguousarray(value)).to(device))

    def _load_from_state_dict(self, state: Mapping[str, Tensor], prefix: str, *others: Any) -> None:
        # The number of trees follows from the rows: take the sizes of what is loaded.
        for name, buffer in self.named_buffers():
            if (value := state.get(prefix + name)) is not None and value.shape != buffer.shape:
                setattr(self, name, torch.empty_like(value, device=buffer.device))
        super()._load_from_state_dict(state, prefix, *others)


def on_processor(rows: Rows, step: int = 1) -> Rows:
    """Every so many of the rows, in the memory of the processor."""
    return {name: value[::step].cpu() for name, value in rows[0].items()}, rows[1][::step].cpu()


def _boosted(
    x_NC: npt.NDArray[np.float32],
    target: npt.NDArray[Any],
    held: tuple[npt.NDArray[np.float32], npt.NDArray[Any]],
    objective: Objective,
    *,
    rounds: int,
) -> list[Any]:
    """Scikit-learn's fitted models: one for all classes or for a number, one for each quantile of each horizon."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    settings: dict[str, Any] = {
        "learning_rate": 0.05,
        "max_leaf_nodes": LEAVES,
        "max_depth": DEPTH,
        "l2_regularization": 1.0,
        "max_iter": rounds,
        "early_stopping": True,
        "n_iter_no_change": 30,
        "random_state": 0,
    }
    # One thread: the order of sums, and so the trees, would depend on the number of threads.
    with threadpool_limits(limits=1):
        if objective.is_calibrated:
            y, y_held = target.astype(np.int64), held[1].astype(np.int64)
            return [HistGradientBoostingClassifier(**settings).fit(x_NC, y, X_val=held[0], y_val=y_held)]
        losses = [{"loss": "quantile", "quantile": q} for q in objective.options.get("quantiles", ())] or [{}]
        of_horizons = zip(np.atleast_2d(target.T), np.atleast_2d(held[1].T), strict=True)
        return [
            HistGradientBoostingRegressor(**settings, **loss).fit(x_NC, y, X_val=held[0], y_val=y_held)
            for y, y_held in of_horizons
            for loss in losses
        ]


def _leaf() -> tuple[npt.NDArray[Any], ...]:
    zero = np.zeros(1, np.int64)
    return zero, np.ones(1, np.bool_), np.full(1, FAR), zero, np.zeros(1, np.float32)


def _flat(nodes: npt.NDArray[Any], offset: int) -> tuple[npt.NDArray[Any], ...]:
    """The nodes of a tree as PARTS, in an order in which two children are neighbours; the root is node `offset`."""
    # Breadth first: each inner node appends its two children.
    order = [0]
    for at in order:
        if not nodes["is_leaf"][at]:
            order += [int(nodes["left"][at]), int(nodes["right"][at])]
    place = np.empty(len(nodes), np.int64)
    place[order] = np.arange(len(order))
    found, own = nodes[order], np.arange(len(order))
    is_leaf = found["is_leaf"].astype(np.bool_)
    # Rounded down: a float32 is greater than the threshold exactly if it is greater than the rounded one.
    exact = found["num_threshold"]
    near = exact.astype(np.float32)
    threshold = np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near)
    return (
        np.where(is_leaf, 0, found["feature_idx"]).astype(np.int64),
        is_leaf | found["missing_go_to_left"].astype(np.bool_),
        np.where(is_leaf, FAR, np.minimum(threshold, FAR)).astype(np.float32),
        np.where(is_leaf, own, place[np.where(is_leaf, 0, found["left"])]) + offset,
        np.where(is_leaf, found["value"], 0.0).astype(np.float32),
    )


def attributes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The trees with these buffers, by name, as attributes of ONNX's TreeEnsembleRegressor (ai.onnx.ml, version 3).

    https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html"""
    column_J, misses_J, threshold_J, left_J, value_J = (state[name].cpu().numpy() for name in PARTS)
    root_WR = state["root_WR"].cpu().numpy()
    is_leaf_J = left_J == np.arange(len(left_J))
    node, tree, first = [], [], []
    weights: dict[str, list[Any]] = {"ids": [], "treeids": [], "nodeids": [], "weights": []}
    for number, (w, root) in enumerate((w, root) for w, roots in enumerate(root_WR) for root in roots):
        # Breadth first, as they lie: a tree is what its root reaches.
        reached = [int(root)]
        for at in reached:
            reached += [] if is_leaf_J[at] else [int(left_J[at]), int(left_J[at]) + 1]
        node += reached
        tree += [number] * len(reached)
        first += [int(root)] * len(reached)
        leaves = [at for at in reached if is_leaf_J[at]]
        weights["ids"] += [w] * len(leaves)
        weights["treeids"] += [number] * len(leaves)
        weights["nodeids"] += [at - int(root) for at in leaves]
        weights["weights"] += value_J[leaves].tolist()
    # Nodes are counted in their own tree.
    own, left = np.array(node) - first, np.where(is_leaf_J[node], 0, left_J[node] - first)
    return {
        "n_targets": len(root_WR),
        "base_values": state["base_W"].cpu().tolist(),
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        "nodes_treeids": tree,
        "nodes_nodeids": own.tolist(),
        "nodes_featureids": column_J[node].tolist(),
        "nodes_modes": ["LEAF" if is_leaf else "BRANCH_LEQ" for is_leaf in is_leaf_J[node]],
        "nodes_values": np.where(is_leaf_J, 0, threshold_J)[node].tolist(),
        "nodes_truenodeids": left.tolist(),
        "nodes_falsenodeids": np.where(is_leaf_J[node], 0, left + 1).tolist(),
        "nodes_missing_value_tracks_true": misses_J[node].astype(np.int64).tolist(),
        **{f"target_{name}": found for name, found in weights.items()},
    }
