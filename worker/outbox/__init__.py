"""The outbox: the SQL on messages, their recipients and attempts is here, and nowhere else."""
