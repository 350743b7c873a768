"""The Hugging Face hub: a file of a dataset at a commit, and the reasons of its failures."""

import hashlib
import http.client
import re
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from deftx.core.errors import SourceError
from deftx.core.files import FORBIDDEN, FULL

TIMEOUT = 10  # seconds for a first response of the hub


def fetch(repository: str, commit: str, path: str, out: Path, fix: str) -> None:
    """Copy a file of a dataset repository to `out`, through the hub's cache, which resumes interrupted downloads.

    Its content is checked against the hash that the hub states for the file at that commit.

    Args:
        fix: what to do if the hub cannot be reached.
    Raises:
        SourceError: the repository, commit, file, permission or connection is missing, or the content is wrong.
    """
    from huggingface_hub import hf_hub_download

    try:
        with settled():
            cached = Path(hf_hub_download(repository, path, repo_type="dataset", revision=commit))
    except (OSError, ValueError) as error:
        problem = reason(error) or first_line(error)
        if problem == UNREACHABLE:
            problem = f"{problem}. {fix}"
        raise SourceError(f"{repository}/{path} at commit {commit[:12]} cannot be had: {problem}") from None
    # The cache names a file by its hash: SHA-256 of a large one, git's SHA-1 of a small one.
    expected = cached.resolve().name
    if re.fullmatch("[0-9a-f]{64}|[0-9a-f]{40}", expected) and _hash(cached, len(expected) == 40) != expected:
        raise SourceError(f"{cached} is not what the hub states for {repository}/{path}; delete it to fetch it again")
    shutil.copyfile(cached, out)


@contextmanager
def settled() -> Iterator[None]:
    """Make the hub's library use only its cache inside the block, if the hub cannot be reached.

    On its own the library tries six times for every file, with a pause and a message after each.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()
    was_offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = was_offline or not _responds(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = was_offline


@cache
def _responds(endpoint: str) -> bool:
    """Return whether a server responds, with any status; it is asked once per process."""
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=TIMEOUT).close()
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # the library has certificates of its own
    except (OSError, http.client.HTTPException):
        return False
    return True


UNREACHABLE = "the hub cannot be reached, and its cache does not hold it"


def reason(error: BaseException) -> str | None:
    """Return why the hub failed, and the fix, or None if the error is not the hub's.

    The causes of the error count too: transformers wraps the errors of the hub's library.
    """
    from huggingface_hub import constants, errors

    for cause in _causes(error):
        if isinstance(cause, errors.GatedRepoError):
            return (
                "it is gated. Accept its terms on its page, then log in (hf auth login), or set HF_TOKEN to a token "
                "of that account"
            )
        if isinstance(cause, errors.RepositoryNotFoundError):
            return "there is no such repository, or it is private. Check its name; for a private one, set HF_TOKEN"
        if isinstance(cause, errors.RevisionNotFoundError):
            return "there is no such commit. Check the revision"
        if isinstance(cause, errors.HFValidationError):
            return f"not a name of a repository ({first_line(cause)}). Write owner/name"
        if isinstance(cause, errors.RemoteEntryNotFoundError):
            return "the repository has no such file. Check its path"
        if isinstance(cause, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
            return UNREACHABLE
        if isinstance(cause, OSError) and (cause.errno in FULL or (cause.filename and cause.errno in FORBIDDEN)):
            path = cause.filename or constants.HF_HUB_CACHE
            return (
                f"its cache cannot be written ({path}: {cause.strerror}). Make room, or set HF_HOME to your own folder"
            )
    return None


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _hash(path: Path, git: bool) -> str:
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode()) if git else hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
