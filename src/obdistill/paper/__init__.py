"""From returns to tables and figures."""
