"""The Celery application and everything that sends."""
