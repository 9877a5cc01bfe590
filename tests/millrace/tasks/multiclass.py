"""The plant's label of three classes: a low, a middle or a high power."""

from tests.plant import PlantLabel

PLANT = PlantLabel(
    declared={"logicalType": "string", "physicalType": "STRING", "validValues": ["low", "middle", "high"]},
    labels=lambda power_N: ["low" if power < -0.5 else "high" if power >= 0.5 else "middle" for power in power_N],
    weights=([-8.0, 0.0, 8.0], [-4.0, 0.0, -4.0]),
    prediction={"fallback": [{"constant": "middle"}]},
    fallback_answer={"value": "middle", "confidence": None},
    explains="log odds of ",
    baseline={"kind": "seasonal_naive", "lag_hours": 24, "margin": 0.02},
)
