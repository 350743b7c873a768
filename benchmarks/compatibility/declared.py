"""What may differ between the two sides, each with its reason. All else is a difference."""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Addition:
    """Something that the new side has and the old one lacks."""

    files: str
    """Pattern of paths below results/."""
    key: str | None
    """Key of a JSON file or of a vector's metadata, with dots (`provenance.code`); None: the file itself is new."""
    reason: str

    def covers(self, file: str, key: str | None) -> bool:
        """Return whether this is the declaration of a new file (`key` None) or key."""
        return fnmatchcase(file, self.files) and self.key == key


ADDITIONS = (
    Addition(
        "*/predictions/*.json",
        None,
        "predictions state what they were made of, so that `score` needs nothing but them",
    ),
    Addition("*/logs/*.progress.json", None, "a training keeps a progress file beside its log"),
    Addition("*/logs/score/*", None, "rule `score`"),
    Addition("*/benchmarks/score/*", None, "rule `score`"),
)

TIMED = {"peak_mb", "seconds", "cpu_seconds"}
"""Columns of tables/costs.csv that hold measurements."""
NAMES_ONLY = {"figures", "logs", "benchmarks"}
"""Folders of which only the names of files are compared: pictures, messages and times."""
WORDS = {".md", ".tex", ".html", ".zip"}
"""Endings of files of which only names are compared, because words may change."""
