# Evaluations: policies trained from scratch on a synset or on the whole dataset, and the return of each episode.
rule evaluate:
    input:
        pairs=rules.distill.output.synset,
        environment=whatever_date(experiment.dataset_environment),
        code=made_by("evaluate"),
    output:
        returns="results/evaluations/{task}/{method}/{variant}/size{size}/seed{seed}/{protocol}.csv",
        metadata="results/evaluations/{task}/{method}/{variant}/size{size}/seed{seed}/{protocol}.json",
    log:
        "logs/evaluations/{task}/{method}/{variant}/size{size}/seed{seed}/{protocol}.log",
    benchmark:
        "timings/evaluations/{task}/{method}/{variant}/size{size}/seed{seed}/{protocol}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(12 * HOUR),
    params:
        settings=experiment.evaluate_settings,
    message:
        "Evaluate {wildcards.protocol} on {wildcards.task}: {wildcards.method} ({wildcards.variant}), {wildcards.size} pairs, seed {wildcards.seed}"
    shell:
        "obd evaluate --pairs {input.pairs:q} --protocol {wildcards.protocol} --seed {wildcards.seed} "
        "--settings {params.settings:q} --out {output.returns:q} --log {log:q} --threads {threads} --workers {threads}"


rule evaluate_whole_data:
    input:
        pairs=rules.dataset.output.dataset,
        environment=whatever_date(experiment.dataset_environment),
        code=made_by("evaluate", "evaluate_whole_data"),
    output:
        returns="results/evaluations/{task}/bc_whole/whole_data.csv",
        metadata="results/evaluations/{task}/bc_whole/whole_data.json",
    log:
        "logs/evaluations/{task}/bc_whole/whole_data.log",
    benchmark:
        "timings/evaluations/{task}/bc_whole/whole_data.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(DAY),
    params:
        settings=experiment.whole_data_settings,
    message:
        "Behavior cloning on all of {wildcards.task}"
    shell:
        "obd evaluate --pairs {input.pairs:q} --protocol whole_data "
        "--settings {params.settings:q} --out {output.returns:q} --log {log:q} --threads {threads} --workers {threads}"


rule evaluate_near_expert:
    input:
        near_expert=rules.near_expert.output.near_expert,
        environment=whatever_date(experiment.dataset_environment),
        code=made_by("evaluate-near-expert"),
    output:
        returns="results/evaluations/{task}/near_expert/near_expert.csv",
        metadata="results/evaluations/{task}/near_expert/near_expert.json",
    log:
        "logs/evaluations/{task}/near_expert/near_expert.log",
    benchmark:
        "timings/evaluations/{task}/near_expert/near_expert.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(HOUR),
    params:
        settings=experiment.near_expert_evaluation_settings,
    message:
        "Evaluate the near-expert of {wildcards.task}"
    shell:
        "obd evaluate-near-expert --near-expert {input.near_expert:q} --settings {params.settings:q} "
        "--out {output.returns:q} --log {log:q} --threads {threads}"


rule cost:
    input:
        dataset=rules.dataset.output.dataset,
        synset=lambda wildcards: paths(rules.distill.output.synset, experiment.cost_synset(wildcards)),
        code=made_by("cost"),
    output:
        costs="results/evaluations/{task}/cost.csv",
        metadata="results/evaluations/{task}/cost.json",
    log:
        "logs/evaluations/{task}/cost.log",
    benchmark:
        "timings/evaluations/{task}/cost.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(DAY),
    params:
        settings=experiment.cost_settings,
    message:
        "Cost of training on {wildcards.task}"
    shell:
        "obd cost --dataset {input.dataset:q} --synset {input.synset:q} --settings {params.settings:q} "
        "--out {output.costs:q} --log {log:q} --threads {threads}"


rule error_curve:
    input:
        dataset=rules.dataset.output.dataset,
        near_expert=rules.near_expert.output.near_expert,
        environment=whatever_date(experiment.dataset_environment),
        code=made_by("error-curve"),
    output:
        curve="results/evaluations/{task}/error_curve.csv",
        metadata="results/evaluations/{task}/error_curve.json",
    log:
        "logs/evaluations/{task}/error_curve.log",
    benchmark:
        "timings/evaluations/{task}/error_curve.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(2 * HOUR),
    params:
        settings=experiment.error_curve_settings,
    message:
        "Return against imitation error on {wildcards.task}"
    shell:
        "obd error-curve --dataset {input.dataset:q} --near-expert {input.near_expert:q} --settings {params.settings:q} "
        "--out {output.curve:q} --log {log:q} --threads {threads} --workers {threads}"


rule synset_errors:
    input:
        dataset=rules.dataset.output.dataset,
        near_expert=rules.near_expert.output.near_expert,
        synsets=lambda wildcards: paths(rules.distill.output.synset, experiment.marked_evaluations(wildcards)),
        returns=lambda wildcards: paths(rules.evaluate.output.returns, experiment.marked_evaluations(wildcards)),
        code=made_by("synset-errors"),
    output:
        errors="results/evaluations/{task}/synset_errors.csv",
        metadata="results/evaluations/{task}/synset_errors.json",
    log:
        "logs/evaluations/{task}/synset_errors.log",
    benchmark:
        "timings/evaluations/{task}/synset_errors.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(2 * HOUR),
    message:
        "Imitation errors of the synsets of {wildcards.task}"
    shell:
        "obd synset-errors --dataset {input.dataset:q} --near-expert {input.near_expert:q} "
        "--out {output.errors:q} --log {log:q} --threads {threads} {input.synsets:q} {input.returns:q}"


# what an error costs, before any synset is made
rule error_curves:
    input:
        [paths(file, experiment.error_curves()) for file in rules.error_curve.output],
    localrule: True
    message:
        "All curves of return against imitation error are there"


rule evaluations:
    input:
        [paths(file, experiment.evaluations()) for file in rules.evaluate.output],
        [paths(file, experiment.near_experts()) for file in rules.evaluate_near_expert.output],
        [paths(file, experiment.whole_data()) for file in rules.evaluate_whole_data.output],
        [paths(file, experiment.costs()) for file in rules.cost.output],
        rules.error_curves.input,
        [paths(file, experiment.error_curves()) for file in rules.synset_errors.output],
    localrule: True
    message:
        "All evaluations are there"
