# Everything there is to type: `make help`. Each target first makes the environment it needs.

# ---- what may be set on the command line, e.g. `make run CONFIG=config/paper.yaml CORES=8` ----
PYTHON  ?= python3          # interpreter that makes the environment, 3.11 or later
VENV    ?= .venv            # where the environment goes
CONFIG  ?= config.yaml      # the experiment
CORES   ?= all              # CPU cores the run may use
TARGET  ?= all              # how far: datasets near_experts synsets evaluations tables figures paper all, or a file
ARGS    ?=                  # anything else for snakemake, e.g. ARGS=--dry-run

# make keeps the blanks before a comment: strip them
PYTHON := $(strip $(PYTHON))
VENV   := $(strip $(VENV))
READY  := $(VENV)/.installed
STAGES := datasets near_experts synsets evaluations paper
# in a terminal, one live display of the run, and the lines of jobs in logs/ only; elsewhere plain lines
LIVE   = $(shell test -t 2 && echo OBD_LOG_ONLY=1)
LOGGER = $(if $(LIVE),--logger obd)

# the environment's own programs first, for make and for the jobs it starts
export PATH := $(abspath $(VENV))/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run dry-run pull commit-results plots prune dvc-yaml config-docs report check install test test-slow test-slurm torture lint format docs readme page zoo constraints clean clean-results clean-environment

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /|/' | awk -F'|' '{printf "make %-18s %s\n", $$1, $$2}'

run: $(READY)  ## run the experiment to its tables and figures (CONFIG, CORES, TARGET, ARGS)
	$(LIVE) snakemake $(TARGET) --configfile $(CONFIG) --cores $(CORES) $(LOGGER) $(ARGS)

dry-run: $(READY)  ## say what `make run` would do, and why
	snakemake $(TARGET) --configfile $(CONFIG) --cores $(CORES) --dry-run $(ARGS)

report: $(READY)  ## write results/report.html: tables and figures of the finished run, settings, versions, run times
	snakemake --report results/report.html --configfile $(CONFIG)

# DVC knows config.yaml only; its guards: Snakemake takes results for its own only if DVC finds them to be what dvc.lock
# says for these settings and sources, and DVC records only what Snakemake has nothing to do about
pull: $(READY)  ## fetch the results that DVC keeps; Snakemake then takes them for up to date
	dvc pull
	@dvc status --quiet || { dvc status; echo "error: dvc.lock is not about these settings and sources (above); Snakemake was told nothing" >&2; exit 1; }
	snakemake all --touch --forceall --quiet

commit-results: $(READY)  ## let DVC record the finished results of config.yaml; then `git add dvc.lock` and `dvc push`
	@mkdir -p $(addprefix results/,collections $(STAGES))
	@snakemake all --dry-run 2>&1 | grep -q 'Nothing to be done' || { echo "error: results are not up to date: make run, or make dry-run to see why" >&2; exit 1; }
	dvc commit --force

plots: $(READY)  ## compare learning curves and figures of commits in dvc_plots/index.html, which needs no network (ARGS: commits)
	python workflow/dvc/plots_page.py .dvc/tmp/plots_page.html
	dvc plots diff --html-template .dvc/tmp/plots_page.html $(ARGS)

prune: $(READY)  ## delete results that config.yaml no longer names: Snakemake leaves them, and DVC would keep them
	@snakemake all --summary 2>/dev/null | cut -f1 | grep '^results/' > .snakemake/named
	@find $(wildcard $(addprefix results/,$(STAGES))) -type f | grep -vxFf .snakemake/named | xargs -r rm -v

check: $(READY)  ## check the configuration file
	obd check $(CONFIG)

install: $(READY)  ## make the environment only

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "error: $(PYTHON) is Python %d.%d; 3.11 or later is needed: make PYTHON=/path/to/python3.11" % v[:2])'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

test: $(READY)  ## run the tests
	pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: $(READY)  ## run the tests that take longest: real stages under DVC, `dvc exp run`, S3
	pytest -m slow

test-slurm: $(READY)  ## run the workflow on a Slurm started for it (Debian, as root: packages are installed)
	pytest -m slurm

torture: $(READY)  ## kill, race, damage and mislead at random: counts for docs/reliability.md (an hour; goes on if stopped)
	python -m benchmarks.torture --out docs/results/reliability/counts.csv

lint: $(READY)  ## check format, style, types, imports and the workflow
	ruff check
	ruff format --check
	mypy
	lint-imports --no-logo
	snakefmt --check Snakefile workflow
	snakemake --lint --quiet

format: $(READY)  ## bring every file into the project's format
	ruff check --fix
	ruff format
	snakefmt Snakefile workflow

docs: $(VENV)/.docs  ## build the documentation site into site/
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

$(VENV)/.docs: $(READY)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	@touch $@

readme: $(READY)  ## put the finished default run's tables and figures into docs/results
	python docs/publish_results.py

page: $(READY)  ## build the page that trains in the browser into page/build (needs npm)
	python page/build.py

zoo: $(READY)  ## copy synsets of finished results into the zoo (src/obdistill/zoo/names.csv says which)
	obd zoo --results results

dvc-yaml: $(READY)  ## write dvc.yaml from workflow/dvc/dvc_stages.py and the imports of the sources
	python workflow/dvc/dvc_stages.py

config-docs: $(READY)  ## write config/schema.json and the table of config/README.md from the settings classes
	obd schema config

constraints: $(READY)  ## write the versions installed now into constraints.txt
	@{ sed '/^[^#]/,$$d' constraints.txt; pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//'; } > constraints.new
	mv constraints.new constraints.txt

clean: clean-results clean-environment  ## both of the following

clean-results:  ## delete results, logs and timings
	rm -rf $(filter-out results/README.md,$(wildcard results/*)) logs timings

clean-environment:  ## delete the Python environment
	rm -rf $(VENV)
