"""Requests that must be refused, and with which status: RFC 9112, THREATS C3, C5, C7, C12."""

from __future__ import annotations

from server.doors import post

H = b"Host: a\r\n"


def get(line: bytes = b"GET / HTTP/1.1", *fields: bytes) -> bytes:
    """A head with a good Host and these other header fields."""
    return b"\r\n".join((line, b"Host: a", *fields, b"", b""))


def head(*fields: bytes) -> bytes:
    """A head with these header fields alone."""
    return b"\r\n".join((b"GET / HTTP/1.1", *fields, b"", b""))


CHUNKED = b"Transfer-Encoding: chunked"

REQUEST_LINES: list[tuple[str, bytes, int]] = [
    ("0.9", b"GET /\r\n", 505),
    ("0.9 with a blank line", b"GET /\r\n\r\n", 505),
    ("0.9 by name", get(b"GET / HTTP/0.9"), 505),
    ("1.2", get(b"GET / HTTP/1.2"), 505),
    ("2.0", get(b"GET / HTTP/2.0"), 505),
    ("3.0", get(b"GET / HTTP/3.0"), 505),
    ("9.9", get(b"GET / HTTP/9.9"), 505),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("1.10", get(b"GET / HTTP/1.10"), 400),
    ("1", get(b"GET / HTTP/1"), 400),
    ("lower case", get(b"GET / http/1.1"), 400),
    ("other protocol", get(b"GET / XTTP/1.1"), 400),
    ("rtsp", get(b"DESCRIBE rtsp://a/ RTSP/1.0"), 400),
    ("ice", get(b"SOURCE / ICE/1.0"), 400),
    ("two spaces before the target", get(b"GET  / HTTP/1.1"), 400),
    ("two spaces after the target", get(b"GET /  HTTP/1.1"), 400),
    ("space at the end", get(b"GET / HTTP/1.1 "), 400),
    ("space at the start", get(b" GET / HTTP/1.1"), 400),
    ("tab before the target", get(b"GET\t/ HTTP/1.1"), 400),
    ("tab after the target", get(b"GET /\tHTTP/1.1"), 400),
    ("no method", get(b"/ HTTP/1.1"), 400),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ("binary", bytes(range(128, 256)), 400),
    ("unknown method", get(b"FOO / HTTP/1.1"), 501),
    ("lower-case method", get(b"get / HTTP/1.1"), 501),
    ("method with a tail", get(b"GETX / HTTP/1.1"), 501),
    ("100 KB of method", b"A" * 100_000, 501),
    ("rtsp method", get(b"SETUP / HTTP/1.1"), 501),
    ("connect", get(b"CONNECT a:80 HTTP/1.1"), 501),
    ("connect with a path", get(b"CONNECT / HTTP/1.1"), 501),
    ("bare CR after the line", b"GET / HTTP/1.1\r" + H + b"\r\n", 400),
    ("bare LF after the line", b"GET / HTTP/1.1\n" + H + b"\n", 400),
]

TARGETS: list[tuple[str, bytes, int]] = [
    ("fragment", get(b"GET /a#b HTTP/1.1"), 400),
    ("fragment in the query", get(b"GET /a?b#c HTTP/1.1"), 400),
    ("fragment in absolute form", get(b"GET http://a/#c HTTP/1.1"), 400),
    ("asterisk with GET", get(b"GET * HTTP/1.1"), 400),
    ("asterisk and more", get(b"OPTIONS *x HTTP/1.1"), 400),
    ("authority form", get(b"GET a:80 HTTP/1.1"), 400),
    ("relative", get(b"GET a/b HTTP/1.1"), 400),
    ("query alone", get(b"GET ?a HTTP/1.1"), 400),
    ("other scheme", get(b"GET ftp://a/ HTTP/1.1"), 400),
    ("no host in absolute form", get(b"GET http:///x HTTP/1.1"), 400),
    ("absolute form of another host", get(b"GET http://b/ HTTP/1.1"), 400),
    ("absolute form of another port", get(b"GET http://a:81/ HTTP/1.1"), 400),
    ("absolute form of another scheme's port", get(b"GET https://a:80/ HTTP/1.1"), 400),
    ("user in absolute form", get(b"GET http://u:p@a/ HTTP/1.1"), 400),
    ("bytes over 127", get(b"GET /\xc3\xa9 HTTP/1.1"), 400),
    ("bytes over 127 in the query", get(b"GET /?\xc3\xa9 HTTP/1.1"), 400),
    ("NUL", get(b"GET /\0 HTTP/1.1"), 400),
    ("control", get(b"GET /\x01 HTTP/1.1"), 400),
    ("DEL", get(b"GET /\x7f HTTP/1.1"), 400),
    ("form feed", get(b"GET /\x0c HTTP/1.1"), 400),
    ("encoded slash", get(b"GET /a%2fb HTTP/1.1"), 400),
    ("encoded NUL", get(b"GET /%00 HTTP/1.1"), 400),
    ("broken escape", get(b"GET /%4 HTTP/1.1"), 400),
    ("overlong UTF-8", get(b"GET /%c0%af HTTP/1.1"), 400),
    ("backslash", get(b"GET /a\\b HTTP/1.1"), 400),
    ("above the root", get(b"GET /../a HTTP/1.1"), 400),
    ("8 KB of target", get(b"GET /" + b"a" * 8192 + b" HTTP/1.1"), 414),
    ("100 KB of target", get(b"GET /" + b"a" * 100_000 + b" HTTP/1.1"), 414),
    ("100 KB of query", get(b"GET /?" + b"a" * 100_000 + b" HTTP/1.1"), 414),
    ("a target without an end", b"GET /" + b"a" * 100_000, 414),
]

HEADERS: list[tuple[str, bytes, int]] = [
    ("no Host", head(), 400),
    ("two Hosts", head(b"Host: a", b"Host: a"), 400),
    ("empty Host", head(b"Host:"), 400),
    ("port without a host", head(b"Host: :80"), 400),
    ("Host with a path", head(b"Host: a/b"), 400),
    ("Host with a space", head(b"Host: a b"), 400),
    ("Host with a user", head(b"Host: u@a"), 400),
    ("Host list", head(b"Host: a,b"), 400),
    ("Host with a query", head(b"Host: a?b"), 400),
    ("Host with a fragment", head(b"Host: a#b"), 400),
    ("Host with a backslash", head(b"Host: a\\b"), 400),
    ("Host with an escape", head(b"Host: a%2eb"), 400),
    ("Host over 127", head(b"Host: \xe4"), 400),
    ("Host with two ports", head(b"Host: a:1:2"), 400),
    ("Host with a port in letters", head(b"Host: a:http"), 400),
    ("Host with a large port", head(b"Host: a:65536"), 400),
    ("Host with half an IPv6 address", head(b"Host: [::1"), 400),
    ("Host with a wrong IPv6 address", head(b"Host: [1::2::3]"), 400),
    ("Host with a bare IPv6 address", head(b"Host: ::1"), 400),
    ("obs-fold", get(b"GET / HTTP/1.1", b"A: b\r\n c"), 400),
    ("obs-fold with a tab", get(b"GET / HTTP/1.1", b"A: b\r\n\tc"), 400),
    ("fold of the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    ("space before the colon", get(b"GET / HTTP/1.1", b"A : b"), 400),
    ("tab before the colon", get(b"GET / HTTP/1.1", b"A\t: b"), 400),
    ("space in a name", get(b"GET / HTTP/1.1", b"A b: c"), 400),
    ("no colon", get(b"GET / HTTP/1.1", b"abc"), 400),
    ("no name", get(b"GET / HTTP/1.1", b": b"), 400),
    ("parenthesis in a name", get(b"GET / HTTP/1.1", b"a(b: c"), 400),
    ("name over 127", get(b"GET / HTTP/1.1", b"\xe9: b"), 400),
    ("NUL in a name", get(b"GET / HTTP/1.1", b"A\0: b"), 400),
    ("underscore in a name", get(b"GET / HTTP/1.1", b"a_b: c"), 400),
    ("bare CR", get(b"GET / HTTP/1.1", b"A: b\rc: d"), 400),
    ("bare LF", get(b"GET / HTTP/1.1", b"A: b\nc: d"), 400),
    ("CR CR LF", get(b"GET / HTTP/1.1", b"A: b\r"), 400),
    ("LF at the end", b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
    ("101 fields", get(b"GET / HTTP/1.1", *[b"a: b"] * 100), 431),
    ("10,000 fields", get(b"GET / HTTP/1.1", *[b"a: b"] * 10_000), 431),
    ("33 KB in one field", get(b"GET / HTTP/1.1", b"a: " + b"b" * 33_000), 431),
    ("33 KB in one name", get(b"GET / HTTP/1.1", b"a" * 33_000 + b": b"), 431),
    ("33 KB in many fields", get(b"GET / HTTP/1.1", *[b"a: " + b"b" * 600] * 55), 431),
    ("100 KB and no end", get(b"GET / HTTP/1.1", b"a: " + b"b" * 100_000)[:-4], 431),
    ("another expectation", post(b"Content-Length: 3", b"Expect: 200-ok"), 417),
    ("two expectations", post(b"Content-Length: 3", b"Expect: 100-continue, 200-ok"), 417),
    *[
        (f"control {number:02x} in a value", get(b"GET / HTTP/1.1", b"A: b" + bytes([number]) + b"c"), 400)
        for number in (*range(9), 11, 12, *range(14, 32), 127)
    ],
]

FRAMING: list[tuple[str, bytes, int]] = [
    ("length and chunked", post(b"Content-Length: 3", CHUNKED, body=b"0\r\n\r\n"), 400),
    ("chunked and length", post(CHUNKED, b"Content-Length: 3", body=b"0\r\n\r\n"), 400),
    ("length twice", post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"), 400),
    ("two lengths", post(b"Content-Length: 3", b"Content-Length: 4", body=b"abcd"), 400),
    ("length list", post(b"Content-Length: 3, 3", body=b"abc"), 400),
    ("+3", post(b"Content-Length: +3", body=b"abc"), 400),
    ("-3", post(b"Content-Length: -3", body=b"abc"), 400),
    ("0x3", post(b"Content-Length: 0x3", body=b"abc"), 400),
    ("1_0", post(b"Content-Length: 1_0", body=b"abcdefghij"), 400),
    ("3 4", post(b"Content-Length: 3 4", body=b"abc"), 400),
    ("3.0", post(b"Content-Length: 3.0", body=b"abc"), 400),
    ("2^64 + 5", post(b"Content-Length: 18446744073709551621", body=b"abcde"), 400),
    ("no length", post(b"Content-Length:", body=b"abc"), 400),
    ("vertical tab and 3", post(b"Content-Length: \x0b3", body=b"abc"), 400),
    ("identity", post(b"Transfer-Encoding: identity", body=b"abc"), 400),
    ("gzip", post(b"Transfer-Encoding: gzip", body=b"abc"), 400),
    ("xchunked", post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), 400),
    ("chunked with a parameter", post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"), 400),
    ("chunked, gzip", post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), 400),
    ("chunked twice", post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"), 400),
    ("chunked and identity", post(CHUNKED, b"Transfer-Encoding: identity", body=b"0\r\n\r\n"), 400),
    ("vertical tab and chunked", post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"), 400),
    ("no coding", post(b"Transfer-Encoding:", body=b"0\r\n\r\n"), 400),
    ("quoted chunked", post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"), 400),
    ("gzip, chunked", post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
    (
        "chunked in 1.0",
        b"POST / HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n\r\n0\r\n\r\n",
        400,
    ),
]

HEADS = REQUEST_LINES + TARGETS + HEADERS + FRAMING
"""Refused before a handler sees anything."""

BODIES: list[tuple[str, bytes]] = [
    (name, post(CHUNKED, body=body))
    for name, body in [
        ("space after the size", b"3 \r\nabc\r\n0\r\n\r\n"),
        ("space before the size", b" 3\r\nabc\r\n0\r\n\r\n"),
        ("space before an extension", b"3 ;a\r\nabc\r\n0\r\n\r\n"),
        ("+3", b"+3\r\nabc\r\n0\r\n\r\n"),
        ("-3", b"-3\r\nabc\r\n0\r\n\r\n"),
        ("0x3", b"0x3\r\nabc\r\n0\r\n\r\n"),
        ("1_0", b"1_0\r\nabc\r\n0\r\n\r\n"),
        ("no size", b"\r\nabc\r\n0\r\n\r\n"),
        ("2^64", b"10000000000000000\r\nabc"),
        ("LF after the size", b"3\nabc\r\n0\r\n\r\n"),
        ("LF after the data", b"3\r\nabc\n0\r\n\r\n"),
        ("nothing after the data", b"3\r\nabc0\r\n\r\n"),
        ("more data than the size", b"3\r\nabcd\r\n0\r\n\r\n"),
        ("LF in an extension", b"3;a\nabc\r\n0\r\n\r\n"),
        ("CR in an extension", b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
        ("NUL in an extension", b"3;a\0\r\nabc\r\n0\r\n\r\n"),
        ("64 KB of extension", b"3;" + b"a" * 65_536 + b"\r\nabc\r\n0\r\n\r\n"),
        ("64 KB of extensions", (b"1;" + b"a" * 1000 + b"\r\nb\r\n") * 65 + b"0\r\n\r\n"),
        ("64 KB of zeros", b"0" * 65_536 + b"3\r\nabc\r\n0\r\n\r\n"),
        ("LF at the end", b"3\r\nabc\r\n0\r\n\n"),
        ("LF after the last size", b"3\r\nabc\r\n0\n\r\n"),
        ("trailer without a colon", b"3\r\nabc\r\n0\r\nX y\r\n\r\n"),
        ("trailer with LF", b"3\r\nabc\r\n0\r\nX: y\n\n"),
        ("length in the trailer", b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n"),
        ("coding in the trailer", b"3\r\nabc\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n"),
        ("64 KB of trailer", b"3\r\nabc\r\n0\r\nX: " + b"y" * 65_536 + b"\r\n\r\n"),
    ]
]
"""Heads are good; the handler reads the body, and is told."""
