# Datasets: collected here, downloaded, or already on disk; one artifact for each task.
rule collect:
    input:
        environment=whatever_date(experiment.collect_environment),
        code=made_by("collect"),
    output:
        metadata="results/collections/{collection}/collection.json",
    log:
        "logs/collections/{collection}.log",
    benchmark:
        "timings/collections/{collection}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(2 * DAY),
        checkpoint_minutes=3,
    params:
        settings=experiment.collect_settings,
        seed=experiment.collect_seed,
    message:
        "Collect {wildcards.collection}"
    shell:
        "obd collect --out results/collections/{wildcards.collection} --seed {params.seed} "
        "--settings {params.settings:q} --log {log:q} --threads {threads} "
        "--checkpoint-minutes {resources.checkpoint_minutes}"


rule dataset:
    input:
        collection=lambda wildcards: paths(rules.collect.output.metadata, experiment.dataset_collections(wildcards)),
        files=whatever_date(experiment.dataset_files),
        environment=whatever_date(experiment.dataset_environment),
        code=made_by("dataset", also=experiment.dataset_downloads),
    output:
        dataset="results/datasets/{task}/dataset.npz",
        metadata="results/datasets/{task}/dataset.json",
    log:
        "logs/datasets/{task}.log",
    # no benchmark: Snakemake keeps a rule that has one out of its cache (--cache); the .json has the seconds
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(4 * HOUR),
    params:
        # not the wildcard itself: the cache knows a job by its command, params and inputs
        task="{task}",
        settings=experiment.dataset_settings,
        collection=lambda wildcards, input: [f"--collection {os.path.dirname(file)}" for file in input.collection],
    message:
        "Dataset of {wildcards.task}"
    shell:
        "obd dataset --task {params.task} {params.collection} --settings {params.settings:q} "
        "--out {output.dataset:q} --log {log:q} --threads {threads}"


rule datasets:
    input:
        [paths(file, experiment.tasks()) for file in rules.dataset.output],
    localrule: True
    message:
        "All datasets are there"
