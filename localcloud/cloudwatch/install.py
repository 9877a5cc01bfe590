"""Amazon CloudWatch: metrics and alarms.

AWS does: keep data points, compute percentiles and metric math, evaluate alarms each minute, notify bus and topics.
moto does: compute no percentiles and no math, evaluate no alarm, send nothing.
We do: keep the points in our own store. Evaluate alarms after each metric, each move of the clock and every 5 seconds.
Weaker: a move of the clock is judged at its end only. Insights, SEARCH and anomaly detection are refused by name.
"""

from localcloud.cloudwatch.alarms import evaluate_alarms
from localcloud.cloudwatch.composite_alarms import take_composite_alarms
from localcloud.cloudwatch.metrics import keep_metrics
from localcloud.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    take_composite_alarms()
    keep_metrics(cloud)
    evaluate_alarms(cloud)
