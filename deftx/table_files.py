"""Tables of the report, read again by the stages that come after."""

from pathlib import Path

import pandas as pd


def read_table(path: Path) -> pd.DataFrame:
    """A CSV table of the report; empty cells alone are missing, for "nan" is the code of a language, Min Nan."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])
