"""What every stage is built on: settings, files, seeds, units, environments, logs."""
