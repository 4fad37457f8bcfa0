"""What an experiment costs: hours of one CPU core by stage, from its configuration and measured seconds per step.

The defaults were measured on one core of a 2-core Xeon (no GPU) by `meta_gradient.py`, `evaluation.py` and short
trainings at the paper's sizes, on HalfCheetah; episodes count as 1000 steps. The steps of IQL, TD3+BC, ReBRAC and
behavior cloning, and what is done by ridge regression, are those of an AMD EPYC shared with other work, where one of
Cal-QL takes 0.124 s. Give your own machine's, or a GPU's. Not counted: downloads, reading, tables and figures.
"""

import argparse
from pathlib import Path

from obdistill.core.methods import OBJECTIVES
from obdistill.experiment.jobs import Experiment
from obdistill.near_experts.settings import TrainingSettings
from obdistill.synsets.outer_loop import snapshot_steps

EPISODE = 1000  # environment steps
SECONDS = {  # of one unit of work; steps of near-experts with their algorithm's default batch and networks
    **{"cal_ql_step": 0.107, "iql_step": 0.013, "td3_bc_step": 0.0092, "rebrac_step": 0.054},
    **{"outer_step": 0.566, "snapshot": 2.4, "bc_step": 0.0041, "environment_step": 121e-6},
    **{"ridge_outer_step": 0.035, "ridge_snapshot": 1.0},
}


def units(experiment: Experiment) -> dict[str, list[int]]:
    """Count the units of work of each job: those of `SECONDS`."""
    config = experiment.config
    work: dict[str, list[int]] = {unit: [] for unit in SECONDS}
    for job in experiment.near_experts():
        work["environment_step"].append(config.near_expert_evaluation.episodes * EPISODE)
        near_expert = config.tasks[str(job["task"])].near_expert
        if near_expert and isinstance(near_expert.root, TrainingSettings):
            work[f"{near_expert.root.algorithm}_step"].append(near_expert.root.steps)
    for job in experiment.synsets():
        distill = config.distill_settings(str(job["task"]), str(job["method"]), str(job["variant"]))
        kind = "ridge_outer_step" if distill.inner.optimizer == "ridge" else "outer_step"
        work[kind].append((job["method"] in OBJECTIVES) * distill.steps * distill.outer.initializations)
    for job in experiment.evaluations():
        task, method, variant = str(job["task"]), str(job["method"]), str(job["variant"])
        evaluate = config.evaluate_settings(task, method, str(job["protocol"]), int(job["size"]), variant)
        steps = snapshot_steps(config.distill_settings(task, method, variant))
        snapshots = len(steps[-(evaluate.last_snapshots or 0) :]) if method in OBJECTIVES else 1
        work["ridge_snapshot" if evaluate.bc.optimizer == "ridge" else "snapshot"].append(snapshots)
        players = 1 if evaluate.ensemble else evaluate.policies
        work["environment_step"].append(snapshots * players * evaluate.episodes * EPISODE)
    for job in experiment.whole_data():
        whole_data = config.whole_data_settings(job["task"])
        work["bc_step"].append(whole_data.policies * whole_data.bc.steps)
        work["environment_step"].append(whole_data.policies * whole_data.episodes * EPISODE)
    if curve := config.error_curve:
        for _ in experiment.error_curves():
            work["bc_step"].append(curve.policies * curve.steps[-1])
            work["environment_step"].append(len(curve.steps) * curve.policies * curve.episodes * EPISODE)
    for job in experiment.costs():
        work["bc_step"].append(config.whole_data_settings(job["task"]).bc.steps)
    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="*", default=[Path("config/paper.yaml")])
    for unit, default in SECONDS.items():
        option = f"--{unit.replace('_', '-')}"
        parser.add_argument(option, type=float, default=default, help=f"seconds (default {default})")
    arguments = parser.parse_args()
    print(f"{'':18} {'s':>9} {'number':>14} {'hours':>8} {'longest job':>12}")
    total = 0.0
    for unit, counts in units(Experiment.load(arguments.config)).items():
        if not any(counts):
            continue
        each = getattr(arguments, unit)
        hours, longest = (each * count / 3600 for count in (sum(counts), max(counts)))
        print(f"{unit:18} {each:9.3g} {sum(counts):14,} {hours:8.1f} {longest:12.1f}")
        total += hours
    print(f"{'total':18} {total:33.1f}")


if __name__ == "__main__":
    main()
