# make demo       the quickstart: install, train, evaluate, tables and figures
# make nusax      NusaX for real: MIRROR=DIR (pinned files), BASE=DIR (local checkpoint)
# make figures    tables, costs and figures again from stored results; CONFIG=config/nusax-cpu.yaml for another experiment
# make report     report.zip and report.html of stored results; CONFIG=… as above
# make test       every test
# make test-slurm the workflow on a SLURM of one node, which it installs (Debian, as root)
# make bench      speed and memory of the engine against plain references (docs/reference/performance.md)
# make lint       ruff, snakefmt, snakemake --lint, mypy, generated files
# make clean-deltas   remove the largest results, after saying what that costs; CONFIG=… for another experiment
# make clean      remove results and caches (not .venv)

PYTHON ?= python3
CONFIG ?= config/quickstart.yaml
CORES ?= all
VENV := .venv
READY := $(VENV)/.installed
SLURM := munge slurmctld slurmd slurm-client
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Relative paths become absolute, because jobs may run elsewhere.
ifdef MIRROR
export DEFTX_MIRROR := $(abspath $(MIRROR))
endif
ifdef BASE
export DEFTX_BASE := $(abspath $(BASE))
endif

.PHONY: setup demo nusax figures report test test-slurm bench lint clean clean-deltas
.DEFAULT_GOAL := demo

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "deftx needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	@echo "installing the locked versions into $(VENV) (a minute or two)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)
	snakemake --cores $(CORES)
	@echo && cat results/quickstart/tables/sentiment.md
	@echo && echo "tables: results/quickstart/tables   figures: results/quickstart/figures"

nusax: $(READY)
	snakemake --cores $(CORES) --configfile config/nusax-cpu.yaml
	@echo && cat results/nusax-cpu/tables/sentiment.md

figures: $(READY)
	snakemake all --cores $(CORES) --allowed-rules all tables costs figures sweeps overlap --forcerun tables --configfile $(CONFIG)

# The name of the experiment, which the last of several configurations gives.
NAME = $(shell sed -nE 's/^name: *["'\'']?([A-Za-z0-9_.-]+).*/\1/p' $(CONFIG) | tail -1)

report: $(READY)
	snakemake report --cores $(CORES) --allowed-rules report all tables costs figures sweeps overlap --forcerun report --configfile $(CONFIG) \
	|| { echo "no report of $(NAME), for the reason above; where files are missing, finish the experiment first: snakemake --cores $(CORES) --configfile $(CONFIG)" >&2; exit 1; }
	snakemake report --report results/$(NAME)/report.zip --configfile $(CONFIG)
	@echo "report: results/$(NAME)/report.html and results/$(NAME)/report.zip"

test: $(READY)
	pytest -n 2

# RUNLEVEL keeps the packages from starting daemons of their own where there is no systemd; the tests start theirs.
test-slurm: $(READY)
	@dpkg --status $(SLURM) > /dev/null 2>&1 || { apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $(SLURM); }
	pytest tests/slurm

bench: $(READY)
	python -m benchmarks

lint: $(READY)
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint
	mypy
	deftx schema --check

clean-deltas: $(READY)
	deftx clean-deltas $(CONFIG)

clean:
	rm -rf results/*/ .snakemake .pytest_cache .ruff_cache .mypy_cache .hypothesis build
