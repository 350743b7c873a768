"""Progress of a training, for a person: a bar or lines in the log, lines on the terminal, and a file beside the log.

`deftx status` reads the files. Nothing here decides over a result, and nothing here makes a training fail.

A job of the workflow writes standard error to its log, so a bar would not be seen. Standard output it leaves as it is:
where that is a terminal, a short line from time to time goes there. A run whose output is redirected, a node of a
cluster and CI have no terminal there, and get none. DEFTX_TERMINAL=0 turns these lines off.
"""

import json
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deftx.core.errors import DeftxError, StoppedError
from deftx.core.files import write_text

log = logging.getLogger(__name__)
STDOUT, STDERR = 1, 2
FILE_SECONDS = 5.0
LOG_SECONDS = 30.0
TERMINAL_SECONDS = 10.0, 60.0
"""Between lines on the terminal: in the first minute, and after it."""
ENDING = ".progress.json"
TITLES = {
    "base": "base model",
    "full": "full fine-tuning",
    "gradients": "accumulated gradients",
    "sparse": "sparse fine-tuning",
    "adapter": "adapter",
    "lora": "LoRA",
}
"""Trainings, by the folder of their logs."""


@dataclass
class Snapshot:
    """What a progress file holds."""

    job: str
    """The name of the log below logs/, without its ending."""
    stage: str
    steps: int
    step: int = 0
    state: str = "running"
    """Or finished, stopped (its checkpoint is kept), failed."""
    loss: float | None = None
    """Of the last step's batch."""
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    evaluation: dict[str, float] = field(default_factory=dict)
    """Step and measures of the last evaluation on the validation set."""
    time: float = 0.0
    """When this was written, in seconds since 1970."""
    host: str = ""
    pid: int = 0


def read(path: Path) -> Snapshot | None:
    """Return what a progress file holds; None where it is missing or is not one."""
    try:
        content = json.loads(path.read_bytes())
        named = {entry.name: content[entry.name] for entry in fields(Snapshot)}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    numbers = (named["step"], named["steps"], named["time"])
    return Snapshot(**named) if all(isinstance(number, int | float) for number in numbers) else None


def progress_file() -> Path | None:
    """Return where to keep the progress file: at $DEFTX_PROGRESS, or beside the log that standard error goes to.

    The log is a regular file whose name ends in .log. With an empty $DEFTX_PROGRESS, or without a log, there is none.
    """
    named = os.environ.get("DEFTX_PROGRESS")
    if named is not None:
        return Path(named).absolute() if named else None
    try:
        path = Path(f"/proc/self/fd/{STDERR}").readlink()
        is_log = path.suffix == ".log" and os.path.samestat(os.fstat(STDERR), path.stat())
    except OSError:  # no /proc, or the file has been removed
        return None
    return path.with_suffix(ENDING) if is_log else None


def job_of(path: Path | None) -> str:
    """Return the name of a job by its progress file: what stands below logs/, or the file's own name."""
    if path is None:
        return "training"
    parts = path.with_name(path.name.removesuffix(ENDING)).parts
    above = max((n for n, part in enumerate(parts[:-1]) if part == "logs"), default=len(parts) - 2)
    return "/".join(parts[above + 1 :])


def title_of(job: str) -> str:
    """Return the name of a job in words: of full/task/nli/base/seed0 it is full fine-tuning nli base seed 0."""
    stage, *names = job.split("/")
    if names and stage in TITLES and names[0] in ("language", "task"):
        names.pop(0)
    words = (f"seed {name[4:]}" if name.startswith("seed") and name[4:].isdecimal() else name for name in names)
    return " ".join([TITLES.get(stage, stage), *words])


def about(seconds: float) -> str:
    """Return a time as a person would say it: 40 s, 3 min, 2 h 05 min, 3 d 4 h."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


class Progress:
    """The progress of one training, shown while the block lasts."""

    def __init__(self, steps: int, step: int = 0, tokens: int = 0, is_main: bool = True) -> None:
        """Begin at a step.

        Args:
            tokens: those of the steps before it.
            is_main: whether this process speaks, of several that train together.
        """
        from tqdm import tqdm  # not needed to read a file

        is_quiet = not is_main or logging.getLogger("deftx").level > logging.INFO
        self.bar = tqdm(total=steps, initial=step, desc="train", unit="step", disable=is_quiet or None)
        self.file = progress_file() if is_main else None
        job = job_of(self.file)
        self.now = Snapshot(job, TITLES.get(job.partition("/")[0], "training"), steps, step)
        self.now.host, self.now.pid = os.uname().nodename, os.getpid()
        self.first, self.tokens_before = step, tokens
        self.has_log = self.bar.disable and is_main
        self.has_terminal = self.bar.disable and not is_quiet and _may_use_terminal()
        self.started = self.logged = self.printed = time.monotonic()
        self.written = -FILE_SECONDS

    def __enter__(self) -> Self:
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
        can_resume = isinstance(error, StoppedError | KeyboardInterrupt)
        self.now.state = "finished" if error is None else "stopped" if can_resume else "failed"
        self.now.seconds_left = None
        self._write()

    def evaluated(self, evaluation: Mapping[str, float]) -> None:
        """Show the step and the measures of an evaluation on the validation set."""
        self.now.evaluation = dict(evaluation)
        if self.now.step == self.first:  # the one before training says nothing of the speed of its steps
            self.started = time.monotonic()
        log.debug("Evaluation: %s", ", ".join(f"{name} {value:g}" for name, value in evaluation.items()))
        self._write()

    def advance(self, loss: float, tokens: int) -> None:
        """Show that a step is done; `tokens` are those of all steps so far."""
        self.bar.update()
        moment = time.monotonic()
        seconds = max(moment - self.started, 1e-9)
        now = self.now
        now.step += 1
        now.loss = loss
        now.tokens_per_second = (tokens - self.tokens_before) / seconds
        now.seconds_left = seconds / (now.step - self.first) * (now.steps - now.step)
        if self.has_log and moment - self.logged >= LOG_SECONDS:
            self.logged = moment
            log.info("Step %s", self._line())
        if self.has_terminal and moment - self.printed >= TERMINAL_SECONDS[seconds > TERMINAL_SECONDS[1]]:
            self.printed = moment
            with suppress(OSError):  # the terminal may be gone
                os.write(STDOUT, f"{title_of(now.job)}: step {self._line()}\n".encode())
        if moment - self.written >= FILE_SECONDS:
            self._write()

    def _line(self) -> str:
        now = self.now
        return f"{now.step}/{now.steps}, loss {now.loss:.3g}, {about(now.seconds_left or 0)} left"

    def _write(self) -> None:
        """Write the file; what keeps it from being written is no matter."""
        self.written = time.monotonic()
        self.now.time = time.time()
        if self.file is not None:
            with suppress(OSError, DeftxError):
                write_text(self.file, f"{json.dumps(_finite(asdict(self.now)), indent=2)}\n")


def _may_use_terminal() -> bool:
    """Return whether lines may go to the terminal: there is one, and standard error, with its bar, is not there."""
    return os.environ.get("DEFTX_TERMINAL") != "0" and os.isatty(STDOUT) and not os.isatty(STDERR)


def _finite(content: Any) -> Any:
    """Return content without NaN and infinity, which JSON does not have."""
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    return None if isinstance(content, float) and content - content != 0 else content
