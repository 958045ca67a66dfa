"""Where a webhook may lead: nowhere into our own networks, however it is written."""

from __future__ import annotations

import ipaddress

import pytest

from worker.core.content import ContentError
from worker.core.webhook_addresses import (
    REFUSED,
    URL_CHARACTERS_MAX,
    Target,
    parse_networks,
    read_url,
    refusal,
)

INNER = parse_networks("10.8.0.0/16, fd12::/16")
PUBLIC = Target("https", "prijem.firma.example", 443, "/")


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("0.0.0.0", id="this host"),
        pytest.param("0.1.2.3", id="this network"),
        pytest.param("10.0.0.1", id="private, ten"),
        pytest.param("100.64.0.1", id="a provider's inner network"),
        pytest.param("100.100.100.200", id="metadata of Alibaba"),
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("127.255.255.254", id="the end of loopback"),
        pytest.param("168.63.129.16", id="metadata of Azure"),
        pytest.param("169.254.169.254", id="metadata of most clouds"),
        pytest.param("169.254.170.2", id="credentials of containers"),
        pytest.param("172.16.0.1", id="private, from 172.16"),
        pytest.param("172.31.255.255", id="private, to 172.31"),
        pytest.param("192.0.0.192", id="metadata of Oracle"),
        pytest.param("192.0.2.1", id="documentation"),
        pytest.param("192.88.99.1", id="relay of 6to4"),
        pytest.param("192.168.1.1", id="private, a router"),
        pytest.param("198.18.0.1", id="tests of networks"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("233.252.0.1", id="multicast for documentation"),
        pytest.param("240.0.0.1", id="reserved"),
        pytest.param("255.255.255.255", id="broadcast"),
        pytest.param("::", id="this host in IPv6"),
        pytest.param("::1", id="loopback in IPv6"),
        pytest.param("::127.0.0.1", id="an IPv4-compatible address"),
        pytest.param("::ffff:127.0.0.1", id="loopback as a mapped address"),
        pytest.param("::ffff:8.8.8.8", id="a public address as a mapped one"),
        pytest.param("::ffff:0:127.0.0.1", id="a translated address"),
        pytest.param("64:ff9b::7f00:1", id="loopback behind NAT64"),
        pytest.param("64:ff9b:1::a00:1", id="private behind a local NAT64"),
        pytest.param("100::1", id="discarded"),
        pytest.param("2001::7f00:1", id="Teredo"),
        pytest.param("2001:10::1", id="ORCHID"),
        pytest.param("2001:db8::1", id="documentation in IPv6"),
        pytest.param("2002:7f00:1::1", id="loopback in 6to4"),
        pytest.param("2002:a00:1::1", id="private in 6to4"),
        pytest.param("fc00::1", id="unique-local"),
        pytest.param("fd00:ec2::254", id="metadata of AWS in IPv6"),
        pytest.param("fd20:ce::254", id="metadata of Google in IPv6"),
        pytest.param("fe80::1", id="link-local in IPv6"),
        pytest.param("fec0::1", id="site-local"),
        pytest.param("ff02::1", id="multicast in IPv6"),
        pytest.param("4000::1", id="outside of what is given out"),
    ],
)
def test_no_address_that_is_not_public_is_connected_to(address):
    why = refusal(PUBLIC, ipaddress.ip_address(address), [])

    assert why is not None
    assert why.startswith("leads to ")


@pytest.mark.parametrize("address", ["8.8.8.8", "193.87.0.1", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_may_be_told(address):
    assert refusal(PUBLIC, ipaddress.ip_address(address), []) is None
    assert refusal(PUBLIC, ipaddress.ip_address(address), INNER) is None


@pytest.mark.parametrize(("network", "what"), REFUSED, ids=[network for network, _ in REFUSED])
def test_both_ends_of_each_refused_network_are_refused(network, what):
    net = ipaddress.ip_network(network)

    assert refusal(PUBLIC, net[0], []) == refusal(PUBLIC, net[-1], []) == f"leads to {what}"


def test_what_an_administrator_allows_may_be_told_by_http_and_at_any_port():
    plain = Target("http", "sklad.firma.example", 8080, "/")

    assert refusal(plain, ipaddress.ip_address("10.8.0.7"), INNER) is None
    assert refusal(plain, ipaddress.ip_address("fd12::7"), INNER) is None
    assert refusal(plain, ipaddress.ip_address("10.9.0.7"), INNER) == "leads to a private network"


@pytest.mark.parametrize(
    ("target", "why"),
    [
        pytest.param(Target("http", "a.example", 80, "/"), "is not https", id="in the clear"),
        pytest.param(
            Target("https", "a.example", 22, "/"), "names port 22, not 443 or 8443", id="ssh"
        ),
    ],
)
def test_nobody_in_public_is_told_in_the_clear_or_at_an_unusual_port(target, why):
    assert refusal(target, ipaddress.ip_address("8.8.8.8"), []) == why
    assert refusal(target, ipaddress.ip_address("8.8.8.8"), INNER) == why


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://127.0.0.1/", id="loopback"),
        pytest.param("https://2130706433/", id="loopback as one number"),
        pytest.param("https://0x7f000001/", id="loopback in hex"),
        pytest.param("https://0x7f.0.0.1/", id="loopback, one part in hex"),
        pytest.param("https://0177.0.0.1/", id="loopback in octal"),
        pytest.param("https://017700000001/", id="loopback as one octal number"),
        pytest.param("https://127.1/", id="loopback in two parts"),
        pytest.param("https://127.0.1/", id="loopback in three parts"),
        pytest.param("https://1.2.3.4.5/", id="five parts"),
        pytest.param("https://999.1.1.1/", id="a part over 255"),
        pytest.param("https://name.0x/", id="an empty number in hex"),
        pytest.param("https://127.0.0.1./", id="loopback with a final dot"),
        pytest.param("https://0.0.0.0/", id="this host"),
        pytest.param("https://0/", id="zero"),
        pytest.param("https://[::1]/", id="loopback in IPv6"),
        pytest.param("https://[::ffff:127.0.0.1]/", id="a mapped address"),
        pytest.param("https://[0:0:0:0:0:ffff:7f00:1]/", id="a mapped address in full"),
        pytest.param("https://[fe80::1%25eth0]/", id="a zone"),
        pytest.param("https://[fe80::1%eth0]/", id="a zone without escape"),
        pytest.param("https://[::1", id="a bracket that is not closed"),
        pytest.param("https://１２７.０.０.１/", id="wide digits"),
        pytest.param("https://①②⑦.⓪.⓪.①/", id="digits in circles"),
        pytest.param("https://127。0。0。1/", id="wide dots"),
        pytest.param("https://169.254.169.254/latest/meta-data/", id="metadata"),
        pytest.param("https://jana:heslo@firma.example/", id="a password"),
        pytest.param("https://firma.example@127.0.0.1/", id="a user's name that looks like a host"),
        pytest.param("https://firma.example:80/", id="a port that is not usual"),
        pytest.param("https://firma.example:0/", id="port zero"),
        pytest.param("https://firma.example:99999/", id="no such port"),
        pytest.param("https://firma.example:1x/", id="a port that is no number"),
        pytest.param("http://firma.example/", id="in the clear"),
        pytest.param("file:///etc/passwd", id="a file"),
        pytest.param("gopher://firma.example/", id="another scheme"),
        pytest.param("//firma.example/", id="no scheme"),
        pytest.param("firma.example/stav", id="no URL"),
        pytest.param("https:///stav", id="no host"),
        pytest.param("https://firma.example\\@127.0.0.1/", id="a backslash"),
        pytest.param("https://firma.example/a b", id="a space"),
        pytest.param("https://firma.example/\r\nHost: x", id="a line's end"),
        pytest.param("https://firma.example/#x", id="a fragment"),
        pytest.param("https://-firma.example/", id="a hyphen first"),
        pytest.param("https://firma..example/", id="an empty label"),
        pytest.param("https://fir ma.example/", id="a space in the host"),
        pytest.param("https://xn--\u0301.example/", id="no such international name"),
        pytest.param(f"https://{'a' * 64}.{'b' * 200}.example/", id="a name that is too long"),
        pytest.param(f"https://firma.example/{'a' * URL_CHARACTERS_MAX}", id="too long"),
    ],
)
def test_a_url_that_leads_astray_is_refused_before_anything_is_looked_up(url):
    with pytest.raises(ContentError) as refused:
        read_url(url, [])

    assert refused.value.where == "url"
    assert refused.value.mend


@pytest.mark.parametrize(
    ("url", "target"),
    [
        pytest.param(
            "https://Prijem.Firma.example./stav?x=1",
            Target("https", "prijem.firma.example", 443, "/stav?x=1"),
            id="capitals and a final dot",
        ),
        pytest.param(
            "https://účty.firma.example:8443",
            Target("https", "xn--ty-qka0f.firma.example", 8443, "/"),
            id="an international name",
        ),
        pytest.param(
            "https://[2606:4700::1111]/", Target("https", "2606:4700::1111", 443, "/"), id="IPv6"
        ),
        pytest.param(
            "https://8.8.8.8/?a", Target("https", "8.8.8.8", 443, "/?a"), id="a public address"
        ),
    ],
)
def test_a_url_is_read_in_one_form(url, target):
    assert read_url(url, []) == target


def test_with_allowed_networks_a_name_is_judged_by_its_address_alone():
    assert read_url("http://sklad:8080/", INNER) == Target("http", "sklad", 8080, "/")
    assert read_url("http://10.8.0.7:8080/", INNER) == Target("http", "10.8.0.7", 8080, "/")
    with pytest.raises(ContentError, match="loopback"):
        read_url("http://127.0.0.1:8080/", INNER)


@pytest.mark.parametrize(
    ("target", "authority"),
    [
        (Target("https", "a.example", 443, "/"), "a.example"),
        (Target("https", "a.example", 8443, "/"), "a.example:8443"),
        (Target("http", "a.example", 80, "/"), "a.example"),
        (Target("https", "2606:4700::1111", 443, "/"), "[2606:4700::1111]"),
    ],
    ids=["usual port", "another port", "http", "IPv6"],
)
def test_the_host_is_named_to_the_receiver_as_its_url_names_it(target, authority):
    assert target.authority == authority
