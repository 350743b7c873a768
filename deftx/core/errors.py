"""Errors that a user can fix. Each message states the problem, its cause and the fix."""


class DeftxError(Exception):
    """Error in the input; the command line prints only the message, without a traceback."""

    status = 1
    """Exit status of the command."""


class ConfigError(DeftxError):
    """The configuration of the experiment is invalid."""


class SourceError(DeftxError):
    """A raw file is missing, unreachable, or not the pinned file."""


class CorpusError(DeftxError):
    """A corpus cannot be used as text."""


class DatasetError(DeftxError):
    """A labelled dataset lacks a column or a text, or has an unknown label."""


class BaseModelError(DeftxError):
    """The base model cannot be loaded, or is not the one that a file belongs to."""


class DeltaError(DeftxError):
    """A delta cannot be ranked: it is not finite, or k exceeds its size."""


class VectorError(DeftxError):
    """A file of a delta, mask or SFT is corrupted or does not fit the model."""


class OutputError(DeftxError):
    """A result cannot be written: the disk is full, or permission is missing."""


class ResultError(DeftxError):
    """A result of an earlier stage is missing or corrupted."""


class StoppedError(DeftxError):
    """A training was stopped before its end; its checkpoint is saved."""

    status = 75  # EX_TEMPFAIL of sysexits.h: try again
