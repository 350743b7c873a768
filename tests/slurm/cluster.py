"""A SLURM of one node on this machine, for tests: `python cluster.py start FOLDER`, `python cluster.py stop FOLDER`.

munge, slurmctld and slurmd of Debian's packages, as root, on the loopback device alone. The executor plugin clears
SLURM_* variables, so the configuration has to lie in /etc/slurm; where there is one that was not written here, it is
left alone and nothing is started. All else (key, socket, states, logs) lies in FOLDER.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ETC = Path("/etc/slurm")
OURS = "# Written by deftx's tests/slurm/cluster.py, which also removes it.\n"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
GPUS = 2
CONFIGURATION = """\
ClusterName=deftx
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# No cgroups and no accounting: what is left of SLURM on small clusters.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SchedulerType=sched/backfill
SchedulerParameters=defer_batch,bf_interval=2,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
# A job is known to squeue for a while after its end.
MinJobAge=300
KillWait=20
InactiveLimit=0
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class NotStartedError(Exception):
    """No SLURM can be started on this machine; the message says why."""


def missing() -> list[str]:
    """Programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


def start(folder: Path) -> None:
    """Start the three daemons, and wait until the node takes jobs.

    Raises:
        NotStartedError: not as root, programs are missing, or there is another configuration.
        RuntimeError: a daemon does not come up.
    """
    if os.geteuid() != 0:
        raise NotStartedError("SLURM's daemons need root")
    if missing():
        raise NotStartedError(f"not installed: {', '.join(missing())} (make test-slurm installs them)")
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("state", "spool", "munge"):
        (folder / part).mkdir(mode=0o700, exist_ok=True)
    host = os.uname().nodename.partition(".")[0]
    # MB. A node that has less than it says is drained.
    memory = min(8000, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20)
    slurm = OURS + CONFIGURATION.format(folder=folder, host=host, cpus=os.cpu_count(), memory=memory, gpus=GPUS)
    # Files in the place of devices, which SLURM counts and gives out; nothing computes on them.
    for number in range(GPUS):
        (folder / f"gpu{number}").touch()
    gres = OURS + f"NodeName={host} Name=gpu File={folder}/gpu[0-{GPUS - 1}]\n"
    _configure({"slurm.conf": slurm, "gres.conf": gres})
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    _run(
        *("munged", "--force", f"--socket={folder}/munge.socket", f"--key-file={key}"),
        *(f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge/seed"),
    )
    start_controller(folder)
    _run("slurmd")
    _wait(lambda: "idle" in _run("sinfo", "-h", "-o", "%T"), "the node did not come up", folder)


def start_controller(folder: Path) -> None:
    """Start slurmctld, which goes on with the jobs it knew."""
    _run("slurmctld")
    _wait(lambda: "UP" in _run("scontrol", "ping", check=False), "slurmctld did not come up", folder)


def stop_controller(folder: Path) -> None:
    """End slurmctld; jobs go on."""
    _end(folder / "slurmctld.pid")


def stop(folder: Path) -> None:
    """End all jobs and daemons, and take the configuration away."""
    if (folder / "slurmctld.pid").exists():
        _run("scancel", "--user", "root", check=False)
    for name in ("slurmctld", "slurmd", "munge"):
        _end(folder / f"{name}.pid")
    for name in ("slurm.conf", "gres.conf"):
        if (ETC / name).is_file() and (ETC / name).read_text().startswith(OURS):
            (ETC / name).unlink()


def _configure(files: dict[str, str]) -> None:
    """Write the configuration, unless there is one of somebody else."""
    ETC.mkdir(exist_ok=True)
    for name in files:
        if (ETC / name).exists() and not (ETC / name).read_text().startswith(OURS):
            raise NotStartedError(f"{ETC / name} is of another SLURM, and is left alone")
    for name, content in files.items():
        (ETC / name).write_text(content)


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _run(*command: str, check: bool = True) -> str:
    """Run a command; returns its output."""
    environment = {"PATH": _path(), "LANG": "C"}
    done = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout.strip()}")
    return done.stdout


def _wait(ready: Callable[[], bool], message: str, folder: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{message}; see {folder}/*.log")
        time.sleep(0.2)


def _end(pid_file: Path) -> None:
    """SIGTERM to the process of a file, and wait for its end; SIGKILL after a while."""
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        return
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        os.kill(pid, signal.SIGKILL)
    pid_file.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        {"start": start, "stop": stop}[sys.argv[1]](Path(sys.argv[2]).resolve())
    except (NotStartedError, RuntimeError) as error:
        sys.exit(f"error: {error}")
