#!/usr/bin/env bash
# Run by Snakemake in a conda environment it has made from deftx.yaml: the package, as the clone holds it.
set -euo pipefail
if [ ! -f "${DEFTX_SOURCE:-}/pyproject.toml" ]; then
  echo "deftx does not run from a clone, and so its environment for conda lacks it; set DEFTX_SOURCE to the folder of one" >&2
  exit 1
fi
python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable "$DEFTX_SOURCE"
