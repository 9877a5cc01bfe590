"""Amazon CloudWatch: metrics and alarms.

AWS does: keep points, compute percentiles and metric math, evaluate alarms each minute, notify bus and topics.
moto does: have no percentiles and no math, never evaluate an alarm, send nothing.
We do: keep a store of our own and evaluate after each metric, each move of the clock and every few seconds.
Weaker: a move of the clock is judged at its end; no Insights, no SEARCH, no anomaly detection: refused by name.
"""

from infra.local.cloudwatch.alarms import evaluate_alarms
from infra.local.cloudwatch.composite_alarms import take_composite_alarms
from infra.local.cloudwatch.metrics import keep_metrics
from infra.local.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    take_composite_alarms()
    keep_metrics(cloud)
    evaluate_alarms(cloud)
