# Tables and figures: all returns -> one checked table -> tables, and numbers of figures -> figures and a summary.
rule gather:
    input:
        returns=shown(experiment.returns()),
        code=made_by("gather"),
    output:
        returns="results/paper/returns.npz",
        metadata="results/paper/returns.json",
    log:
        "logs/paper/gather.log",
    benchmark:
        "timings/paper/gather.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30 * MINUTE),
    params:
        returns=in_list,
    message:
        "All returns in one table"
    shell:
        "obd gather --from {params.returns:q} --out {output.returns:q} --log {log:q} --threads {threads}"


rule table:
    input:
        shown=lambda wildcards: shown(experiment.shown_in_table(wildcards.table)),
        code=made_by("table"),
    output:
        csv="results/paper/{table}.csv",
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
        mem_mb=growing(4000),
        runtime=growing(30 * MINUTE),
    params:
        settings=experiment.table_settings,
    message:
        "Table {wildcards.table}"
    shell:
        "obd table --name {wildcards.table} --settings {params.settings:q} "
        "--out {output.csv:q} --log {log:q} --threads {threads} {input.shown:q}"


rule figure_data:
    input:
        shown=lambda wildcards: shown(experiment.shown_in_figure(wildcards.figure)),
        code=made_by("figure-data"),
    output:
        csv="results/paper/figure_data/{figure}.csv",
        metadata="results/paper/figure_data/{figure}.json",
    log:
        "logs/paper/figure_data/{figure}.log",
    benchmark:
        "timings/paper/figure_data/{figure}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30 * MINUTE),
    params:
        settings=experiment.figure_data_settings,
    message:
        "Numbers of figure {wildcards.figure}"
    shell:
        "obd figure-data --name {wildcards.figure} --settings {params.settings:q} "
        "--out {output.csv:q} --log {log:q} --threads {threads} {input.shown:q}"


# draws and computes nothing: an edit of a color or a caption ends here
rule figure:
    input:
        data=rules.figure_data.output.csv,
        code=made_by("figure"),
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
        "--out {output.png:q} --log {log:q} --threads {threads} {input.data:q}"


# plain numbers for programs (what `dvc metrics show` and `dvc plots show` read), and sentences for the report
rule summary:
    input:
        table="results/paper/table_1.csv",
        tests="results/paper/variance.csv",
        curves="results/paper/figure_data/figure_1.csv",
        code=made_by("summary"),
    output:
        curves="results/paper/learning_curves.csv",
        metadata="results/paper/learning_curves.json",
        metrics="results/paper/metrics.json",
        findings="results/paper/findings.json",
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
    message:
        "Mean scores, learning curves and findings"
    shell:
        "obd summary --table {input.table:q} --tests {input.tests:q} --curves {input.curves:q} "
        "--out {output.curves:q} --log {log:q} --threads {threads}"


rule tables:
    input:
        [paths(file, experiment.tables()) for file in rules.table.output],
    localrule: True
    message:
        "All tables are there"


rule figures:
    input:
        [paths(file, experiment.figures()) for file in [*rules.figure_data.output, *rules.figure.output]],
    localrule: True
    message:
        "All figures are there"


rule paper:
    input:
        rules.gather.output,
        rules.tables.input,
        rules.figures.input,
        [paths(file, experiment.summarized_tables()) for file in rules.table.output],
        [paths(file, experiment.summarized_figures()) for file in rules.figure_data.output],
        rules.summary.output,
    localrule: True
    message:
        "All tables and figures are there"
