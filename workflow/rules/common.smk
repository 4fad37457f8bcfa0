# The experiment that all rules are about, and what they share.
import os
import sys

from obd.distill import RANDOM
from obd.errors import UserError
from obd.report import Record
from obd.workflow import Experiment, package_file, sources

# jobs call the `obd` of the environment that runs Snakemake, activated or not
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()]))

try:
    experiment = Experiment.load(workflow.configfiles, command_line=workflow.config_settings.config)
except UserError as error:
    sys.exit(f"error: {error}")


wildcard_constraints:
    **experiment.wildcard_constraints(),


def paths(pattern, jobs):
    """Fill in a pattern of paths for each of some jobs."""
    return [pattern.format(**job) for job in jobs]


MINUTE, HOUR, DAY = 1, 60, 24 * 60  # units of `runtime`


def growing(amount):
    """Ask for `amount` (MB, minutes) at the first attempt, twice as much at the second, and so on."""
    return lambda wildcards, attempt: amount * attempt
