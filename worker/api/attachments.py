"""The route that takes files by themselves, for e-mails that will name them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from models.tokens import Scope
from worker.api import description, shown
from worker.api.messages import AtDesk
from worker.api.reading import invalid
from worker.api.requests import Asks, Octets
from worker.api.security import require
from worker.outbox import uploads

router = APIRouter(prefix="/v1/attachments", tags=["attachments"])


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(require(Scope.EMAILS_WRITE))],
    operation_id="attachments_upload",
    summary="Upload a file",
    response_model=shown.Uploaded,
    **description.upload(),
)
def upload(asks: Asks, at: AtDesk, content: Octets) -> Any:
    """Keep a file for a day at least; e-mails name it by what is answered."""
    if not content:
        raise invalid("", "the file is empty")
    with at.transaction(asks.who, len(content)) as connection:
        digest = uploads.keep(connection, asks.company_id, content)
    return {"attachment": digest.hex(), "size": len(content)}
