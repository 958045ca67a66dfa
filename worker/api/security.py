"""Who asks, and whether they may: tokens and scopes, as the routes need them.

    @router.get("/things")
    def things(
        principal: Annotated[Principal, Depends(require(Scope.WEBHOOKS_READ))],
        desk: Annotated[Desk, Depends(desk)],
    ) -> …:
        with desk.transaction(principal.who) as connection:
            …  # every query carries principal.company_id

Every route of the application must have such a dependency; a test goes through all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from models.tokens import Scope
from worker.api.problems import Kind, Problem

CHALLENGE = 'Bearer realm="kadencia"'
"""Of every answer that asks for a token (RFC 6750 section 3)."""

SCHEME = HTTPBearer(
    scheme_name="token",
    description="A token that `kadencia token create` made: kad_<id>_<secret>.",
    auto_error=False,
)
"""For the description; `worker.api.gate` has recognised the token by then."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The token that asks.

    Attributes:
        company_id: the only company whose rows it may see or make.
        token_id: its own id.
        who: for the audit log.
        scopes: what it allows.
    """

    company_id: int
    token_id: int
    who: str
    scopes: frozenset[str]


class Require:
    """A dependency: the principal, if its token has the scope.

    Args:
        scope: what the route needs.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(
        self,
        request: Request,
        _bearer: HTTPAuthorizationCredentials | None = Security(SCHEME),  # noqa: B008
    ) -> Principal:
        """The principal.

        Raises:
            Problem: there is none, or its token lacks the scope.
        """
        principal = getattr(request.state, "principal", None)
        if not isinstance(principal, Principal):
            raise token_needed()
        if self.scope not in principal.scopes:
            challenge = f'{CHALLENGE}, error="insufficient_scope", scope="{self.scope}"'
            raise Problem(
                Kind.SCOPE_MISSING,
                f"the token lacks the scope {self.scope}; make one that has it",
                headers={"WWW-Authenticate": challenge},
            )
        return principal


def require(scope: Scope) -> Require:
    """What a route depends on that needs a scope."""
    return Require(scope)


def token_needed() -> Problem:
    """The answer to whoever shows no token that is valid."""
    return Problem(
        Kind.TOKEN_NEEDED,
        "send Authorization: Bearer with a token that is neither expired nor revoked",
        headers={"WWW-Authenticate": CHALLENGE},
    )
