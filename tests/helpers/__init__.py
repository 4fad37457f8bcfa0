"""What several tests use; no test imports a test."""
