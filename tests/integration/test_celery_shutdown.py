"""Celery's SIGTERM, when whoever read its output has died."""

from __future__ import annotations

import os
import subprocess
import sys

CHILD = """
import os, signal
from types import SimpleNamespace
from celery import signals
from celery.apps.worker import install_worker_term_handler
from celery.worker import state
from worker.app import app

signals.celeryd_init.send(sender="a@b.example", instance=None, conf=None, options={})
install_worker_term_handler(SimpleNamespace(hostname="a@b.example"))
os.kill(os.getpid(), signal.SIGTERM)
os._exit(0 if state.should_stop == 0 else 1)
"""


def test_a_celery_worker_stops_though_nobody_reads_what_it_says():
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run([sys.executable, "-c", CHILD], stdout=writer, check=False, timeout=60)

    os.close(writer)
    assert done.returncode == 0
