"""The plant's label of a number with an interval: twice the power and 1, whose noise has a deviation of 0.4."""

from tests.plant import PlantLabel

PLANT = PlantLabel(
    declared={"logicalType": "number", "physicalType": "DOUBLE"},
    labels=lambda power_N: [2 * power + 1 for power in power_N],
    weights=([2.0, 2.0, 2.0], [0.34, 1.0, 1.66]),
    prediction={"quantiles": [0.05, 0.95], "fallback": [{"constant": 1.5}]},
    fallback_answer={"value": 1.5, "lower": None, "upper": None},
    explains="value",
    baseline={"kind": "mean", "margin": 0.1},
)
