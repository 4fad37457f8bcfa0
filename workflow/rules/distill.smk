# Synsets: distilled from a dataset by an objective, or selected at random.
rule distill:
    input:
        dataset=rules.dataset.output.dataset,
        near_expert=branch(
            experiment.needs_near_expert,
            then=rules.near_expert.output.near_expert,
        ),
        code=sources("obd.distill"),
    output:
        synset="results/synsets/{task}/{objective}/n{size}/seed{seed}/synset.npz",
        metadata="results/synsets/{task}/{objective}/n{size}/seed{seed}/synset.json",
        metrics="results/synsets/{task}/{objective}/n{size}/seed{seed}/metrics.csv",
        metrics_metadata="results/synsets/{task}/{objective}/n{size}/seed{seed}/metrics.json",
    log:
        "logs/synsets/{task}/{objective}/n{size}/seed{seed}.log",
    benchmark:
        "timings/synsets/{task}/{objective}/n{size}/seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime="3d",
        gpu=0,
        device="cpu",
    params:
        settings=experiment.distill_settings,
        near_expert=lambda wildcards, input: input.near_expert and f"--near-expert {input.near_expert}",
    message:
        "Synset of {wildcards.task}: {wildcards.objective}, {wildcards.size} pairs, seed {wildcards.seed}"
    shell:
        "obd distill --dataset {input.dataset:q} {params.near_expert} --objective {wildcards.objective} "
        "--size {wildcards.size} --seed {wildcards.seed} --settings {params.settings:q} "
        "--out {output.synset:q} --log {log:q} --threads {threads} --device {resources.device}"


rule synsets:
    input:
        [paths(file, experiment.synsets()) for file in rules.distill.output],
    message:
        "All synsets are there"
