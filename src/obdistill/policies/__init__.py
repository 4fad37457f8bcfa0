"""Policies trained on pairs: networks, the differentiable unroll, precision."""
