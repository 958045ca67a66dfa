"""The world of the model, and the product's seams that lead into it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import structlog
from sqlalchemy import Engine

import worker.delivery
import worker.delivery.patience
import worker.recovery
import worker.transports.transaction
from tests.model.senders import CutDatabase, reach
from tests.model.world import World
from tests.support.services import Services


@pytest.fixture
def world(
    engine: Engine, services: Services, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """A world whose processes stop at each arrow and look at the planted clock."""
    quiet = structlog.make_filtering_bound_logger(50)
    before = structlog.get_config()
    with services.extra_valkey() as second:
        world = World(engine, [redis_url, second.url])
        monkeypatch.setattr(worker.delivery, "time", world.clock)
        monkeypatch.setattr(worker.delivery.patience, "time", world.clock)
        monkeypatch.setattr(worker.delivery, "reach", reach)
        monkeypatch.setattr(worker.transports.transaction, "reach", reach)
        monkeypatch.setattr(worker.delivery.sender, "time", world.clock)
        monkeypatch.setattr(worker.delivery.sender, "db", CutDatabase)
        monkeypatch.setattr(worker.delivery.patience, "db", CutDatabase)
        # Alarms move nothing.
        monkeypatch.setattr(worker.recovery, "alarms", SimpleNamespace(watch=lambda *_: None))
        structlog.configure(wrapper_class=quiet)
        try:
            yield world
        finally:
            structlog.configure(**before)
            world.close()
