"""The plant's label of a number: twice the power and 1."""

from tests.plant import PlantLabel

PLANT = PlantLabel(
    declared={"logicalType": "number", "physicalType": "DOUBLE"},
    labels=lambda power_N: [2 * power + 1 for power in power_N],
    weights=([2.0], [1.0]),
    prediction={"fallback": [{"constant": 1.5}]},
    fallback_answer={"value": 1.5},
    explains="value",
    baseline={"kind": "mean", "margin": 0.1},
)
