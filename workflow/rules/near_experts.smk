# Near-experts: a policy and critics made from a task's dataset, or imported.
rule near_expert:
    input:
        dataset=rules.dataset.output.dataset,
        files=whatever_date(experiment.near_expert_files),
        code=made_by("near-expert"),
    output:
        near_expert="results/near_experts/{task}/near_expert.safetensors",
        metadata="results/near_experts/{task}/near_expert.json",
    log:
        "logs/near_experts/{task}/near_expert.log",
    # no benchmark: Snakemake keeps a rule that has one out of its cache (--cache); the .json has the seconds
    # most of the rest waits for it
    priority: 10
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(3 * DAY),
        gpu=0,
        device="cpu",
    params:
        settings=experiment.near_expert_settings,
    message:
        "Near-expert of {wildcards.task}"
    shell:
        "obd near-expert --dataset {input.dataset:q} --settings {params.settings:q} "
        "--out {output.near_expert:q} --log {log:q} --threads {threads} --device {resources.device}"


rule near_experts:
    input:
        [paths(file, experiment.near_experts()) for file in rules.near_expert.output],
    localrule: True
    message:
        "All near-experts are there"
