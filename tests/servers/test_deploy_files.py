"""The files of `deploy/`, each looked at by the tool that its readers use."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from settings import load
from tests.support.parsing import parse
from tests.support.process_table import wait_until
from tests.support.programs import program
from worker.fleet.worker import GRACE_SECONDS

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

EXPOSURE_MOST = 1.5
"""What systemd calls OK ends at 4.9; ours have 1.3."""

LONGEST_SECONDS = load({}).handover_max_seconds + GRACE_SECONDS


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    return done.returncode, done.stdout + done.stderr


def tool(name):
    """A program of the extra `checks`, beside our Python."""
    found = Path(sys.executable).with_name(name)
    if not found.exists():
        words = f"{name} is missing; install the extra `checks`"
        pytest.fail(words) if os.environ.get("CI") else pytest.skip(words)
    return str(found)


def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_hadolint_finds_nothing_in_the_dockerfile():
    assert run(tool("hadolint"), str(DEPLOY / "Dockerfile")) == (0, "")


def test_what_the_dockerfile_copies_is_there_and_let_through():
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    let = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]

    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
        assert any(name == one or name.startswith(f"{one}/") for one in let), name


@pytest.mark.parametrize(
    ("age_seconds", "code"),
    [
        pytest.param(None, 1, id="that has not begun"),
        pytest.param(60, 0, id="that works"),
        pytest.param(600, 1, id="that has stood still for ten minutes"),
    ],
)
def test_the_probe_tells_a_process(tmp_path, age_seconds, code):
    file = tmp_path / "alive"
    if age_seconds is not None:
        file.touch()
        os.utime(file, (time.time() - age_seconds,) * 2)

    found, _ = run(str(DEPLOY / "docker" / "alive"), env={"KADENCIA_ALIVE_FILE": str(file)})

    assert found == code


def test_the_compose_file_keeps_to_the_specification():
    words = ("--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml"))

    code, said = run(tool("check-jsonschema"), *words)

    assert code == 0, said


def test_every_container_is_hardened_and_bounded():
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys(), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_every_command_of_the_compose_file_is_ours_and_everything_it_names_is_there():
    whole = compose()
    ours = {n: s for n, s in whole["services"].items() if s["image"].startswith("kadencia:")}

    assert ours.keys() == {"migrate", "beat", "worker", "api", "push", "metrics", "flower"}
    for service in ours.values():
        parse(service["command"])
        files = {n: p for n, p in service["environment"].items() if n.endswith("_FILE")}
        for variable, path in files.items():
            assert path.startswith("/run/secrets/"), variable
            assert Path(path).name in service["secrets"], variable
    for service in whole["services"].values():
        assert set(service.get("secrets", [])) <= whole["secrets"].keys()
        assert {one["source"] for one in service.get("configs", [])} <= whole["configs"].keys()
    for one in whole["configs"].values():
        assert (DEPLOY / one["file"]).is_file()


def test_a_worker_in_a_container_has_the_time_of_the_longest_hand_over_to_end():
    services = compose()["services"]

    assert int(services["worker"]["stop_grace_period"].removesuffix("s")) > LONGEST_SECONDS
    assert services["beat"]["deploy"]["replicas"] >= 2


def test_the_api_believes_the_proxy_on_this_host_alone():
    whole = compose()

    believed = whole["services"]["api"]["environment"]["KADENCIA_API_PROXIES"]
    assert whole["networks"]["front"]["ipam"]["config"][0]["gateway"] == believed
    assert load({"KADENCIA_API_PROXIES": believed})


def test_the_secrets_are_made_once_and_fit_together(tmp_path):
    (tmp_path / "compose").mkdir()
    script = shutil.copy(DEPLOY / "compose" / "make-secrets", tmp_path / "compose")

    assert run(script) == (0, "")
    made = {file.name: file.read_text().strip() for file in (tmp_path / "secrets").iterdir()}
    assert run(script) == (0, "")

    assert {
        file.name: file.read_text().strip() for file in (tmp_path / "secrets").iterdir()
    } == made
    assert made.keys() == compose()["secrets"].keys()
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    files = {
        "DATABASE_URL_FILE": "database_url",
        "REDIS_URL_FILE": "redis_url",
        "KADENCIA_FLOWER_PASSWORD_FILE": "flower_password",
    }
    found = load({name: str(tmp_path / "secrets" / file) for name, file in files.items()})
    assert made["postgres_password"] in found.require_database_url()
    assert found.redis.password == made["redis_auth"].removeprefix("requirepass ")
    assert found.flower_password.get_secret_value() == made["flower_password"]
    from cryptography.fernet import Fernet

    Fernet(made["keys"])


@pytest.mark.parametrize(
    "unit", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda unit: unit.name
)
def test_systemd_calls_the_exposure_of_a_unit_small(unit):
    systemd = program("systemd-analyze", "systemd")

    _, said = run(systemd, "security", "--offline=true", str(unit))

    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found, said
    assert float(found[1]) <= EXPOSURE_MOST


@pytest.mark.parametrize(
    "unit", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda unit: unit.name
)
def test_the_command_of_a_unit_is_ours(unit):
    started = re.search(r"bin/kadencia (.+?)'?$", unit.read_text(), re.MULTILINE)

    assert started
    words = re.sub(r'"\$STATE".*', "file.tar", started[1].replace("%i", "main"))
    parse(words.split())


def test_prometheus_takes_its_configuration(tmp_path):
    promtool = program("promtool", "prometheus")
    shutil.copy(DEPLOY / "compose" / "prometheus.yml", tmp_path)
    shutil.copy(DEPLOY / "prometheus" / "kadencia.rules.yml", tmp_path)

    code, said = run(promtool, "check", "config", str(tmp_path / "prometheus.yml"))

    assert code == 0, said


def test_logs_are_rotated_while_they_are_written(tmp_path):
    logrotate = program("logrotate", "logrotate")
    log = tmp_path / "up.log"
    log.write_text("a line\n" * 1000)
    text = (DEPLOY / "logrotate" / "kadencia").read_text()
    ours = text.replace("/var/log/kadencia", str(tmp_path)).replace("su kadencia kadencia\n", "\n")
    (tmp_path / "logrotate").write_text(ours)

    with log.open("a") as kept:
        code, said = run(
            *(logrotate, "--force", "--state", str(tmp_path / "state"), str(tmp_path / "logrotate"))
        )
        kept.write("the next line\n")

    assert code == 0, said
    assert log.read_text() == "the next line\n"
    (old,) = tmp_path.glob("up.log-*")
    assert old.read_text() == "a line\n" * 1000


def test_postgresql_takes_its_settings(tmp_path):
    postgres = program("postgres", "postgresql-15")
    conf = DEPLOY / "postgresql" / "kadencia.conf"

    code, said = run(
        *(postgres, "-C", "log_min_error_statement", "-D", str(tmp_path)),
        *("-c", f"config_file={conf}"),
    )

    assert code == 0, said
    assert "panic" in said.splitlines()


def test_redis_takes_its_settings_and_its_password(tmp_path):
    import redis

    server = program("redis-server", "redis-server")
    (tmp_path / "auth").write_text("requirepass tajne-heslo\n")
    text = (DEPLOY / "redis" / "kadencia.conf").read_text()
    for theirs, ours in {
        "/run/secrets/redis_auth": str(tmp_path / "auth"),
        "dir /data": f"dir {tmp_path}",
        "port 6379": f"port 0\nunixsocket {tmp_path}/socket",
    }.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    (tmp_path / "redis.conf").write_text(text)
    process = subprocess.Popen([server, str(tmp_path / "redis.conf")], stdout=subprocess.DEVNULL)
    try:
        wait_until((tmp_path / "socket").exists, 20)
        client = redis.Redis(
            unix_socket_path=f"{tmp_path}/socket", password="tajne-heslo", decode_responses=True
        )
        assert client.ping()
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(unix_socket_path=f"{tmp_path}/socket").ping()
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize(
    "script",
    [DEPLOY / "docker" / "alive", DEPLOY / "compose" / "make-secrets", ROOT / "tools/lock-image"],
    ids=lambda script: script.name,
)
def test_a_script_is_one_that_the_shell_can_read_and_run(script):
    assert os.access(script, os.X_OK)
    assert run("sh", "-n", str(script)) == (0, "")


def test_no_secret_lies_in_the_files():
    words = re.compile(r"(?i)(password|passwd|secret|token)\s*[:=]\s*['\"]?[A-Za-z0-9+/]{12,}")

    texts = [file for file in DEPLOY.rglob("*") if file.suffix in (".yaml", ".yml", ".conf")]
    lines = itertools.chain.from_iterable(file.read_text().splitlines() for file in texts)
    assert [line for line in lines if words.search(line)] == []
