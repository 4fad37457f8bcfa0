# What `make report` shows beside tables and figures: captions and a description, filled from files.
report: "../report/experiment.rst"


# the texts are templates that see `config` and nothing else
config["record"] = Record(experiment, lambda: rules.all.input)


def in_report(category, name, format):
    """Say where the report shows a file."""
    return dict(category=category, labels={"name": name, "format": format}, caption="../report/result.rst")
