"""The grid: what Snakemake asks Python."""
