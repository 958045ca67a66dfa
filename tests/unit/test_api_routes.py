"""What must hold of every route of the API, the next one as well."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from models.tokens import Scope
from worker.api.app import make_api, routes
from worker.api.desk import Desk
from worker.api.gate import OPEN
from worker.api.problems import Kind
from worker.api.security import Require

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
WITHOUT_A_TOKEN = {"/healthz", "/readyz"}
SCOPES = {
    "emails": (Scope.EMAILS_READ, Scope.EMAILS_WRITE),
    "sms": (Scope.SMS_READ, Scope.SMS_WRITE),
    "attachments": (Scope.EMAILS_READ, Scope.EMAILS_WRITE),
    "webhooks": (Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE),
}
ROUTES = [route for route in routes() if route.path not in WITHOUT_A_TOKEN]


def name(route: APIRoute) -> str:
    return f"{' '.join(route.methods)} {route.path}"


def scopes_of(dependant) -> set[Scope]:
    own = {dependant.call.scope} if isinstance(dependant.call, Require) else set()
    return own.union(*(scopes_of(one) for one in dependant.dependencies))


@pytest.fixture(scope="module")
def description():
    api = make_api(Desk(None, None, None, frozenset()))
    return api.openapi()


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_every_route_needs_the_scope_of_what_it_does(route):
    reads, writes = SCOPES[route.path.split("/")[2]]

    assert scopes_of(route.dependant) == {reads if "GET" in route.methods else writes}


def test_only_the_description_and_the_health_need_no_token():
    assert {"/v1/openapi.json"} == OPEN
    assert all(route.path.startswith("/v1/") for route in ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_every_route_describes_its_problems_and_asks_for_a_token(route, description):
    path = description["paths"][route.path_format]
    for method in route.methods:
        described = path[method.lower()]
        assert {"401", "403", "429", "500", "503"} <= set(described["responses"])
        assert described["security"] == [{"token": []}]
        for status, answer in described["responses"].items():
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"]


def test_every_reference_of_the_description_leads_somewhere(description):
    def references(value):
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for one in value.values():
                yield from references(one)
        elif isinstance(value, list):
            for one in value:
                yield from references(one)

    for reference in set(references(description)):
        found = description
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_the_description_is_of_openapi_3_1(description):
    assert description["openapi"].startswith("3.1")
    assert description["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_the_page_lists_every_problem_with_its_status():
    told = re.findall(r"^\| `(/problems/[a-z-]+)` \| (\d+) \|", PAGE.read_text(), re.MULTILINE)

    assert sorted(told) == sorted((kind.type, str(kind.status)) for kind in Kind)
