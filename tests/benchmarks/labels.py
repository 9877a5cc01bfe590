"""Ten labels a day in place of all: how soon a change is seen, how wide the interval of the live error is, and whether
the model's own estimate is withdrawn.

`python -m tests.benchmarks.labels [--electricity FILE]`, with the package `scikit-learn` installed. FILE has the whole
stream of electricity (45,312 rows); without it the shipped half is judged, and a change that comes later is not seen.
The last line is JSON. All numbers of the product were set on simulated models, none on these streams.

- Concept drift: a model of the first 17,424 half hours, and its errors from there on. Ten labels a day, chosen anew in 20
  runs, see the change at most 8 days after all labels do (the median of the runs). Quiet years are drawn from the days
  before, week by week, that the model was not trained on: at most .5 alarms a year.
- Interval: at the width that n chosen labels give, at least 1.8 times as many are needed that are drawn evenly, of a
  model that says nothing of itself (income). The interval holds the error in 95 % of 1,000 runs on each stream.
- Withdrawal: a third of the answers of one window is turned round (income). The next labels contradict the model in 95 of
  100 runs; without a change in at most 10 of 100, under a covariate shift too.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from millrace.monitoring.live_error import LiveError, choose, contradict, live_error, recalibrate
from tests.benchmarks import conclude

SAMPLES = Path("workloads")
COLUMNS = ["day_of_week", "period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"]
CHANGE, DAY, WEEK, A_DAY = 17_424, 48, 7 * 48, 10
RUNS, COVERED, FEWER, WITHIN_DAYS, FALSE_A_YEAR, WITHDRAWN, KEPT = 1000, 0.95, 1.8, 8, 0.5, 0.95, 0.9
Floats = npt.NDArray[np.float64]
Model = tuple[Floats, Floats]
"""What a model expects of each row, and its errors."""
