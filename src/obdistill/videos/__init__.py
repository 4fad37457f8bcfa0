"""Videos of policies at work."""
