# From datasets to the paper's tables and figures. `snakemake -n` says what would be done, and why.
from snakemake.utils import min_version

min_version("9.3")


# config.yaml, unless --configfile names another: Snakemake would merge the two key by key
if not workflow.configfiles:

    configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/datasets.smk"
include: "workflow/rules/near_experts.smk"
include: "workflow/rules/synsets.smk"
include: "workflow/rules/evaluations.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/paper.smk"


# one run at a time; unlike Snakemake's own lock (switched off in the profiles), this one ends with a killed run
onstart:
    begin_run()


localrules:
    all,
    datasets,
    near_experts,
    synsets,
    evaluations,
    tables,
    figures,
    paper,


# every target lists what its stage leaves behind, so that nothing of it can be missing unseen
rule all:
    default_target: True
    input:
        rules.datasets.input,
        rules.near_experts.input,
        rules.synsets.input,
        rules.evaluations.input,
        rules.paper.input,
    message:
        "Everything is there: tables and figures in results/paper/"
