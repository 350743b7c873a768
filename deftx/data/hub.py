"""The Hugging Face hub: a file of a dataset at a commit, and what to say when the hub refuses."""

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

PATIENCE = 10  # seconds for the hub to answer at all


def fetch(repository: str, commit: str, path: str, out: Path, way_out: str) -> None:
    """Copy a file of a dataset repository to `out`, through the hub's own cache, which resumes broken downloads.

    Its content is held against the hash the hub states for the file at that commit.

    Args:
        way_out: what to do when the hub cannot be reached.
    Raises:
        SourceError: there is no such repository, commit or file, no permission, no connection; or wrong content.
    """
    from huggingface_hub import hf_hub_download

    try:
        with settled():
            cached = Path(hf_hub_download(repository, path, repo_type="dataset", revision=commit))
    except (OSError, ValueError) as error:
        problem = reason(error) or first_line(error)
        if problem == UNREACHABLE:
            problem = f"{problem}. {way_out}"
        raise SourceError(f"{repository}/{path} at commit {commit[:12]} cannot be had: {problem}") from None
    # The cache names a file by its hash: SHA-256 of a large one, git's SHA-1 of a small one.
    stated = cached.resolve().name
    if re.fullmatch("[0-9a-f]{64}|[0-9a-f]{40}", stated) and _hash(cached, len(stated) == 40) != stated:
        raise SourceError(
            f"{cached} is not what the hub states for {repository}/{path}; delete it, and it is fetched again"
        )
    shutil.copyfile(cached, out)


@contextmanager
def settled() -> Iterator[None]:
    """Inside, it is settled whether the hub can be reached: if not, its library looks in its cache alone.

    By itself the library tries six times for every file, with a pause and a line after each; neither is wanted.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _answers(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@cache
def _answers(endpoint: str) -> bool:
    """Whether anything answers there, be it a refusal; asked once in a process."""
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=PATIENCE).close()
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # the library has certificates of its own
    except (OSError, http.client.HTTPException):
        return False
    return True


UNREACHABLE = "the hub cannot be reached, and its cache does not hold it"


def reason(error: BaseException) -> str | None:
    """Why the hub did not give what was asked for, and the way out; None if the error is not the hub's.

    Looks at the causes of the error, too: transformers wraps what the hub's library raises.
    """
    from huggingface_hub import constants, errors

    for one in _causes(error):
        if isinstance(one, errors.GatedRepoError):
            return (
                "it is gated. Accept its terms on its page, then log in (hf auth login), or set HF_TOKEN to a token "
                "of that account"
            )
        if isinstance(one, errors.RepositoryNotFoundError):
            return "there is no such repository, or it is private. Check its name; for a private one, set HF_TOKEN"
        if isinstance(one, errors.RevisionNotFoundError):
            return "there is no such commit. Check the revision"
        if isinstance(one, errors.HFValidationError):
            return f"that is no name of a repository ({first_line(one)}). Write owner/name"
        if isinstance(one, errors.RemoteEntryNotFoundError):
            return "the repository has no such file. Check its path"
        if isinstance(one, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
            return UNREACHABLE
        if isinstance(one, OSError) and (one.errno in FULL or (one.filename and one.errno in FORBIDDEN)):
            place = one.filename or constants.HF_HUB_CACHE
            return (
                f"its cache cannot be written ({place}: {one.strerror}). Make room, or set HF_HOME to your own folder"
            )
    return None


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__


def _hash(path: Path, git: bool) -> str:
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode()) if git else hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
