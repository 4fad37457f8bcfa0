# Tables and figures, each from the files that it shows and nothing else; `report` marks what `make report` shows.
rule table:
    input:
        shown=lambda wildcards: shown(experiment.shown_in_table(wildcards.table)),
        code=sources("obdistill.paper.tables.score_tables", "obdistill.core.methods"),
    output:
        csv=report("results/paper/{table}.csv", **in_report("Tables", "{table}", "csv")),
        metadata="results/paper/{table}.json",
        markdown="results/paper/{table}.md",
        latex="results/paper/{table}.tex",
        html=report("results/paper/{table}.html", **in_report("Tables", "{table}", "html")),
    log:
        "logs/paper/{table}.log",
    benchmark:
        "timings/paper/{table}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30 * MINUTE),
    params:
        settings=experiment.table_settings,
    message:
        "Table {wildcards.table}"
    shell:
        "obd table --name {wildcards.table} --settings {params.settings:q} "
        "--out {output.csv:q} --log {log:q} --threads {threads} {input.shown:q}"


rule figure:
    input:
        shown=lambda wildcards: shown(experiment.shown_in_figure(wildcards.figure)),
        code=sources("obdistill.paper.figures.figures", "obdistill.core.methods"),
    output:
        png=report("results/paper/{figure}.png", **in_report("Figures", "{figure}", "png")),
        pdf=report("results/paper/{figure}.pdf", **in_report("Figures", "{figure}", "pdf")),
        metadata="results/paper/{figure}.json",
    log:
        "logs/paper/{figure}.log",
    benchmark:
        "timings/paper/{figure}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30 * MINUTE),
    params:
        settings=experiment.figure_settings,
    message:
        "Figure {wildcards.figure}"
    shell:
        "obd figure --name {wildcards.figure} --settings {params.settings:q} "
        "--out {output.png:q} --log {log:q} --threads {threads} {input.shown:q}"


# plain numbers for programs: what `dvc metrics show` and `dvc plots show` read
rule summary:
    input:
        shown=shown(experiment.shown_in_table("table_1")),
        code=sources("obdistill.paper.summary", "obdistill.core.methods"),
    output:
        curves="results/paper/learning_curves.csv",
        metadata="results/paper/learning_curves.json",
        metrics="results/paper/metrics.json",
    log:
        "logs/paper/summary.log",
    benchmark:
        "timings/paper/summary.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30 * MINUTE),
    params:
        settings=experiment.table_settings,
    message:
        "Mean scores and learning curves"
    shell:
        "obd summary --settings {params.settings:q} "
        "--out {output.curves:q} --log {log:q} --threads {threads} {input.shown:q}"


rule tables:
    input:
        [paths(file, experiment.tables()) for file in rules.table.output],
    localrule: True
    message:
        "All tables are there"


rule figures:
    input:
        [paths(file, experiment.figures()) for file in rules.figure.output],
    localrule: True
    message:
        "All figures are there"


rule paper:
    input:
        rules.tables.input,
        rules.figures.input,
        rules.summary.output,
    localrule: True
    message:
        "All tables and figures are there"
