"""Several processes by torchrun, one for each GPU of each machine of the job.

Every machine of a SageMaker job starts its container's entry point and writes the names of all of them into
resourceconfig.json: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
The entry point starts torchrun with them; the first machine is where the processes meet.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from jobs.runtime import Hosts, Stopped, StopSignal
from millrace.errors import ProcessError

PORT = 7777
"""Where the processes meet, on the first machine; as AWS's own toolkit has it."""
GRACE_S = 20
"""Between SIGTERM and SIGKILL of the processes: a process that waits for one that is gone does not stop by itself."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The machines of the job, and the processes on each."""

    hosts: Hosts
    processes: int

    @property
    def size(self) -> int:
        return len(self.hosts.names) * self.processes


def cluster_of(hosts: Hosts) -> Cluster:
    """A process for each GPU, or for as many as SM_NUM_GPUS says; one where there is none."""
    import torch

    said = os.environ.get("SM_NUM_GPUS", "")
    gpus = int(said) if said.isdigit() else torch.cuda.device_count()
    return Cluster(hosts=hosts, processes=max(1, gpus))


def arguments(cluster: Cluster) -> list[str]:
    """Torchrun's, on this machine; a fixed number of machines, as SageMaker replaces none."""
    hosts = cluster.hosts
    return [
        f"--nnodes={len(hosts.names)}",
        f"--nproc_per_node={cluster.processes}",
        f"--node_rank={hosts.names.index(hosts.current)}",
        f"--master_addr={hosts.names[0]}",
        f"--master_port={PORT}",
        f"--shutdown_timeout={GRACE_S}",
        "--max_restarts=0",
        "-m",
        "jobs.training",
        "train",
    ]


def run(cluster: Cluster, stop: StopSignal) -> None:
    """Start this machine's processes and wait for their end; torchrun passes SIGTERM on and waits for GRACE_S.

    In this process: a torchrun of its own would get the signal twice where it is sent to a group of processes, and
    leaves its children at the second one. Raises Stopped when they have stopped, ProcessError when one failed: the one
    that failed first has said why."""
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    if interface := cluster.hosts.interface:
        # Without it both look the machine's name up, which in a container may lead to no address of the cluster.
        os.environ.update(GLOO_SOCKET_IFNAME=interface, NCCL_SOCKET_IFNAME=interface)
    # Torchrun would set it too, with a warning; each process sets its number of threads itself.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Torchrun has a handler once its processes are there; what comes before ends it where it is.
    signal.signal(signal.SIGTERM, _stop)
    stop.check("before the processes were started")
    try:
        torchrun.main(arguments(cluster))
    except SignalException:
        raise Stopped("all processes have stopped") from None
    except ChildFailedError as error:
        raise ProcessError(f"expected {cluster.size} processes to end well, got {error}") from None


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped("while the processes were started")
