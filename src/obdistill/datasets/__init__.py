"""Dataset stage: Minari, D4RL or own collection become one artifact."""
