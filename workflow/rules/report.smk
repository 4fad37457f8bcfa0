# What `make report` shows beside tables and figures: captions and a description, filled from files.
report: "../report/experiment.rst"


# the texts are templates that see `config` and nothing else
config["record"] = Record(experiment, lambda: rules.all.input)


def shown(category, name):
    """Put a file into the report."""
    return dict(category=category, labels={"name": name}, caption="../report/result.rst")
