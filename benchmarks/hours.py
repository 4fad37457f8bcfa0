"""What an experiment costs: hours of one CPU core by stage, from its configuration and measured seconds per step.

The defaults were measured on one core of a 2-core Xeon (no GPU) by `meta_gradient.py`, `evaluation.py` and short
trainings at the paper's sizes, on HalfCheetah; episodes count as 1000 steps. Give your own machine's, or a GPU's.
"""

import argparse
from pathlib import Path

from obdistill.core.methods import OBJECTIVES
from obdistill.experiment.jobs import Experiment

EPISODE = 1000  # environment steps


def units(experiment: Experiment) -> dict[str, list[int]]:
    """Count the units of work of each job: gradient steps, outer steps, snapshots, environment steps."""
    config = experiment.config
    work: dict[str, list[int]] = {"near_expert_step": [], "outer_step": [], "snapshot": [], "environment_step": []}
    for task in config.tasks.values():
        work["near_expert_step"].append(getattr(task.near_expert and task.near_expert.root, "steps", 0))
    for job in experiment.synsets():
        distill = config.distill_settings(job["task"], job["method"])
        work["outer_step"].append((job["method"] in OBJECTIVES) * distill.steps * distill.outer.initializations)
    for job in experiment.evaluations():
        evaluate = config.evaluate_settings(job["task"], job["method"], job["protocol"], job["size"])
        steps = config.distill_settings(job["task"], job["method"]).snapshot_steps()
        snapshots = len(steps[-(evaluate.last_snapshots or 0) :]) if job["method"] in OBJECTIVES else 1
        work["snapshot"].append(snapshots)
        players = 1 if evaluate.ensemble else evaluate.policies
        work["environment_step"].append(snapshots * players * evaluate.episodes * EPISODE)
    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="*", default=[Path("config/paper.yaml")])
    seconds = {"near_expert_step": 0.107, "outer_step": 0.566, "snapshot": 2.4, "environment_step": 121e-6}
    for unit, default in seconds.items():
        option = f"--{unit.replace('_', '-')}"
        parser.add_argument(option, type=float, default=default, help=f"seconds (default {default})")
    arguments = parser.parse_args()
    print(f"{'':18} {'s':>9} {'number':>14} {'hours':>8} {'longest job':>12}")
    total = 0.0
    for unit, counts in units(Experiment.load(arguments.config)).items():
        each = getattr(arguments, unit)
        hours, longest = (each * count / 3600 for count in (sum(counts), max(counts)))
        print(f"{unit:18} {each:9.3g} {sum(counts):14,} {hours:8.0f} {longest:12.1f}")
        total += hours
    print(f"{'total':18} {total:33.0f}")


if __name__ == "__main__":
    main()
