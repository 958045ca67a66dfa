"""The emulator of the gateway: how it starts, stops, and goes on from its records."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys

import pytest
import requests

from tests.support.emulator import IID, EmulatorProcess, order, sign
from worker.eurosms_emulator.server import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--listen", "0.0.0.0:0"], "0.0.0.0 is not loopback", id="all addresses"),
        pytest.param(["--listen", "192.0.2.1:80"], "is not loopback", id="another address"),
        pytest.param(["--listen", "gw.example:80"], "is not loopback", id="a name"),
        pytest.param(["--listen", ":8080"], "every address is not loopback", id="no address"),
        pytest.param(["--listen", "127.0.0.1"], "is not HOST:PORT", id="no port"),
        pytest.param(["--listen", "127.0.0.1:70000"], "is not HOST:PORT", id="no such port"),
        pytest.param(
            ["--push-url", "http://shop.example/x"], "not a URL on loopback", id="a push elsewhere"
        ),
        pytest.param(["--push-url", "ftp://127.0.0.1/"], "not a URL on loopback", id="by FTP"),
        pytest.param(["--fault", "sulk"], "is no fault; choose from", id="an unknown fault"),
        pytest.param(["--fault", "slow:times=x"], "no value for 'times'", id="a fault x times"),
        pytest.param(["--fault", "slow:speed=1"], "has no 'speed'", id="a fault with a speed"),
        pytest.param(["--balance", "much"], "no amount in EUR", id="no amount"),
        pytest.param(["--refusal-status", "500"], "neither 200 nor 400", id="no refusal"),
        pytest.param(["--report-after", "-1"], "must be 0 or more", id="a report of the future"),
    ],
)
def test_bad_options_are_refused_with_a_reason(arguments, words, capsys):
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_help_shows_magic_numbers_faults_and_examples(capsys):
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    for words in ("…01  UNDELIV", "drop-after-accept send/*", "42190…    231.1  0.029"):
        assert words in told


def test_a_port_that_is_taken_is_said_in_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--listen", f"127.0.0.1:{port}"]) == 1

    error = capsys.readouterr().err
    assert error.startswith(f"kadencia: eurosms-emulator cannot listen on 127.0.0.1:{port}, ")
    assert error.count("\n") == 1


def test_records_that_cannot_be_written_are_said_in_one_line(capsys):
    assert main(["--records", "/no/records"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_records_of_something_else_are_not_taken_for_its_own(tmp_path, capsys):
    other = tmp_path / "notes.txt"
    other.write_text("buy milk\n")

    assert main(["--records", str(other)]) == 1
    assert "line 1" in capsys.readouterr().err
    assert other.read_text() == "buy milk\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_while_a_connection_is_kept_open(number):
    with EmulatorProcess() as gateway:
        gateway.send()

        assert gateway.halt(number) == 0


def test_it_tells_each_sms_that_is_delivered():
    command = [sys.executable, "-m", "worker.eurosms_emulator", "--report-after", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["emulator"]
        with EmulatorProcess() as caller:
            caller._http.post(f"{url}/api/v3/send/one", json=order(text="Dobrý deň", flgs=5))
        line = process.stdout.readline()
    finally:
        process.terminate()
        process.communicate(timeout=10)

    assert line.endswith(" DELIVRD 421903622237 from RZi: 'Dobrý deň'\n")


def test_a_killed_gateway_goes_on_with_everything_it_knew():
    with EmulatorProcess("--balance", "1", "--report-after", "3600") as gateway:
        gateway.send({"r": 421905000000, "f": "one"})
        group = gateway.call("v3/send/o2m", order(rcpts=[421905000000])).json()["group_id"]
        first = gateway.changed("trxid-a1")
        gateway.forward(3600)
        before, clock = gateway.records(), gateway.figures()["now"]

        gateway.restart(signal.SIGKILL)

        assert gateway.records() == before
        assert gateway.figures()["now"] >= clock
        assert gateway.call(f"v2/balance?i={IID}").text == "0.942 EUR\n"
        assert gateway.changed("trxid-a1") == first
        assert [one["dlr"] for one in gateway.changed("trxid-a2")] == ["DELIVRD", "DELIVRD"]
        path = f"v3/status/group/{IID}/{group}/{sign(group)}"
        assert gateway.call(path).json()["count"] == 1
        assert gateway.call("v3/send/o2m", order(rcpts=[421905000000])).json()["group_id"] > group


def test_an_sms_is_written_down_before_it_is_answered():
    with EmulatorProcess(faults=["slow:seconds=30"]) as gateway:
        with pytest.raises(requests.Timeout):
            gateway._http.post(f"{gateway.url}/api/v3/send/one", json=order(), timeout=0.5)
        gateway.halt(signal.SIGKILL)

        assert [one["number"] for one in gateway.written()] == ["421903622237"]


def test_a_line_that_a_kill_has_torn_is_forgotten():
    with EmulatorProcess() as gateway:
        gateway.send()
        gateway.halt(signal.SIGKILL)
        with gateway.records_path.open("a") as file:
            file.write('{"event": "accepted", "key')
        gateway.start()
        gateway.send()

        assert len(gateway.records()) == len(gateway.written()) == 2


def test_a_fast_clock_reaches_the_seventh_day_by_itself():
    with EmulatorProcess("--days-per-second", "100", "--report-after", "60") as gateway:
        uuid = gateway.send()["uuid"][0]
        gateway.until(lambda _: gateway.call(f"v3/status/one/{uuid}").json()["err_code"] != "OK")

        assert gateway.changed("trxid-a1") == []
