"""Figures of the whole fleet, for the metrics: from PostgreSQL, and from Redis."""

from worker.figures.catalogue import Figure, Point
from worker.figures.day import Day
from worker.figures.of_database import Seen, of_database, schema
from worker.figures.of_redis import of_redis

__all__ = ["Day", "Figure", "Point", "Seen", "of_database", "of_redis", "schema"]
