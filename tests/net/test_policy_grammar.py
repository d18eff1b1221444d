"""The grammar of rules and targets: what is read, what is refused, and that nothing else is ever raised."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.errors import NotPermitted
from serverless_wasm.net.policy import Rule, Target

# Spellings that getaddrinfo turns into an address, and forms that other proxies were fooled by.
MISSPELT = b"""
127.1:80 127.0.1:80 0:80 0x7f000001:80 0X7F.1:80 0x:80 017700000001:80 0177.0.0.1:80 2130706433:80
127.0.0.01:80 127.0.0.256:80 1.2.3.4.5:80 4294967296:80 0x7f.0.0.1:80 127.0.0.1..:80 a.127.0.0.1:80
[fe80::1%25lo]:80 [fe80::1%lo]:80 [example.com]:80 [127.0.0.1]:80 []:80 [::1:80 ::1]:80 ::1:80 [::1] [::1]80
[[::1]]:80 [::1]]:80 [:::1]:80 [1::2::3]:80 [0x7f]:80 [::1]:080 10.0.0.0/8:80 [::1]/128:80 [::1/128]:80
/var/run/docker.sock unix:/var/run/docker.sock user@host:80 allowed.com@127.0.0.1:80 user:password@host:80
http://allowed.com:80 //allowed.com:80 allowed.com:80/path allowed.com:80# allowed.com#:80 allowed.com:80?x
: :80 host host: host:0 host:65536 host:-1 host:080 host:+80 host:8_0 host:0x50 host:80:80 host:http
host:99999999999999999999 *:80 *.allowed.com:80 .:80 ..:80 .host:80 host..:80 a..b:80 -host:80 host-:80
a.-b.c:80 a.b-.c:80 host%00:80 host%2e:80 host\\:80 {a,b}:80 $host:80 a,b:80
"""
NO_TARGETS = (
    *MISSPELT.split(),
    *(
        b"",
        b"a b:80",
        b" host:80",
        b"host :80",
        b"host: 80",
        b"host:80 ",
        b"host:80\n",
        b"host\n:80",
        b"\nhost:80",
    ),
    *(b"host\t:80", b"host\r\nX: y:80", b"host\x00:80", b"host:80\x00", b"host\x00.allowed.com:80"),
    *("127。0。0。1:80".encode(), "①②⑦.0.0.1:80".encode(), "\uff11\uff12\uff17.0.0.1:80".encode()),
    *("127.0.0.1:\uff18\uff10".encode(), "h\xf6st:80".encode(), "\u212aelvin:80".encode(), b"h\xffst:80"),
    *(
        b"a" * 64 + b":80",
        b"a." * 126 + b"aa:80",
        b"a" * 300 + b":80",
        b"a" * 10_000_000,
        b"host:" + b"9" * 300,
    ),
)


# Rules


@pytest.mark.parametrize(
    ("entry", "canonical"),
    [
        ("tcp://127.0.0.1:6379", "tcp://127.0.0.1:6379"),
        ("TCP://LocalHost.:6379", "tcp://localhost:6379"),
        ("http://example.com", "http://example.com:80"),
        ("https://example.com", "https://example.com:443"),
        ("postgres://db", "postgres://db:5432"),
        ("mysql://db", "mysql://db:3306"),
        ("redis://db", "redis://db:6379"),
        ("mqtt://db", "mqtt://db:1883"),
        ("*://*:*", "*://*:*"),
        ("*://example.com:1..65536", "*://example.com:*"),
        ("tcp://*.Example.com:8000..8010", "tcp://*.example.com:8000..8010"),
        ("tcp://a:80..81", "tcp://a:80"),
        ("tcp://[::1]:80", "tcp://[::1]:80"),
        ("tcp://[0:0::0:1]:80", "tcp://[::1]:80"),
        ("tcp://10.0.0.0/8:80", "tcp://10.0.0.0/8:80"),
        ("tcp://[fc00::]/7:80", "tcp://[fc00::]/7:80"),
        ("tcp://[fc00::/7]:80", "tcp://[fc00::]/7:80"),
        ("tcp://my_cache:6379", "tcp://my_cache:6379"),
        ("tcp://xn--bcher-kva.example:80", "tcp://xn--bcher-kva.example:80"),
    ],
)
def test_rule_is_read(entry: str, canonical: str) -> None:
    """Every form of the grammar is read, and written in one canonical form that reads the same."""
    rule = Rule.parse(entry)

    assert canonical == str(rule)
    assert rule == Rule.parse(canonical)


@pytest.mark.parametrize(
    ("entry", "advice"),
    [
        ("", "write scheme://host:port"),
        ("127.0.0.1:6379", "write scheme://host:port"),
        ("tcp:/a:80", "write scheme://host:port"),
        ("://a:80", "write *, tcp"),
        ("t1://a:80", "write *, tcp"),
        (" tcp://a:80", "write *, tcp"),
        ("tcp://", "DNS name"),
        ("tcp://:80", "DNS name"),
        ("tcp://a", "tcp has no default port; write :6379"),
        ("*://a", "* has no default port"),
        ("tcp://a:", "from 1 to 65535"),
        ("tcp://a:0", "from 1 to 65535"),
        ("tcp://a:65536", "from 1 to 65535"),
        ("tcp://a:080", "without leading zeros"),
        ("tcp://a:80..80", "the lower first"),
        ("tcp://a:90..80", "the lower first"),
        ("tcp://a:80..", "from 1 to 65535"),
        ("tcp://a:80..65537", "from 1 to 65535"),
        ("tcp://a:80/", "a path grants nothing"),
        ("https://a/", "a path grants nothing"),
        ("https://a/b:443", "a path grants nothing"),
        ("tcp://user@a:80", "user info"),
        ("tcp://a b:80", "DNS name"),
        ("tcp://a:80 ", "from 1 to 65535"),
        ("tcp://a:80\n", "from 1 to 65535"),
        ("tcp://a\x00:80", "DNS name"),
        ("tcp://a?b:80", "DNS name"),
        ("tcp://ex*mple.com:80", "DNS name"),
        ("tcp://*example.com:80", "DNS name"),
        ("tcp://a.*:80", "DNS name"),
        ("tcp://*.*:80", "DNS name"),
        ("tcp://b\u00fccher.example:80", "xn--"),
        ("tcp://\u212aelvin:80", "xn--"),
        ("tcp://127.1:80", "four decimal numbers"),
        ("tcp://0x7f000001:80", "four decimal numbers"),
        ("tcp://2130706433:80", "four decimal numbers"),
        ("tcp://::1:80", "in brackets"),
        ("tcp://fc00::/7:80", "in brackets"),
        ("tcp://[example.com]:80", "write it as [::1]"),
        ("tcp://[fe80::1%lo]:80", "without %"),
        ("tcp://10.0.0.1/8:80", "write 10.0.0.0/8"),
        ("tcp://[fc00::1]/7:80", "write [fc00::]/7"),
        ("tcp://10.0.0.0/33:80", "no CIDR block"),
        ("tcp://[::]/129:80", "no CIDR block"),
    ],
)
def test_rule_is_refused_with_advice(entry: str, advice: str) -> None:
    """An entry that is no rule is refused with a sentence that says what to write instead."""
    with pytest.raises(ValueError, match="write") as refusal:
        Rule.parse(entry)

    assert advice in str(refusal.value)


PIECES = ["tcp", "http", "*", "://", ":", "/", "..", "[", "]", "::1", "*.", "a", "-", "_", ".", "@"]
PIECES += ["10.0.0.0", "/8", "80", "0", "65536", "0x7f", "%", "#", " ", "\n", "\x00", "\u212a", "\uff11"]
NEAR_MISSES = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)


def reason_against(entry: str) -> str:
    """What Rule.parse has against an entry; nothing when it is a rule that reads back the same."""
    try:
        rule = Rule.parse(entry)
    except ValueError as error:
        return f"{type(error).__name__}: {error}"
    return "" if rule.ports and rule == Rule.parse(str(rule)) else "read differently a second time"


@given(st.one_of(st.text(), NEAR_MISSES))
def test_rule_parse_raises_nothing_else(entry: str) -> None:
    """Whatever is written is a rule that reads back the same, or a ValueError with advice."""
    assert re.fullmatch(r"(ValueError: .*write .*)?", reason_against(entry), re.DOTALL)


# Targets


@pytest.mark.parametrize("text", NO_TARGETS, ids=lambda text: repr(text[:40]))
def test_hostile_target_is_refused(text: bytes) -> None:
    """No form of the catalogue's spellings becomes a target."""
    with pytest.raises(NotPermitted, match="target"):
        Target.parse(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (b"127.0.0.1:6379", "127.0.0.1:6379"),
        (b"127.0.0.1.:6379", "127.0.0.1:6379"),
        (b"LOCALHOST.:1", "localhost:1"),
        (b"[0:0:0::1]:65535", "[::1]:65535"),
        (b"[::FFFF:127.0.0.1]:80", f"[{ip_address('::ffff:7f00:1')}]:80"),
        (b"my_cache:80", "my_cache:80"),
        (b"a" * 63 + b":80", "a" * 63 + ":80"),
        (b"a." * 126 + b"a.:65535", "a." * 126 + "a:65535"),
    ],
)
def test_target_is_normalised(text: bytes, written: str) -> None:
    """Case and one dot at the end are normalised, and an address has one spelling."""
    assert str(Target.parse(text)) == written
    assert str(Target.parse(written.encode())) == written


@given(st.one_of(st.binary(max_size=300), NEAR_MISSES.map(str.encode)))
def test_target_parse_raises_nothing_else(text: bytes) -> None:
    """Bytes are a target that reads back the same, or NotPermitted; no name is an address to inet_aton."""
    try:
        target = Target.parse(text)
    except NotPermitted:
        return
    assert target == Target.parse(str(target).encode())
    assert 1 <= target.port <= 65535
    if isinstance(target.host, str):
        with pytest.raises(OSError, match="illegal"):
            socket.inet_aton(target.host)


NUMBERS = st.integers(0, 2**33).flatmap(
    lambda number: st.sampled_from([str(number), hex(number), f"0{number:o}"])
)


@given(st.lists(NUMBERS, min_size=1, max_size=4).map(".".join))
def test_no_legacy_spelling_is_a_target(host: str) -> None:
    """Of all that inet_aton takes for an address only four canonical decimal numbers are a target."""
    with suppress(NotPermitted):
        target = Target.parse(f"{host}:80".encode())
        assert host == str(target.host)
        assert socket.inet_aton(host) == ip_address(host).packed
