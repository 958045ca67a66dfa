"""The emulator of the gateway: what it takes, and with which code it refuses the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.emulator import IID, EmulatorProcess, order, sign
from worker.core.sms_text import Encoding, measure
from worker.eurosms_emulator import alphabet

NUMBER = 421903622237


@pytest.fixture(scope="module")
def gateway() -> Iterator[EmulatorProcess]:
    with EmulatorProcess() as process:
        yield process


@pytest.fixture(scope="module")
def poor_gateway() -> Iterator[EmulatorProcess]:
    with EmulatorProcess("--balance", "0.07") as process:
        yield process


def without(*names: str, **more: object) -> dict[str, object]:
    return {name: value for name, value in order(**more).items() if name not in names}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(without("iid"), "NO_IID", id="no integration"),
        pytest.param(order(iid="1-AAAAAA"), "WRONG_IID", id="another integration"),
        pytest.param(without("sgn"), "NO_SGN", id="no signature"),
        pytest.param(order(sgn="0" * 40), "WRONG_SIGNATURE", id="another signature"),
        pytest.param(order(sgn=17), "WRONG_SIGNATURE", id="a number for a signature"),
        pytest.param(
            order(sgn=sign("RZi", NUMBER, "Testovacia  sprava")), "WRONG_SIGNATURE", id="one space"
        ),
        pytest.param(without("sndr"), "NO_SNDR", id="no sender"),
        pytest.param(order(sndr=""), "NO_SNDR", id="an empty sender"),
        pytest.param(order(sndr="Čajovňa"), "WRONG_SENDER", id="an accented sender"),
        pytest.param(order(sndr="a_b"), "WRONG_SENDER", id="an underscore in the sender"),
        pytest.param(order(sndr="twelve chars"), "WRONG_SENDER", id="a sender of twelve"),
        pytest.param(order(sndr="+421903622237"), "WRONG_SENDER", id="a plus in the sender"),
        pytest.param(without("rcpt"), "NO_RCPT", id="no recipient"),
        pytest.param(without("txt"), "NO_TXT", id="no text"),
        pytest.param(order(text=""), "EMPTY_MESSAGE", id="an empty text"),
        pytest.param(order(text=" \n"), "EMPTY_MESSAGE", id="a blank text"),
        pytest.param(order(text="a" * 161, flgs=1), "MSG_TOO_LONG", id="long, and not allowed so"),
        pytest.param(order(text="ž" * 71, flgs=5), "MSG_TOO_LONG", id="long in UCS-2"),
        pytest.param(order(flgs=16), "ERR_OTHER", id="a flag that nobody names"),
        pytest.param(order(flgs="3"), "ERR_OTHER", id="flags as text"),
        pytest.param(order(flgs=128), "IM_NOT_ALLOWED", id="Viber by its flag"),
        pytest.param(order(im={"sndr": "x"}), "IM_NOT_ALLOWED", id="Viber by its object"),
        pytest.param(order(sch="2026-1-2 3:4"), "WRONG_SCH", id="a time without its zeros"),
        pytest.param(order(sch="tomorrow"), "WRONG_SCH", id="a time in words"),
        pytest.param(order(ttl=0), "ERR_OTHER", id="no validity"),
        pytest.param(order(rsp="long"), "ERR_OTHER", id="an unknown kind of answer"),
    ],
)
def test_a_mistake_gets_its_code(gateway, body, code):
    answer = gateway.call("v3/test/one", body)

    assert answer.status_code == 200
    assert answer.json()["err_code"] == code


@pytest.mark.parametrize(
    "number",
    [
        pytest.param("0903622237", id="a leading zero"),
        pytest.param("00421903622237", id="two leading zeros"),
        pytest.param("+421903622237", id="a plus"),
        pytest.param(903622237, id="a local form that lost its zero"),
        pytest.param(601123456, id="a Czech local form"),
        pytest.param(42190362, id="a Slovak number of eight digits"),
        pytest.param(4219036222371, id="a digit too many"),
        pytest.param(4930123, id="seven digits"),
        pytest.param(1234567890123456, id="sixteen digits"),
        pytest.param(421903622237.0, id="a fraction"),
        pytest.param(True, id="a truth"),
        pytest.param({"r": "0903622237", "f": "k"}, id="a leading zero in an object"),
        pytest.param([NUMBER], id="a list"),
    ],
)
def test_a_number_that_is_not_whole_and_international_is_wrong(gateway, number):
    given = number["r"] if isinstance(number, dict) else number

    body = order(number) | {"sgn": sign("RZi", given, "Testovacia sprava")}

    assert gateway.call("v3/test/one", body).json()["err_code"] == "WRONG_NUMBER"


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(NUMBER, id="a JSON number"),
        pytest.param(str(NUMBER), id="its digits as text"),
        pytest.param({"r": NUMBER, "f": "k"}, id="an object with an own key"),
        pytest.param(420601123456, id="a Czech number"),
        pytest.param(4915112345678, id="a German number"),
    ],
)
def test_a_whole_international_number_is_right(gateway, number):
    assert gateway.call("v3/test/one", order(number)).json()["err_code"] == "ENQUEUED"


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param("6f56060b6b7db97ca25782b771cca0a65077bd5b", id="SHA-1"),
        pytest.param("6F56060B6B7DB97CA25782B771CCA0A65077BD5B", id="SHA-1 in upper case"),
        pytest.param(sign("RZi", NUMBER, "Testovacia sprava", digest=hashlib.sha256), id="SHA-256"),
    ],
)
def test_either_digest_signs(gateway, signature):
    assert gateway.call("v3/test/one", order(sgn=signature)).json()["err_code"] == "ENQUEUED"


def test_what_is_not_json_is_refused_in_json(gateway):
    answer = gateway._http.post(f"{gateway.url}/api/v3/send/one", data=b'{"iid": ')

    assert (answer.status_code, answer.json()["err_code"]) == (400, "ERR_OTHER")


def test_the_full_answer_lists_every_mistake(gateway):
    body = order(42190362, sndr="a_b", sgn="0", rsp="full")

    answer = gateway.call("v3/send/one", body).json()

    assert answer["err_code"] == "FAILED"
    codes = [one["err_code"] for one in answer["err_list"]]
    assert codes == ["WRONG_SIGNATURE", "WRONG_NUMBER", "WRONG_SENDER"]


def test_a_dry_run_answers_the_same_and_keeps_nothing(gateway):
    before = gateway.figures()["figures"]

    answer = gateway.call("v3/test/one", order(text="a" * 161)).json()

    assert (answer["err_code"], len(answer["uuid"])) == ("ENQUEUED", 2)
    assert gateway.figures()["figures"] == before


@pytest.mark.parametrize(
    ("text", "flags", "shown", "segments"),
    [
        pytest.param("Príde o 5 €", 3, "Pr?de o 5 €", 1, id="diacritics without their flag"),
        pytest.param("Príde o 5 €", 7, "Príde o 5 €", 1, id="diacritics with it"),
        pytest.param("a" * 160, 3, "a" * 160, 1, id="160 septets"),
        pytest.param("a" * 159 + "€", 3, "a" * 159 + "€", 2, id="an escape makes it 161"),
        pytest.param("a" * 71, 7, "a" * 71, 2, id="71 units of UCS-2"),
        pytest.param("😀" * 36, 7, "😀" * 36, 2, id="surrogate pairs"),
    ],
)
def test_a_text_is_kept_as_the_phone_shows_it_with_a_uuid_for_each_segment(
    gateway, text, flags, shown, segments
):
    answer = gateway.send(text=text, flgs=flags)

    record = gateway.records()[-1]
    assert record["text"] == shown
    assert len(record["uuids"]) == segments
    assert answer["uuid"] == [uuid.upper() for uuid in record["uuids"]]


@given(st.text(st.sampled_from("aZ0 \n@Ñ€[]^~|žô😀𝄞"), min_size=1, max_size=320))
def test_the_gateway_and_the_product_count_segments_alike(text):
    measured = measure(text)

    flags = 7 if measured.encoding is Encoding.UCS2 else 3
    assert alphabet.segments(alphabet.as_delivered(text, flags), flags) == measured.segments


def test_the_same_own_key_is_taken_twice_and_counted(gateway):
    for _ in range(2):
        gateway.send({"r": NUMBER, "f": "twice"})

    counts = [one["times_accepted"] for one in gateway.records() if one["f"] == "twice"]
    assert counts == [2, 2]


def test_one_text_goes_to_many_numbers_in_a_group(gateway):
    people = [NUMBER, {"r": 420766121212, "f": "b"}, 42190362]

    full = gateway.call("v3/send/o2m", order(rcpts=people, rsp="full")).json()
    basic = gateway.call("v3/send/o2m", order(rcpts=people)).json()

    assert full["wrong_numbers"] == [{"r": 42190362}]
    assert [(one["r"], one.get("f")) for one in full["accepted"]] == [
        (NUMBER, None),
        (420766121212, "b"),
    ]
    assert basic == {"accepted": 2, "rejected": 1, "group_id": full["group_id"] + 1}


def test_numbers_that_are_all_wrong_make_a_refusal_with_their_list(gateway):
    answer = gateway.call("v3/send/o2m", order(rcpts=[42190362], rsp="full")).json()

    assert (answer["err_code"], answer["accepted"]) == ("FAILED", [])
    assert answer["wrong_numbers"] == [{"r": 42190362}]
    assert "group_id" not in answer


def test_many_texts_go_together_each_with_its_own_result(gateway):
    messages = [order(NUMBER), order({"r": 420766121212, "f": "b"}), order(42190362)]
    messages += [order(sgn="0"), order(ttl=600)]

    answer = gateway.call("v3/send/m2m", {"iid": IID, "msgs": messages, "rsp": "full"}).json()

    assert [one["e"] for one in answer["result"]] == [
        "ENQUEUED",
        "ENQUEUED",
        "WRONG_NUMBER",
        "WRONG_SIGNATURE",
        "ERR_OTHER",
    ]
    assert answer["result"][1]["f"] == "b"
    assert len(answer["result"][1]["i"]) == 1


def test_a_message_among_many_takes_the_sender_of_the_whole_and_signs_it(gateway):
    message = without("sndr", sndr="SHOP")

    answer = gateway.call("v3/send/m2m", {"iid": IID, "dsndr": "SHOP", "msgs": [message]}).json()

    assert (answer["accepted"], answer["rejected"]) == (1, 0)
    assert gateway.records()[-1]["sender"] == "SHOP"


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        pytest.param("send/m2m", {"iid": IID}, "NO_MSG", id="no messages"),
        pytest.param("send/m2m", {"iid": IID, "msgs": []}, "NO_MSG", id="none in the list"),
        pytest.param(
            "send/m2m",
            {"iid": IID, "msgs": [order()] * 1001},
            "TOO_MANY_MESSAGES",
            id="1001 texts",
        ),
        pytest.param(
            "send/o2m", order(rcpts=[NUMBER] * 1001), "TOO_MANY_MESSAGES", id="1001 numbers"
        ),
    ],
)
def test_a_request_for_many_has_bounds(gateway, path, body, code):
    assert gateway.call(f"v3/{path}", body).json()["err_code"] == code


def test_the_balance_goes_down_by_segment_and_network_until_nothing_is_left(poor_gateway):
    def balance() -> str:
        return str(poor_gateway.call(f"v2/balance?i={IID}").text)

    start = balance()
    orange = poor_gateway.send(421905000000)["err_code"]
    after = balance()
    too_dear = poor_gateway.send(421905000000, "a" * 161)["err_code"]
    tried = poor_gateway.call("v3/test/one", order(text="a" * 161)).json()["err_code"]
    poor_gateway.control("balance", {"add": "0.02"})
    topped_up = poor_gateway.send(421905000000, "a" * 161)["err_code"]

    assert (start, orange, after) == ("0.070 EUR\n", "ENQUEUED", "0.041 EUR\n")
    assert (too_dear, tried, topped_up) == ("NO_BALANCE", "NO_BALANCE", "ENQUEUED")
    assert balance() == "0.003 EUR\n"


def test_the_balance_of_an_unknown_integration_is_not_told(gateway):
    assert "BAD_INT" in gateway.call("v2/balance?i=1-AAAAAA").text


@pytest.mark.parametrize("path", ["v3/send/many", "v1/anything", "v3/status/one"])
def test_nobody_takes_an_answer_for_one_of_the_real_gateway(gateway, path):
    answer = gateway.call(path)
    welcome = gateway._http.get(gateway.url)

    for one in (answer, welcome):
        assert one.headers["X-Kadencia"] == "EMULATOR"
        assert one.headers["Server"].startswith("EMULATOR ")
    assert "This is an EMULATOR" in welcome.text


def test_another_method_is_refused(gateway):
    assert gateway.call("v3/send/one").status_code == 405
    assert gateway.call("v3/status/one/x", {}).status_code == 405
    assert gateway._http.put(f"{gateway.url}/api/v3/send/one").headers["X-Kadencia"] == "EMULATOR"
