"""Errors cross process borders, so each must survive pickling."""

from __future__ import annotations

import pickle

import pytest

from worker import errors
from worker.eurosms.wire import Unanswered
from worker.transports.wire import Lost


@pytest.mark.parametrize(
    "error",
    [
        errors.DeliveryError("something"),
        errors.TransportUnavailable("main", "421 4.7.0 try later", 30.0),
        errors.AuthenticationFailed("main", "auth: 535 5.7.8 no"),
        errors.GatewayUnavailable("main", "HTTP 502, no JSON"),
        errors.GatewayRefused("main", "WRONG_IID", "an unknown integration ID"),
        Lost("the server closed the connection", closed=True),
        Unanswered("the gateway closed the connection", sent=True, timed_out=False),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_out_of_pickling_as_it_went_in(error):
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


def test_an_error_says_who_is_unavailable_why_and_for_how_long():
    error = errors.TransportUnavailable("main", "421 try later", 30.0)

    assert str(error) == "main is unavailable: 421 try later (asked us to wait 30 s)"


def test_a_failed_log_in_is_handled_wherever_an_unavailable_server_is():
    assert issubclass(errors.AuthenticationFailed, errors.TransportUnavailable)
