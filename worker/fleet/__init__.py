"""Many processes as one: the supervisor of one machine and what it starts."""
