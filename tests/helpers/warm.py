"""A warm `deftx` and a warm `snakemake`: servers that have imported the libraries and fork a process for each command.

A pico run has half a hundred jobs, and most would spend 2 to 5 CPU-seconds on importing torch and transformers; each
`snakemake` would spend one on its own modules. A fork runs the package on the PYTHONPATH it is given, so that every
project runs its own copy. Most copies are still those of the checkout, file by file: for them a second server has
imported the checkout's package as well, and its forks let it lie in the project. A copy that was edited, or is of an
earlier version, is imported by a fork of the first server, which never imports deftx itself. A fork ends when its
client does, as a killed job would; what it has started does not, so a run that is to be killed is started cold.

    python warm.py serve SOCKET deftx|snakemake   a server, with every library imported
    python -IS warm.py call SOCKET ARG...         what stands in for `deftx ARG...`; the standard library alone
"""

import json
import os
import socket
import sys

TYPE_CHECKING = False  # as typing's, which takes a client longer to import than its work
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

STREAMS = (0, 1, 2)


def call(address: str, arguments: list[str]) -> int:
    """Run a command in a fork of the server with this process' streams, folder and environment."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        send(server, json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode(), STREAMS)  # noqa: PTH109
        status = server.recv(1)
    return status[0] if status else 1


def send(connection: socket.socket, message: bytes, descriptors: "tuple[int, ...]") -> None:
    """Send a message and open files."""
    socket.send_fds(connection, [len(message).to_bytes(8, "big")], descriptors)
    connection.sendall(message)


def receive(connection: socket.socket) -> "tuple[bytes, tuple[int, ...]] | None":
    """Receive a message and open files; None from a sender that has ended before it had sent all."""
    length, descriptors, *_ = socket.recv_fds(connection, 8, len(STREAMS) + 1)
    message, missing = bytearray(), int.from_bytes(length, "big")
    while missing and (part := connection.recv(min(missing, 1 << 16))):
        message += part
        missing -= len(part)
    if length and not missing:
        return bytes(message), tuple(descriptors)
    close(*descriptors)
    return None


def close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def serve(address: str, command: str) -> None:
    """Listen until killed."""
    import signal
    from pathlib import Path

    checkout = Path(__file__).parents[2]
    files = files_of(checkout)
    warm_up(command)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    second = serve_package(command, checkout)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(16)
        while True:
            connection, _ = listener.accept()
            with connection:
                request = receive(connection)
                if request is None:
                    continue
                message, streams = request
                if files_of(folder_of(message)) == files:
                    send(second, message, (*streams, connection.fileno()))
                elif os.fork() == 0:
                    close(listener.fileno(), second.fileno())
                    work(command, message, streams, connection)
                close(*streams)


def serve_package(command: str, checkout: "Path") -> socket.socket:
    """Start the server that has also imported the package; returns where it receives requests and their clients."""
    ours, theirs = socket.socketpair()
    if os.fork():
        theirs.close()
        return ours
    ours.close()
    import_package(command, checkout)
    while request := receive(theirs):  # the first server has ended otherwise
        message, (*streams, client) = request
        if os.fork() == 0:
            theirs.close()
            move_package(checkout, folder_of(message))
            work(command, message, tuple(streams), socket.socket(fileno=client))
        close(*streams, client)
    os._exit(0)


def folder_of(message: bytes) -> "Path":
    """The folder whose deftx a request is about."""
    from pathlib import Path

    _, folder, environment = json.loads(message)
    return Path(folder, environment.get("PYTHONPATH", "").split(os.pathsep)[0])


def files_of(checkout: "Path") -> "dict[str, tuple[int, int]]":
    """Sizes and times of the package's files by name; copies keep the times."""
    package = checkout / "deftx"
    found = {}
    for folder, folders, names in os.walk(package):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118  # for each command: no time for more
            state = os.stat(path)  # noqa: PTH116
            found[path.removeprefix(str(package))] = (state.st_size, state.st_mtime_ns)
    return found


def warm_up(command: str) -> None:
    """Import what a command imports, and nothing of deftx."""
    import importlib

    for name in LIBRARIES[command]:
        importlib.import_module(name)
    if command == "deftx":
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        get_checkpoint_conversion_mapping("bert")  # the first call compiles a thousand patterns


def import_package(command: str, checkout: "Path") -> None:
    """Import what a command imports of deftx, and read the sources that most commands hash."""
    import importlib
    import pkgutil

    sys.path.insert(0, str(checkout))
    import deftx

    for name in (
        WORKFLOW if command == "snakemake" else (m.name for m in pkgutil.walk_packages(deftx.__path__, "deftx."))
    ):
        if name != "deftx.__main__":
            importlib.import_module(name)
    del sys.path[0]
    from deftx.core import hashing

    for source in hashing.PACKAGE.rglob("*.py"):
        hashing._parse(source.read_bytes())


def move_package(checkout: "Path", folder: "Path") -> None:
    """Let the package that is imported lie in another folder: its modules, what they import, and paths they hold."""
    from pathlib import Path

    def moved(path: "str | Path") -> "str | Path":
        return type(path)(folder / Path(path).relative_to(checkout))

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "deftx":
            continue
        module.__file__ = str(moved(str(module.__file__)))
        if hasattr(module, "__path__"):
            module.__path__ = [moved(path) for path in module.__path__]
        spec = module.__spec__
        if spec and spec.submodule_search_locations:
            spec.submodule_search_locations[:] = list(module.__path__)
        for key, value in vars(module).items():
            if isinstance(value, Path) and value.is_relative_to(checkout):
                setattr(module, key, moved(value))


LIBRARIES = {
    "deftx": (
        "accelerate",
        "datasets",
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
WORKFLOW = (
    "deftx.data.fetch",
    "deftx.experiment.load",
    "deftx.models.local_files",
    "deftx.report.page.sections",
    "deftx.report.tables.spec",
    "deftx.workflow.jobs",
    "deftx.workflow.report_plan",
)
"""What the rules import; the rest is imported by these."""


def work(command: str, message: bytes, streams: "tuple[int, ...]", client: socket.socket) -> None:
    """Run one command, send back its exit status, and end."""
    import signal
    import threading

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    arguments, folder, environment = json.loads(message)
    for theirs, ours in zip(streams, STREAMS, strict=True):
        os.dup2(theirs, ours)
    close(*streams)
    threading.Thread(target=end_with, args=[client], daemon=True).start()
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
    client.sendall(bytes([status]))
    os._exit(0)


def entry_point(command: str) -> "Any":
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


def end_with(client: socket.socket) -> None:
    """End this process when the client has gone."""
    client.recv(1)
    os._exit(1)


if __name__ == "__main__":
    verb, address, *arguments = sys.argv[1:]
    if verb == "serve":
        serve(address, *arguments)
    sys.exit(call(address, arguments))
