"""Deadlocks that are proven while the program runs: `proof` looks, `graph` decides, `holders` and `outside` know."""
