"""Requests that are almost right: a grammar of a request's parts, and a seeded way to spoil them.

A random number generator comes in; the bytes of one connection go out, the last request in them always good.
It must never depend on anything but the generator, so that a seed and a number name one case for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from differential import parts

MARKER = b"GET /marker HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
"""Follows each case: whoever finds it read the same bytes before it as we did."""
SWEEP = b"Z" * 700 + b"\r\n\r\n" + b"Z" * 300 + b"\r\n\r\n"
"""Follows the marker: who still waits for a short body, a line or a head gets enough to stop waiting."""


@dataclass(slots=True)
class Draft:
    """The parts of a request, in their order."""

    method: bytes = b"GET"
    target: bytes = b"/a"
    version: bytes = b"HTTP/1.1"
    spaces: list[bytes] = field(default_factory=lambda: [b" ", b" "])
    fields: list[bytes] = field(default_factory=lambda: [b"Host: a", b"X-Test: 1"])
    ends: dict[int, bytes] = field(default_factory=dict)
    """Line ends that are not CR LF: 0 is that of the request line, -1 that of the head."""
    before: bytes = b""
    body: bytes = b""

    def text(self) -> bytes:
        """The bytes of it."""
        first = self.method + self.spaces[0] + self.target + self.spaces[1] + self.version
        lines = [first, *self.fields]
        head = b"".join(line + self.ends.get(number, b"\r\n") for number, line in enumerate(lines))
        return self.before + head + self.ends.get(-1, b"\r\n") + self.body

    def place(self, random: Random, line: bytes) -> None:
        """Puts a field somewhere."""
        self.fields.insert(random.randint(0, len(self.fields)), line)


def stream(random: Random) -> bytes:
    """A case: perhaps a good request, one or two spoiled ones, the marker and the sweep."""
    requests = [good(random).text()] if random.random() < 0.15 else []
    requests += [spoiled(random) for _ in range(2 if random.random() < 0.1 else 1)]
    return b"".join(requests) + MARKER + SWEEP


def good(random: Random) -> Draft:
    """A request of RFC 9112."""
    draft = Draft(target=random.choice([b"/", b"/a", b"/a?b"]))
    kind = random.randrange(3)
    if kind:
        draft.method = random.choice([b"POST", b"POST", b"PUT", b"GET"])
    if kind == 1:
        draft.place(random, b"Content-Length: 3")
        draft.body = b"abc"
    elif kind == 2:
        draft.place(random, b"Transfer-Encoding: chunked")
        draft.body = b"3\r\nabc\r\n0\r\n\r\n"
    return draft


def spoiled(random: Random) -> bytes:
    """A request with up to three things wrong, or unusual."""
    draft = good(random)
    for _ in range(random.choice([0, 1, 1, 1, 1, 2, 2, 3])):
        random.choice(MUTATIONS)(draft, random)
    text = draft.text()
    if random.random() < 0.15:
        text = _bytes_spoiled(text, random)
    return text


def _bytes_spoiled(text: bytes, random: Random) -> bytes:
    at = random.randint(0, len(text))
    kind = random.randrange(5)
    if kind == 0:
        return text[:at] + random.choice(parts.BYTES) + text[at:]
    if kind == 1:
        return text[:at] + random.choice(parts.BYTES) + text[at + 1 :]
    if kind == 2:
        return text[:at] + text[at + random.randint(1, 4) :]
    if kind == 3:
        end = at + random.randint(1, 20)
        return text[:end] + text[at:]
    return text[:at]


def _method(draft: Draft, random: Random) -> None:
    draft.method = random.choice(parts.METHODS)


def _target(draft: Draft, random: Random) -> None:
    draft.target = random.choice(parts.TARGETS)


def _version(draft: Draft, random: Random) -> None:
    draft.version = random.choice(parts.VERSIONS)


def _space(draft: Draft, random: Random) -> None:
    draft.spaces[random.randrange(2)] = random.choice(parts.SPACES)


def _line_end(draft: Draft, random: Random) -> None:
    draft.ends[random.randint(-1, len(draft.fields))] = random.choice(parts.LINE_ENDS)


def _before(draft: Draft, random: Random) -> None:
    draft.before = random.choice(parts.BEFORE)


def _host(draft: Draft, random: Random) -> None:
    if random.random() < 0.3:
        draft.place(random, b"Host: " + random.choice(parts.HOSTS))
    elif draft.fields[:1] == [b"Host: a"]:
        draft.fields[0] = b"Host: " + random.choice(parts.HOSTS)


def _no_field(draft: Draft, random: Random) -> None:
    if draft.fields:
        del draft.fields[random.randrange(len(draft.fields))]


def _field_twice(draft: Draft, random: Random) -> None:
    if draft.fields:
        draft.place(random, random.choice(draft.fields))


def _field(draft: Draft, random: Random) -> None:
    draft.place(random, random.choice(parts.FIELDS))


def _connection(draft: Draft, random: Random) -> None:
    draft.place(random, b"Connection: " + random.choice(parts.CONNECTIONS))


def _length(draft: Draft, random: Random) -> None:
    _framing(draft, random, b"Content-Length", parts.LENGTHS)
    draft.body = draft.body or b"abc"


def _coding(draft: Draft, random: Random) -> None:
    _framing(draft, random, b"Transfer-Encoding", parts.CODINGS)
    if not draft.body or random.random() < 0.5:
        draft.body = b"3\r\nabc\r\n0\r\n\r\n"


def _framing(draft: Draft, random: Random, name: bytes, values: list[bytes]) -> None:
    draft.method = b"POST" if draft.method == b"GET" and random.random() < 0.8 else draft.method
    if random.random() < 0.7:
        draft.fields = [
            line for line in draft.fields if not line.startswith((b"Content-Length", b"Transfer-Encoding"))
        ]
    name = random.choice(
        [name] * 8 + [name.lower(), name.upper(), name + b" ", b" " + name, name.replace(b"-", b"_")]
    )
    draft.place(
        random, name + random.choice([b": "] * 6 + [b":", b":\t", b" : ", b":  "]) + random.choice(values)
    )


def _chunks(draft: Draft, random: Random) -> None:
    draft.method = b"POST"
    draft.fields = [
        line for line in draft.fields if not line.startswith((b"Content-Length", b"Transfer-Encoding"))
    ]
    draft.place(random, b"Transfer-Encoding: chunked")
    end = random.choice([b"\r\n"] * 6 + [b"\n", b"\r", b"", b"\r\r\n", b" \r\n", b"xx"])
    after = random.choice([b"\r\n"] * 6 + [b"\n", b"\r", b"", b"\n\r", b"x\r\n"])
    last = random.choice(
        [b"0", b"0", b"0", b"0", b"00", b"0;a", b"0 ", b"-0", b"0x0", b"", b"0000000000000000000"]
    )
    ends = [random.choice([b"\r\n"] * 6 + [b"\n", b"\r", b""]) for _ in range(2)]
    first = random.choice([b"", b"3\r\nxyz\r\n"])
    draft.body = first + random.choice(parts.SIZES) + end + b"abc" + after
    draft.body += last + ends[0] + random.choice(parts.TRAILERS) + ends[1]


MUTATIONS: list[Callable[[Draft, Random], None]] = [
    _method, _target, _target, _version, _space, _line_end, _before, _host, _host, _no_field, _field_twice,
    _field, _field, _field, _connection, _length, _length, _length, _coding, _coding, _coding,
    _chunks, _chunks, _chunks, _chunks,
]  # fmt: skip
"""A mutation that stands here twice is drawn twice as often."""
