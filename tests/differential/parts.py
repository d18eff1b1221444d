"""Words that requests are made of: good ones, unusual ones, and those that somebody once took for another.

Lists come out, each for one place in a request; a word that stands there twice is drawn twice as often.
It must never hold a length that a server would wait for, save the few that are there for their size.
"""

from __future__ import annotations

METHODS = [
    *b"""
        GET GET GET HEAD POST POST POST PUT DELETE OPTIONS PATCH TRACE CONNECT QUERY PROPFIND PURGE get
        Get GETS G FOO G(T G-T POST/ SETUP DESCRIBE PRI BREW SOURCE M-SEARCH
    """.split(),
    b"", b"GE\x00T", b"GET\t", b"\xc7ET", b"A" * 70,
]  # fmt: skip

TARGETS = [
    *b"""
        / / / /a /a?b /a/b /a/ // //a /a//b /./a /a/. /a/.. /../a /a/../b /a/../../b /%61 /%2e%2e/a
        /a%2fb /a%00b /%zz /% /a%20b /%c3%a9 /%c0%af /a;b=c /a#b /a?b#c /a?b?c /? /?? /a%3fb /a%0d%0ab
        /a%25 /a%252e /A/../a /a%5cb /a&b=c /a:b /@ /a{b} /a|b /a"b /a<b> /a^b /a`b * *a a a/b ?a
        http://a/ http://a http://a?b http://A/ http://a:80/ http://a:81/ http://b/ HTTP://a/x
        https://a/ https://a:443/ http:///x http://u@a/ http://[::1]/ ftp://a/ a:80 //a/b
        http://a/a/../b http:a /~ /a%7fb /a?%zz /a?%00 /a%2Fb /marker /a?b/../c /.../a /..a /a%2e /%2e
        /%2F
    """.split(),
    b"/a\\b", b"", b"/a b", b"/a\tb", b"/\xe9", b"/a\x00b", b"/a\x7fb", b"/a\x01b", b"/a\x0bb",
    b"/?\xe9", b"/?\x01",
]  # fmt: skip

VERSIONS = [
    *b"""
        HTTP/1.1 HTTP/1.1 HTTP/1.1 HTTP/1.0 HTTP/1.0 HTTP/0.9 HTTP/1.2 HTTP/2.0 HTTP/3.0 HTTP/1
        HTTP/1.10 HTTP/01.1 HTTP/1.01 http/1.1 Http/1.1 HTTP/1,1 HTTP1.1 HTTPS/1.1 XTTP/1.1 HTTP/+1.1
        RTSP/1.0 ICE/1.0 HTTP/9.9
    """.split(),
    b"HTTP/1.1\x00", b"", b"HTTP/ 1.1", b"HTTP/1.1 ", b"HTTP/1.1 x", b"HTTP/1.\xb9",
]  # fmt: skip

SPACES = [
    b" ", b" ", b"  ", b"\t", b"", b"\x0b", b"\x0c", b" \t", b"\xa0", b"\r", b"\x00",
]  # fmt: skip

LINE_ENDS = [
    b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\n\n", b" \r\n", b"\x00\r\n",
    b"\r\n ", b"\r\n\t", b"\r \n",
]  # fmt: skip

BEFORE = [
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b"\r\r\n", b"\x00", b" \r\n", b"\t", b"\r\n ",
    b"\xef\xbb\xbf",
]  # fmt: skip

HOSTS = [
    *b"""
        a a A a:80 a:81 a: a:65536 a:x :80 b a.b a. a..b a_b a,b a/b a?b a#b u@a a:1:2 [::1] [::1]:80
        [::1 ::1 [::g] 127.0.0.1 127.1 %61 a%62 a;b (a) a&b -a ~a * "a"
    """.split(),
    b"a\\b", b"", b"a b", b"a\tb", b"\xe9", b"a\x00", b"a\x01", b"a, b",
]  # fmt: skip

LENGTHS = [
    *b"""
        3 3 3 0 4 03 0003 3,3 +3 -3 0x3 3x x 3.0 3e0 1_0 3; 18446744073709551619 18446744073709551616
        99999999999999999999 000000000000000000000003 4294967299 3,4 -0
    """.split(),
    b"\xb3", b"", b"3 4", b"3, 3", b" 3", b"3 ", b"\t3", b"3\t", b"\x0b3", b"3\x00",
    b"3 \t ",
]  # fmt: skip

CODINGS = [
    *b"""
        chunked chunked chunked Chunked CHUNKED xchunked chunkedx chunked;q=1 identity gzip gzip,chunked
        chunked,gzip chunked,chunked chunked,identity identity,chunked ,chunked chunked, "chunked"
        chunke chunked; deflate x
    """.split(),
    b"", b"chunked ", b" chunked", b"\tchunked\t", b"\x0bchunked", b"chunked\x0b",
    b"chunked\x00", b"gzip, chunked", b"chunked , identity", b"chun ked", b"chunked\x0c",
]  # fmt: skip

SIZES = [
    *b"""
        3 3 3 03 0003 00000000000000000003 +3 -3 0x3 3h 3g 3; 3;a 3;a=b 3;a="b" 3;a="b;c" 3;a="b 3;;a
        3;= 3;a= 3;=b 3;a;b 3;a=b;c 3,a 3. 1_0 2 4 8 a A fffffffffffffffff 10000000000000003
        ffffffffffffffff 3;"a"
    """.split(),
    b"\xb3", b"", b"3 ", b" 3", b"3\t", b"3 ;a", b"3; a", b"3;a =b", b"3;a= b",
    b"3;a b", b"3;a\n", b"3;a\rb", b"3;a\x00", b"3\x00", b"3;a\x01", b"3;a=\xe9", b'3;a="\xe9"',
    b"3;\xe9", b"3 3", b"3\x0b", b'3;a="\\""',
]  # fmt: skip

TRAILERS = [
    b"", b"", b"X: y\r\n", b"X : y\r\n", b"X y\r\n", b"X: y\n", b" X: y\r\n",
    b"X: y\r\n z\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Host: b\r\n", b": y\r\n", b"X: y\rz\r\n", b"X: \x00\r\n", b"X_Y: z\r\n", b"X:\r\n",
    b"GET /t HTTP/1.1\r\n", b"\x01: y\r\n", b"X: \xe9\r\n", b"Connection: close\r\n",
]  # fmt: skip

CONNECTIONS = [
    *b"""
        keep-alive close Close CLOSE Keep-Alive x upgrade te close,keep-alive keep-alive,close ,close
        host content-length
    """.split(),
    b"", b"close, x", b"x , close", b"close\x00", b"clo se", b"transfer-encoding, close",
]  # fmt: skip

FIELDS = [
    b"X-A: b", b"X-A:b", b"X-A: b ", b"X-A:\tb", b"X-A:", b"X-A: ", b"X-A : b",
    b"X-A\t: b", b" X-A: b", b"X A: b", b"X-A", b": b", b"X(A: b", b"X\xe9: b",
    b"X-A: \xe9", b"X\x00A: b", b"X-A: b\x00", b"X-A: b\x01", b"X-A: b\x7f",
    b"X-A: b\tc", b"X-A: b\rc", b"X-A: b\nc: d", b"X-A: b\r\n c", b"X-A: b\r\n\tc",
    b"X-A: b\r\n \r\n", b"X_A: b", b"Content_Length: 4", b"Transfer_Encoding: chunked",
    b"X-A: b, c", b"X-A;: b", b'"X": b', b'X-A: "b', b"X-A: b\x0bc", b"X-A: b\x0c",
    b"Upgrade: h2c", b"Content-Length : 4", b"Transfer-Encoding : chunked",
    b"Content-Length\x00: 4", b"\x0bContent-Length: 4", b"TE: trailers",
    b" Content-Length: 4", b"X-A: b\r\nX-A: c", b"X-Forwarded-For: 1.2.3.4",
    b"Forwarded: for=b", b"Proxy: http://b/", b"X-A: :", b"Keep-Alive: 1",
    b"Content-Length/: 3", b"Host : b", b"X-A: b\r", b"Cookie: a=b",
    b"Cookie: a=b\r\nCookie: c=d", b"X.A: b", b"Trailer: X", b"Proxy-Connection: close",
    b"Proxy-Connection: keep-alive", b"HTTP2-Settings: AAAA",
]  # fmt: skip

BYTES = [
    b"\x00", b"\x01", b"\t", b"\n", b"\x0b", b"\x0c", b"\r", b"\r", b"\n", b" ", b" ", b'"',
    b"#", b"%", b",", b"0", b"3", b":", b";", b"\\", b"_", b"\x7f", b"\x80", b"\xa0", b"\xff",
]  # fmt: skip
