"""A warm `deftx` and a warm `snakemake`: servers that have imported the libraries and fork a process for each command.

A pico run has half a hundred jobs, and most would spend 2 to 5 CPU-seconds on importing torch and transformers; each
`snakemake` would spend one on its own modules. A server never imports deftx itself: each fork takes it from the
PYTHONPATH it is given, so that every project runs its own copy of the package. A fork ends when its client does, as a
killed job would; what it has started does not, so a run that is to be killed is started cold.

    python warm.py serve SOCKET deftx|snakemake   a server, with every library imported
    python -IS warm.py call SOCKET ARG...         what stands in for `deftx ARG...`; the standard library alone
"""

import json
import os
import socket
import sys
from typing import Any

STREAMS = (0, 1, 2)


def call(address: str, arguments: list[str]) -> int:
    """Run a command in a fork of the server with this process' streams, folder and environment."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        request = json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode()  # noqa: PTH109
        socket.send_fds(server, [len(request).to_bytes(8, "big")], STREAMS)
        server.sendall(request)
        status = server.recv(1)
    return status[0] if status else 1


def serve(address: str, command: str) -> None:
    """Listen until killed."""
    import signal

    warm_up(command)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(16)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                work(connection, command)
            connection.close()


def warm_up(command: str) -> None:
    """Import what a command imports, and nothing of deftx."""
    import importlib

    for name in LIBRARIES[command]:
        importlib.import_module(name)


LIBRARIES = {
    "deftx": (
        "accelerate",
        "matplotlib.backends.backend_agg",
        "matplotlib.backends.backend_pdf",
        "matplotlib.backends.backend_svg",
        "matplotlib.figure",
        "pandas",
        "peft",
        "pydantic",
        "safetensors.numpy",
        "scipy.stats",
        "sklearn.metrics",
        "torch._dynamo",
        "transformers.models.auto.modeling_auto",
        "transformers.models.bert.modeling_bert",
        "transformers.models.bert.tokenization_bert",
        "transformers.models.xlm_roberta.modeling_xlm_roberta",
        "typer",
        "yaml",
    ),
    "snakemake": (
        "jinja2",
        "pydantic",
        "requests",
        "smart_open",
        "snakemake.cli",
        "snakemake.dag",
        "snakemake.executors.dryrun",
        "snakemake.executors.local",
        "snakemake.report",
        "snakemake.scheduling.job_scheduler",
        "snakemake.scheduling.milp",
        "snakemake.workflow",
        "yaml",
    ),
}


def work(connection: socket.socket, command: str) -> None:
    """Run one command, send back its exit status, and end."""
    import threading

    length, streams, *_ = socket.recv_fds(connection, 8, len(STREAMS))
    with connection.makefile("rb") as stream:
        arguments, folder, environment = json.loads(stream.read(int.from_bytes(length, "big")))
    for theirs, ours in zip(streams, STREAMS, strict=True):
        os.dup2(theirs, ours)
    threading.Thread(target=end_with, args=[connection], daemon=True).start()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.argv = [command, *arguments]
    status = 1
    try:
        entry_point(command)()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(bytes([status]))
    os._exit(0)


def entry_point(command: str) -> Any:
    """The function that a command runs, from the package on the path."""
    if command == "snakemake":
        from snakemake.cli import main

        return main
    try:
        from deftx.cli.app import app
    except ModuleNotFoundError as error:
        if error.name != "deftx.cli.app":
            raise
        from deftx.cli import app  # where a module, not a package, is the command line: code before the packages
    return app


def end_with(connection: socket.socket) -> None:
    """End this process when the client has gone."""
    connection.recv(1)
    os._exit(1)


if __name__ == "__main__":
    verb, address, *arguments = sys.argv[1:]
    if verb == "serve":
        serve(address, *arguments)
    sys.exit(call(address, arguments))
