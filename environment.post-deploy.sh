#!/usr/bin/env bash
# Snakemake runs this after it has made the environment of environment.yml itself (`--software-deployment-method conda`).
set -euo pipefail
pip install --no-deps --editable .
