"""The plant's labels of yes and no: whether the power is high, low, or above 0."""

from tests.plant import PlantLabel

PLANT = PlantLabel(
    declared={"logicalType": "boolean", "physicalType": "BOOLEAN"},
    labels=lambda power_N: [[power > 1, power < -1, power > 0] for power in power_N],
    columns={
        "high": lambda power_N: [power > 1 for power in power_N],
        "low": lambda power_N: [power < -1 for power in power_N],
        "hot": lambda power_N: [power > 0 for power in power_N],
    },
    weights=([8.0, -8.0, 8.0], [-8.0, -8.0, 0.0]),
    prediction={"label": ["high", "low", "hot"], "thresholds": {"high": 0.4}, "fallback": [{"constant": 0.45}]},
    fallback_answer={"value": [1, 0, 0], "probability": [0.45, 0.45, 0.45], "label": ["high", "low", "hot"]},
    explains="log odds of ",
    baseline={"kind": "base_rate", "margin": 0.02},
)
