"""Whether the process lives, and whether it can work."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from worker import db
from worker.api import shown
from worker.api.description import problems
from worker.api.messages import AtDesk
from worker.api.problems import Kind, Problem

router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="healthz", response_model=shown.Health)
async def lives() -> Any:
    """Tell that the process lives."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    operation_id="readyz",
    response_model=shown.Health,
    responses=problems(Kind.UNAVAILABLE),
)
def works(at: AtDesk) -> Any:
    """Tell whether the database can be reached and has this version's schema."""
    with at.engine.connect() as connection:
        found = db.schema_revision(connection)
    # A newer one is right too: the schema goes first when versions change, and only grows.
    if not found or found in at.older_revisions:
        words = f"the database has schema {found or 'none'}; run `kadencia migrate`"
        raise Problem(Kind.UNAVAILABLE, words)
    return {"status": "ok"}
