# The workflow is workflow/Snakefile; this lets `snakemake` find it, and the profiles, in this folder.
include: "workflow/Snakefile"


workflow.default_target = "all"  # an included file cannot set it
