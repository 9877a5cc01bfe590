"""What a month of a workload will cost, before anything of it starts.

How often work is done follows from the declaration: schedules, the policy of retrainings, the fleet. How much it is
(the minutes of a job, the requests of a day) no declaration says: it is what a person expects, else the mean of the
months that have a bill for it, else the most that it may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil
from typing import Any

from millrace.console.queries.money.work import CostLine, Fleet, by_price, endpoint_lines, metrics_of, standing
from millrace.console.stages import is_production
from millrace.console.words import column, units
from millrace.names import WorkloadNames
from millrace.timestamps import EPOCH
from millrace.workload.bulk import job_usd, job_vcpu_hours
from millrace.workload.declaration import Workload
from millrace.workload.prices import RATES, Usage, projected_usd
from millrace.workload.schedule import DAYS, MONTH_HOURS, times_a_month
from millrace.workload.training_cost import MONITOR_MINUTES, PREFLIGHT_MINUTES, trainings_a_month, usages

Each = tuple[float, float]
STANDING_TYPES = {
    "AWS::CloudWatch::Alarm": "metrics",
    "AWS::CloudWatch::CompositeAlarm": "composites",
    "AWS::CloudWatch::Dashboard": "dashboards",
    "AWS::Lambda::EventSourceMapping": "polled",
    "AWS::Kinesis::Stream": "streams",
    "AWS::KMS::Key": "keys",
}
"""What is billed by the month, by the type of the resource. Each workload is told of the keys of the stage."""


@dataclass(frozen=True, kw_only=True)
class ProjectedLine(CostLine):
    """A line that rests on a key of the declaration, an option or months; or on the most that something may be."""

    rests_on: str = column(heading="rests on")


@dataclass(frozen=True, kw_only=True)
class Projection:
    """What is known of a month: `bills` of earlier ones by yyyy-mm, and what a person expects.

    That is requests in a day, files to score in the month, minutes of each job, GB that Spark judges."""

    names: WorkloadNames
    workload: Workload
    bills: Mapping[str, Sequence[CostLine]]
    requests: float | None = None
    files: float | None = None
    minutes: float | None = None
    bulk_gb: float | None = None

    def lines(self, templates: Mapping[str, Mapping[str, Any]]) -> tuple[CostLine, ...]:
        """The lines, the most expensive first; then what a month costs anyway, by the templates of the stage."""
        idle = standing(
            count_standing(self.names, templates) | {"scaling": 0 if self.workload.rollout.has_no_endpoint else 2}
        )
        work = by_price(*(line for line in self._work() if line.count or line.usd is None))
        return (*work, *(ProjectedLine(**vars(line), rests_on="templates") for line in idle))

    def _work(self) -> Iterator[CostLine]:
        workload, stage = self.workload, self.names.platform.stage
        instance, (number, key) = workload.rollout.instance[stage], trainings_a_month(workload, stage)
        preflight, monitor, transform = (
            Usage(instance=instance, count=1, minutes=most) for most in (PREFLIGHT_MINUTES, MONITOR_MINUTES, 0)
        )
        yield from self._endpoint(instance)
        yield self._jobs("training", number, key, *usages(workload, stage))
        yield self._jobs("preflight", number, key, preflight)
        yield self._jobs("processing", times_a_month(workload.monitors.schedule), "monitors.schedule", monitor)
        yield self._jobs("transform", self.files, "--files", transform)
        size = int((self.bulk_gb or 0) * 1e9)
        most = (job_vcpu_hours(size), job_usd(size)) if size else None
        yield self._line("spark", "vCPU hours", 1 if size else None, "--bulk-gb, at most", each=most)
        wanted = None if self.requests is None else self.requests * DAYS
        usual, others = (self._line(what, "calls", None, "").runs for what in ("predictions", "functions"))
        # A request leads to short calls that write its decision. The time of the other functions goes into drops.
        behind = others * wanted / usual if wanted and usual else None
        for what, calls, timed in (("predictions", wanted, wanted), ("functions", behind, None)):
            yield self._line(what, "GB-seconds", timed, "--requests")
            yield self._line(what, "calls", calls, "--requests", each=(1.0, RATES["lambda call"].usd))
        for name, query in workload.queries.items():
            yield self._line("query", "GB read", times_a_month(query.schedule), f"queries.{name}", which=f"{name},")

    def _endpoint(self, instance: str) -> Iterator[CostLine]:
        rollout = self.workload.rollout
        least = rollout.least_instances(production=is_production(self.names.platform.stage))
        busy = ceil((self.requests or 0) / 24 / 60 / rollout.invocations_per_instance)
        fleet = Fleet(instance=instance, count=max(least, min(busy, rollout.max_instances)), created=EPOCH)
        rests_on = "--requests" if fleet.count > least else "rollout"
        hours = 0 if rollout.has_no_endpoint else MONTH_HOURS
        for line in endpoint_lines(fleet, EPOCH, EPOCH + timedelta(hours=hours)):
            yield ProjectedLine(**vars(line), rests_on=rests_on)

    def _jobs(self, what: str, number: float | None, key: str, *longest: Usage) -> CostLine:
        """The line for so many runs, each of these jobs. With `minutes` a run is one job as the first."""
        if (minutes := self.minutes) is not None:
            longest = (replace(longest[0], minutes=minutes),)
        line, most = self._line(what, "seconds", number, key), sum(one.minutes * 60 * one.count for one in longest)
        if minutes is None and (line.usd is not None or not most):
            return line
        said = f"{key}, {'at most' if minutes is None else '--minutes'}"
        return self._line(what, "seconds", number, said, each=(most, projected_usd(longest)))

    def _line(
        self, what: str, unit: str, number: float | None, key: str, *, which: str = "", each: Each | None = None
    ) -> CostLine:
        """The line for so many runs, None for as many as in the mean of the months with some. `each` are the units of a
        run and their US dollars; None for those of the months, which may not say it."""
        billed = [
            (month, line)
            for month in sorted(self.bills)
            for line in self.bills[month]
            if (line.what, line.unit) == (what, unit) and line.which.startswith(which) and line.runs and line.count
        ]
        months, total = [*dict.fromkeys(month for month, _ in billed)], sum(line.runs for _, line in billed)
        runs = number if number is not None else total / max(1, len(months))
        rests_on = [key] if number is not None else []
        if billed and not each:
            each = sum(one.count for _, one in billed) / total, sum(one.usd or 0 for _, one in billed) / total
            rests_on += [f"{months[0]} to {months[-1]}"]
        count, usd = each or (0.0, None)
        return ProjectedLine(
            what=what,
            which=f"{which} {units(runs)} a month".strip(),
            count=runs * count,
            unit=unit,
            runs=ceil(runs),
            usd=runs * usd if usd is not None else None if runs else 0.0,
            rests_on=", ".join(rests_on),
        )


def count_standing(names: WorkloadNames, templates: Mapping[str, Mapping[str, Any]]) -> Counter[str]:
    """How many of each resource of STANDING the templates make for the workload."""
    found = Counter[str]()
    for stack, resources in templates.items():
        for one in resources.values():
            name = STANDING_TYPES.get(one["Type"], "")
            if name and (name == "keys" or stack.startswith(f"{names.prefix}-")):
                found[name] += metrics_of(one["Properties"]) if name == "metrics" else 1
    return found
