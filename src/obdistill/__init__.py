"""Offline behavior distillation: a large offline-RL dataset becomes a handful of (state, action) pairs."""
