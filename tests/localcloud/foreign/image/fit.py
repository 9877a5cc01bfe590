"""The training job: the model is the mean of the numbers that the machine was started with."""

import json
import os
from pathlib import Path

ML = Path(os.environ.get("MILLRACE_ML_ROOT", "/opt/ml"))
numbers = json.loads(json.loads((ML / "input/config/hyperparameters.json").read_text())["numbers"])
(ML / "model").mkdir(parents=True, exist_ok=True)
(ML / "model" / "mean.txt").write_text(str(sum(numbers) / len(numbers)))
