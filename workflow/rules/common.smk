# The experiment that all rules are about, and what they share.
import hashlib
import json
import os
import sys
from pathlib import Path

from obdistill.core import atomic, lock, own_modules, provenance, sources
from obdistill.core.errors import UserError
from obdistill.core.methods import OBJECTIVES, SELECTIONS
from obdistill.experiment import stale
from obdistill.experiment.closing import closing_words
from obdistill.experiment.jobs import Experiment
from obdistill.experiment.record import Record
from snakemake.logging import logger

# jobs call the `obd` of the environment that runs Snakemake, activated or not
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()]))

try:
    if workflow.modifier.skip_configfile:  # another workflow uses this one as a module, and gives a configuration
        experiment = Experiment.given(config)
    else:
        experiment = Experiment.load(workflow.configfiles, command_line=workflow.config_settings.config)
except UserError as error:
    sys.exit("\n".join(f"error: {line}" for line in str(error).splitlines()))


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


def in_list(wildcards, input):
    """Write the names of the returns to a file, and return its path: a shell's command may have 128 KB.

    Its name is that of its content, so that a dry run of another configuration leaves it alone.
    """
    names = "".join(f"{name}\n" for name in input.returns)
    path = Path(".snakemake/inputs", f"{hashlib.sha256(names.encode()).hexdigest()[:16]}.txt")
    atomic.write_text(path, names)
    return path


def growing(amount):
    """Ask for `amount` (MB, minutes) at the first attempt, twice as much at the second, and so on."""
    return lambda wildcards, attempt: amount * attempt


def near_expert_option(wildcards, input):
    """Return the option that names the near-expert, if the method needs one."""
    return input.near_expert and f"--near-expert {input.near_expert}"


def filled(value, wildcards):
    """List the paths that an input of a rule stands for."""
    if callable(value):
        value = value(wildcards)
    if isinstance(value, str):
        return [value.format(**dict(wildcards.items()))]
    return [path for item in value for path in filled(item, wildcards)]


def whatever_date(files):
    """Return an input of files outside the results, whose content `made_by` compares: a date alone redoes nothing."""
    return lambda wildcards: [ancient(path) for path in files(wildcards)]


digests = {}  # of the sources with which this run began; its jobs compare theirs


def made_by(command, rule=None, also=lambda wildcards: []):
    """Return the input `code` of a rule: the sources of its command.

    On the way, a result that is there but was made from something else than its job would be is marked to be made again.
    `rule` is the rule's name, if not the command's; `also` gives files that are read without being inputs.
    """
    name = rule or command.replace("-", "_")

    def code(wildcards):
        proxy = getattr(rules, name)
        given = proxy.rule.params
        settings = json.loads(given.settings(wildcards)) if "settings" in given.keys() else {}
        options = dict(wildcards.items())
        options |= {"name": options.get("figure") or options.get("table"), "objective": options.get("method")}
        chosen = sources.choice(command, {**settings, **options})
        if workflow.is_main_process:  # not again in the process of each job
            digests[provenance.key(command, chosen)] = sources.digest(command, chosen)
            os.environ[provenance.VARIABLE] = json.dumps(digests)
            inputs = dict(proxy.input.items())
            environment = map(Path, filled(inputs.pop("environment", []), wildcards))
            inputs.pop("code")
            options |= {"seed": given.seed(wildcards)} if "seed" in given.keys() else {}
            read = (*filled(list(inputs.values()), wildcards), *also(wildcards))
            digest = sources.digest(command, chosen)
            job = stale.Job(settings, options, read, digest, own_modules.digest(list(environment)))
            outputs = filled(list(proxy.output), wildcards)
            why = stale.difference(Path(filled(proxy.output.metadata, wildcards)[0]), job)
            if why is not None:
                if name not in told:
                    logger.warning(f"{outputs[0]}: {why}: it is made again, as is all of the rule {name} that differs")
                told.add(name)
                workflow.dag.forcefiles.update(outputs)
        return [ancient(os.path.relpath(file)) for file in sources.files(command, chosen)]

    return code


told = set()  # rules whose results were found to be stale
