"""Amazon CloudWatch Logs: the lines of functions, jobs and endpoints.

AWS does: collect what runtimes write, in groups and streams.
moto does: know only what is put by an API call, and ignore a prefix of streams.
We do: read the processes' log files before each answer; their embedded metrics go to CloudWatch.
Weaker: a file keeps no times: lines have the time of their invocation's or process's end; nothing expires.
"""

from infra.local.kernel.cloud import Cloud
from infra.local.logs.log_streams import read_log_files


def install(cloud: Cloud) -> None:
    read_log_files(cloud)
