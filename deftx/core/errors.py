"""What can go wrong by a user's hand. Each message names the thing and the way out."""


class DeftxError(Exception):
    """A mistake in the input; the command line prints the message alone, without a traceback."""

    status = 1
    """Exit status of the command."""


class ConfigError(DeftxError):
    """The experiment's configuration does not make sense."""


class SourceError(DeftxError):
    """A raw file cannot be had: missing, unreachable, or not the file that was pinned."""


class CorpusError(DeftxError):
    """A corpus cannot be used as text."""


class DatasetError(DeftxError):
    """A labelled dataset lacks a column, a text, or has an unknown label."""


class BaseModelError(DeftxError):
    """The base model cannot be loaded, or is not the one a file was made for."""


class DeltaError(DeftxError):
    """A delta cannot be ranked: not finite, or the budget k does not fit it."""


class VectorError(DeftxError):
    """A file of a delta, mask or SFT is damaged or does not fit the model."""


class OutputError(DeftxError):
    """A result cannot be written: the disk is full, or nothing may be written there."""


class ResultError(DeftxError):
    """A result of an earlier stage is missing or damaged."""


class StoppedError(DeftxError):
    """A training was asked to end before it was done; its checkpoint is saved."""

    status = 75  # EX_TEMPFAIL of sysexits.h: try again
