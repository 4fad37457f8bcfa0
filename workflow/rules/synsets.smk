# Synsets: selected from a dataset's states, which takes no GPU and no days, or distilled by an objective.
rule select:
    input:
        dataset=rules.dataset.output.dataset,
        near_expert=branch(
            experiment.needs_near_expert,
            then=rules.near_expert.output.near_expert,
        ),
        code=made_by("select"),
    output:
        synset="results/synsets/{task}/{method}/{variant}/size{size}/seed{seed}/synset.npz",
        metadata="results/synsets/{task}/{method}/{variant}/size{size}/seed{seed}/synset.json",
        metrics="results/synsets/{task}/{method}/{variant}/size{size}/seed{seed}/metrics.csv",
        metrics_metadata="results/synsets/{task}/{method}/{variant}/size{size}/seed{seed}/metrics.json",
    log:
        "logs/synsets/{task}/{method}/{variant}/size{size}/seed{seed}.log",
    benchmark:
        "timings/synsets/{task}/{method}/{variant}/size{size}/seed{seed}.tsv"
    wildcard_constraints:
        method="|".join(SELECTIONS),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(20 * MINUTE),
    params:
        near_expert=near_expert_option,
    message:
        "Synset of {wildcards.task}: {wildcards.method} ({wildcards.variant}), {wildcards.size} pairs, seed {wildcards.seed}"
    shell:
        "obd select --dataset {input.dataset:q} {params.near_expert} --method {wildcards.method} "
        "--variant {wildcards.variant} --size {wildcards.size} --seed {wildcards.seed} "
        "--out {output.synset:q} --log {log:q} --threads {threads}"


rule distill:
    input:
        dataset=rules.dataset.output.dataset,
        near_expert=branch(
            experiment.needs_near_expert,
            then=rules.near_expert.output.near_expert,
        ),
        code=made_by("distill"),
    output:
        synset="results/synsets/{task}/{method}/{variant}/size{size}/seed{seed}/synset.npz",
        metadata="results/synsets/{task}/{method}/{variant}/size{size}/seed{seed}/synset.json",
        metrics="results/synsets/{task}/{method}/{variant}/size{size}/seed{seed}/metrics.csv",
        metrics_metadata="results/synsets/{task}/{method}/{variant}/size{size}/seed{seed}/metrics.json",
    log:
        "logs/synsets/{task}/{method}/{variant}/size{size}/seed{seed}.log",
    benchmark:
        "timings/synsets/{task}/{method}/{variant}/size{size}/seed{seed}.tsv"
    wildcard_constraints:
        method="|".join(OBJECTIVES),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(3 * DAY),
        gpu=0,
        device="cpu",
        checkpoint_minutes=3,
    params:
        settings=experiment.distill_settings,
        near_expert=near_expert_option,
    message:
        "Synset of {wildcards.task}: {wildcards.method} ({wildcards.variant}), {wildcards.size} pairs, seed {wildcards.seed}"
    shell:
        "obd distill --dataset {input.dataset:q} {params.near_expert} --objective {wildcards.method} "
        "--variant {wildcards.variant} --size {wildcards.size} --seed {wildcards.seed} --settings {params.settings:q} "
        "--out {output.synset:q} --log {log:q} --threads {threads} --device {resources.device} "
        "--checkpoint-minutes {resources.checkpoint_minutes}"


rule synsets:
    input:
        [paths(file, experiment.synsets()) for file in rules.distill.output],
    localrule: True
    message:
        "All synsets are there"
