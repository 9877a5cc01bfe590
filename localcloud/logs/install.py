"""Amazon CloudWatch Logs: the lines of functions, jobs and endpoints.

AWS does: collect what runtimes write, in groups and streams.
moto does: know only what an API call has put, and ignore the prefix of streams' names in a filter.
We do: read the log files of the processes before each answer. Metrics in functions' lines go to CloudWatch.
Weaker: a file keeps no times, so lines have the time at which their invocation or process ended. Nothing expires.
"""

from localcloud.kernel.cloud import Cloud
from localcloud.logs.log_streams import read_log_files


def install(cloud: Cloud) -> None:
    read_log_files(cloud)
