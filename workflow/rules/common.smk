# The experiment that all rules are about, and what they share.
import os
import sys

from obdistill.core import lock
from obdistill.core.errors import UserError
from obdistill.core.methods import DEFAULT, SELECTIONS
from obdistill.experiment.record import Record
from obdistill.core.sources import sources
from obdistill.experiment.jobs import Experiment

# jobs call the `obd` of the environment that runs Snakemake, activated or not
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()]))

try:
    if workflow.modifier.skip_configfile:  # another workflow uses this one as a module, and gives a configuration
        experiment = Experiment.given(config)
    else:
        experiment = Experiment.load(workflow.configfiles, command_line=workflow.config_settings.config)
except UserError as error:
    sys.exit(f"error: {error}")


def begin_run():
    """Take the folder's lock, or end with one line."""
    try:
        lock.take()
    except UserError as error:
        sys.exit(f"error: {error}")


wildcard_constraints:
    **experiment.wildcard_constraints(),


def paths(pattern, jobs):
    """Fill in a pattern of paths for each of some jobs."""
    return [pattern.format(**job) for job in jobs]


MINUTE, HOUR, DAY = 1, 60, 24 * 60  # units of `runtime`


def shown(jobs_by_rule):
    """List the files that rules make that are named, in the jobs given for each."""
    return [file for name, jobs in jobs_by_rule.items() for file in paths(getattr(rules, name).output[0], jobs)]


def growing(amount):
    """Ask for `amount` (MB, minutes) at the first attempt, twice as much at the second, and so on."""
    return lambda wildcards, attempt: amount * attempt
