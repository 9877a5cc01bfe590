"""The plant's label of two classes: whether the power is above 0."""

from tests.plant import PlantLabel

PLANT = PlantLabel(
    declared={"logicalType": "string", "physicalType": "STRING", "validValues": ["off", "on"]},
    labels=lambda power_N: ["on" if power > 0 else "off" for power in power_N],
    weights=([8.0], [0.0]),
    prediction={"positive": "on", "fallback": [{"constant": 0.25}]},
    fallback_answer={"value": 0, "probability": 0.25, "confidence": 0.75},
    explains="log odds of on",
    baseline={"kind": "base_rate", "margin": 0.02},
)
