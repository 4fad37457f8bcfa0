"""Near-expert stage: offline RL or an imported checkpoint become one artifact."""
