"""The plant's label an hour and two hours ahead: twice the power and 1, whose hours are alike."""

from tests.plant import PlantLabel

PLANT = PlantLabel(
    declared={"logicalType": "number", "physicalType": "DOUBLE"},
    labels=lambda power_N: [2 * power + 1 for power in power_N],
    weights=([1.94, 1.94, 1.94, 1.88, 1.88, 1.88], [-0.04, 1.0, 2.04, -0.29, 1.0, 2.29]),
    prediction={
        "label": {"column": "truth", "horizon_hours": [1, 2]},
        "quantiles": [0.05, 0.95],
        "fallback": [{"constant": 1.5}],
    },
    fallback_answer={"value": [1.5, 1.5], "lower": None, "upper": None, "horizon_hours": [1.0, 2.0]},
    explains="value, 2 h",
    baseline={"kind": "mean", "margin": 0.1},
    persistence=0.97,
)
