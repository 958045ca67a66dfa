"""The emulator of the gateway: what it reports of each SMS, when, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.support.emulator import IID, EmulatorProcess, order, sign

WEEK = 7 * 86_400.0
AN_HOUR = "3600"


@pytest.fixture(scope="module")
def slow_gateway() -> Iterator[EmulatorProcess]:
    """One whose clock a test puts forward: an hour passes between sending and delivery."""
    with EmulatorProcess("--report-after", AN_HOUR) as process:
        yield process


@pytest.fixture
def gateway(slow_gateway) -> EmulatorProcess:
    """The same with nothing left to report and nothing wrong."""
    slow_gateway.misbehave()
    slow_gateway.forward(WEEK + 1)
    return slow_gateway


def statuses(reports: list[dict[str, object]]) -> list[object]:
    return [one["dlr"] for one in reports]


def test_a_change_is_reported_once(gateway):
    gateway.send({"r": 421903622237, "f": "mine"})

    on_its_way = gateway.changed("trxid-a1")
    nothing_new = gateway.changed("trxid-a2")
    gateway.forward(3600)
    delivered = gateway.changed("trxid-a3")

    assert (statuses(on_its_way), nothing_new, statuses(delivered)) == (
        ["ENROUTE"],
        [],
        ["DELIVRD"],
    )
    assert [one["f"] for one in on_its_way + delivered] == ["mine", "mine"]


def test_the_same_trxid_gets_the_same_reports_again(gateway):
    gateway.send()

    first = gateway.changed("trxid-b1")
    gateway.forward(3600)
    again = gateway.changed("trxid-b1")

    assert statuses(first) == ["ENROUTE"]
    assert again == first
    assert statuses(gateway.changed("trxid-b2")) == ["DELIVRD"]


def test_two_askers_share_what_there_is(gateway):
    for _ in range(2):
        gateway.send()
        gateway.forward(1)

    taken = [len(gateway.changed(name)) for name in ("trxid-c1", "trxid-c2")]

    assert taken == [2, 0]


def test_a_report_has_all_its_fields_in_local_time_and_lower_case(gateway):
    answer = gateway.send({"r": 421905000000, "f": "k"}, "a" * 161)
    gateway.forward(3600)

    first, second = gateway.changed("trxid-d1")

    sent = datetime.fromisoformat(first.pop("snd"))
    delivered = datetime.fromisoformat(first.pop("dlr_time"))
    assert first == {
        "rcpt": 421905000000,
        "carrier": "231.1",
        "price": 0.029,
        "i": answer["uuid"][0].lower(),
        "f": "k",
        "sgmnt": 1,
        "dlr": "DELIVRD",
    }
    assert (second["i"], second["sgmnt"]) == (answer["uuid"][1].lower(), 2)
    assert (delivered.second, sent.tzinfo) == (0, None)
    assert gateway.figures()["now"][:10] == f"{sent:%Y-%m-%d}" or sent.hour == 23


def test_statuses_are_kept_for_seven_days_after_sending_and_then_lost(gateway):
    uuid = gateway.send()["uuid"][0]

    gateway.forward(WEEK - 60)
    kept = gateway.call(f"v3/status/one/{uuid}").json()
    gateway.forward(120)
    lost = gateway.call(f"v3/status/one/{uuid}").json()

    assert (kept["dlr"], lost["err_code"]) == ("DELIVRD", "ERR_NO_SUCH_UUID")
    assert gateway.changed("trxid-e1") == []


@pytest.mark.parametrize(
    ("ending", "first", "last"),
    [
        pytest.param("01", "UNDELIV", "UNDELIV", id="undeliverable"),
        pytest.param("02", "EXPIRED", "EXPIRED", id="expired"),
        pytest.param("03", "REJECTD", "REJECTD", id="refused by the operator"),
        pytest.param("04", "UNKNOWN", "DELIVRD", id="unknown at first, then delivered"),
        pytest.param("05", "ACCEPTD", "ACCEPTD", id="never a final status"),
        pytest.param("06", "DELETED", "DELETED", id="deleted"),
        pytest.param("07", "UNKNOWN", "UNKNOWN", id="unknown for good"),
        pytest.param("09", "DELIVRD", "SEEN", id="read after it was delivered"),
        pytest.param("10", "DELIVRD", "DELIVRD", id="any other number"),
    ],
)
def test_the_last_digits_of_a_number_decide_what_becomes_of_it(gateway, ending, first, last):
    uuid = gateway.send(int("4219036222" + ending))["uuid"][0]

    seen = []
    for _ in range(2):
        gateway.forward(3600)
        seen.append(gateway.call(f"v3/status/one/{uuid}").json()["dlr"])

    assert seen == [first, last]


def test_the_last_segment_alone_can_be_lost(gateway):
    gateway.send(421903622208, "a" * 161)

    gateway.forward(3600)

    assert statuses(gateway.changed("trxid-f1")) == ["DELIVRD", "UNDELIV"]


def test_without_its_flag_no_receipt_ever_comes(gateway):
    gateway.send(flgs=2)

    gateway.forward(7200)

    assert statuses(gateway.changed("trxid-g1")) == ["ACCEPTD"]


def test_an_sms_for_later_leaves_later(gateway):
    now = datetime.fromisoformat(gateway.figures()["now"])
    gateway.send(sch=f"{now + timedelta(days=10):%Y-%m-%d %H:%M}")

    too_early = gateway.changed("trxid-h1")
    gateway.forward(11 * 86_400)

    assert (too_early, statuses(gateway.changed("trxid-h2"))) == ([], ["DELIVRD"])


def test_a_group_is_spread_over_the_time_that_was_asked_for(gateway):
    gateway.call("v3/send/o2m", order(rcpts=[421903622237, 421903622238], dur="02:00"))

    first = gateway.changed("trxid-i1")
    gateway.forward(3600)
    second = gateway.changed("trxid-i2")

    assert (statuses(first), statuses(second)) == (["ENROUTE"], ["DELIVRD", "ENROUTE"])


def test_a_group_is_reported_once_beside_the_others(gateway):
    group = gateway.call("v3/send/o2m", order(rcpts=[421903622237])).json()["group_id"]
    gateway.forward(3600)
    path = f"v3/status/group/{IID}/{group}/{sign(group)}"

    answers = [gateway.call(path).json() for _ in range(2)]

    assert [statuses(one["dlrs"]) for one in answers] == [["DELIVRD"], []]
    assert statuses(gateway.changed("trxid-j1")) == ["DELIVRD"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        pytest.param(f"any/{IID}/trxid-k1/{'0' * 40}", "WRONG_SIGNATURE", id="not signed so"),
        pytest.param(f"any/{IID}/trxid-k1", "NO_SGN", id="not signed"),
        pytest.param(f"any/1-AAAAAA/trxid-k1/{sign('trxid-k1')}", "WRONG_IID", id="not known"),
        pytest.param(f"any/{IID}/trxid-7/{sign('trxid-7')}", "ERR_OTHER", id="seven characters"),
        pytest.param(f"any/{IID}/{'x' * 65}/{sign('x' * 65)}", "ERR_OTHER", id="sixty-five"),
        pytest.param(f"group/{IID}/17/{sign(17)}", "ERR_OTHER", id="a group of nobody"),
        pytest.param(f"group/{IID}/²/{sign('²')}", "ERR_OTHER", id="a group without a number"),
        pytest.param(f"group/{IID}/17/{sign(18)}", "WRONG_SIGNATURE", id="signed for another"),
    ],
)
def test_who_asks_for_reports_must_sign(gateway, path, code):
    assert gateway.call(f"v3/status/{path}").json()["err_code"] == code


def test_a_report_can_be_late_though_the_sms_was_not(gateway):
    gateway.misbehave({"kind": "late", "seconds": 7200})
    gateway.send()

    gateway.forward(3600)
    too_early = gateway.changed("trxid-l1")
    gateway.forward(7200)
    (late,) = gateway.changed("trxid-l2")

    assert too_early == []
    took = datetime.fromisoformat(late["dlr_time"]) - datetime.fromisoformat(late["snd"])
    assert late["dlr"] == "DELIVRD"
    assert took.total_seconds() <= 3600


def test_a_report_can_come_twice(gateway):
    gateway.misbehave({"kind": "doubled", "number": "421903622237"})
    gateway.send()
    gateway.forward(3600)

    answers = [gateway.changed(f"trxid-m{turn}") for turn in range(3)]

    assert [statuses(one) for one in answers] == [["DELIVRD"], ["DELIVRD"], []]


def test_reports_can_come_out_of_order(gateway):
    gateway.misbehave({"kind": "out-of-order"})
    gateway.send()
    gateway.forward(3 * 3600)

    assert statuses(gateway.changed("trxid-n1")) == ["DELIVRD", "ACCEPTD", "ENROUTE"]


@pytest.mark.parametrize("shape", ["flat", "list", "nested"])
def test_one_status_has_the_shape_that_was_chosen(shape):
    with EmulatorProcess("--status-shape", shape, "--report-after", "0") as gateway:
        uuids = gateway.send({"r": 421903622237, "f": "k"}, "a" * 161)["uuid"]
        answer = gateway.call(f"v3/status/one/{uuids[1]}").json()
        unknown = gateway.call("v3/status/one/60c525e2-b28a-4e92-9a0f-58dacfa23a86").json()

    if shape == "flat":
        assert (answer["sgmnt"], answer["dlr"], answer["err_code"]) == (2, "DELIVRD", "OK")
    elif shape == "list":
        assert [(one["sgmnt"], one["dlr"]) for one in answer] == [(1, "DELIVRD"), (2, "DELIVRD")]
    else:
        assert [(one["sgmnt"], one["dlr"]) for one in answer["dlrs"]] == [
            (1, "DELIVRD"),
            (2, "DELIVRD"),
        ]
        assert (answer["f_id"], "dlr" in answer) == ("k", False)
    assert unknown == [] if shape == "list" else unknown["err_code"] == "ERR_NO_SUCH_UUID"
