"""PostgreSQL and Valkey out of wheels: their data directory and their processes."""
