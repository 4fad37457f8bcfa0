"""What Snakemake itself costs on a large grid: the real job graph, with jobs that write empty outputs at once.

The paper's grid, or the same with more seeds, is planned, run on the local executor, and planned again when all is
there; printed are seconds, jobs per second and the peak memory of Snakemake. The first row, its start, is in all rows.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from obdistill.core import sources
from obdistill.core.parsing import load_yaml, merge
from obdistill.experiment.jobs import Experiment

REPOSITORY = Path(__file__).resolve().parents[1]
# a function of the shell comes before every program on the PATH
STUB = """() {
    local stage=$1 out words=("${@:2}")
    while (($#)); do [[ $1 != --out ]] || out=$2; shift; done
    : > "$out"; printf '%s\\n' "$stage" "${words[@]}" > "${out%.*}.json"
    case $stage in
        select|distill) : > "${out%/*}/metrics.csv"; : > "${out%/*}/metrics.json" ;;
        table) : > "${out%.*}.md"; : > "${out%.*}.tex"; : > "${out%.*}.html" ;;
        figure) : > "${out%.*}.pdf" ;;
        summary) : > "${out%/*}/metrics.json"; : > "${out%/*}/findings.json" ;;
    esac
}"""


def write_sidecars(folder: Path) -> None:
    """Turn the words of each command, which the function has noted, into metadata: what the result is made from."""
    for file in (folder / "results").rglob("*.json"):
        command, *words = file.read_text().splitlines() or ["", ""]
        if not command:
            continue
        options = {name[2:]: value for name, value in itertools.pairwise(words) if name.startswith("--")}
        settings = json.loads(options.pop("settings", "{}"))
        digest = sources.digest(command, sources.choice(command, {**settings, **options}))
        made_from = {"settings": settings, "options": options, "sources": digest}
        date = file.stat().st_mtime_ns
        file.write_text(json.dumps({"made_from": made_from, "sha256": "0", "inputs": {"any": {"sha256": "0"}}}))
        os.utime(file, ns=(date, date))


def measured(folder: Path, *options: str) -> tuple[float, float, float]:
    """Run Snakemake in a folder; returns seconds, seconds of CPU (jobs included) and peak MB."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", REPOSITORY / "Snakefile", "--directory", folder]
    command += ["--configfile", folder / "config.json", "--workflow-profile", REPOSITORY / "profiles/default", *options]
    start = time.perf_counter()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=os.environ | {"BASH_FUNC_obd%%": STUB}, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit((folder / "log").read_text()[-3000:])
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--configfile", type=Path, default=REPOSITORY / "config/paper.yaml", help="the grid (default: the paper's)"
    )
    parser.add_argument("--seeds", type=int, help="seeds of distillations and selections (default: the grid's)")
    parser.add_argument("--cores", default="64", help="jobs that Snakemake may run side by side (default 64)")
    arguments = parser.parse_args()
    config = load_yaml(arguments.configfile)
    if arguments.seeds:
        config = merge(config, {key: [*range(arguments.seeds)] for key in ("seeds", "random_seeds")})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.json").write_text(json.dumps(config))
        jobs = sum(Experiment.load([folder / "config.json"]).counts().values())
        print(
            f"{jobs} jobs, up to {arguments.cores} side by side\n{'':22} {'s':>7} {'CPU s':>7} {'jobs/s':>7} {'MB':>6}"
        )
        for what, options in {
            "start (list of rules)": ["--list-rules"],
            "plan": ["--dry-run", "--quiet"],
            "run": ["--quiet", "--cores", arguments.cores],
            "plan when all is there": ["--dry-run", "--quiet"],
        }.items():
            if what == "plan when all is there":
                write_sidecars(folder)
            seconds, cpu, memory = measured(folder, *options)
            rate = f"{jobs / seconds:7.1f}" if what == "run" else f"{'':7}"
            print(f"{what:22} {seconds:7.1f} {cpu:7.1f} {rate} {memory:6.0f}", flush=True)


if __name__ == "__main__":
    main()
