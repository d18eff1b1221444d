"""Loading: a right file becomes a Configuration, a wrong one every problem that it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.config.explain import MAX_PROBLEMS
from serverless_wasm.config.load import load
from serverless_wasm.config.schema import NAMED, TABLES
from serverless_wasm.config.store_tables import StoreTable
from serverless_wasm.errors import ConfigError, Problem
from serverless_wasm.limits import MIB, DoorLimits, Limits
from serverless_wasm.storage.files.stores import Place
from serverless_wasm.storage.kv.namespace import KeyValueSettings
from serverless_wasm.storage.mounts import Mount
from serverless_wasm.stores import Remote, Store

SEED = """\
listen_address = "127.0.0.1:8080"

[[applications]]
file_path = "./samples/testfunc.wasm"
method = "GET"
url_path = "/hello"
function = "hello"

[[applications]]
file_path = "./samples/testbackend.wasm"
method = "GET"
url_path = "/backend"
function = "handle"
env = { "/env/backend" = "127.0.0.1:8181" }
"""

WHOLE = """\
listen_address = "[::1]:0"

[[applications]]
file_path = "/srv/hello.wasm"
method = ["get", "POST"]
url_path = "/hello/:name"
function = "hello"
host = "Www.Example.com"
env = { greeting = "Bonjour" }
name = "greeter"
allowed_outbound_hosts = ["tcp://127.0.0.1:6379"]
limits = { memory = "32MiB", concurrency = 7 }
abi = "env"
arguments = ["a", "b c"]
mounts = { "/" = { path = "site" }, "/data" = { path = "/srv/data", write = true } }
tmp = true
precise_clocks = true
digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
key_value = ["default", "far", "near"]

[applications.files]
"/disk" = "files"
"/var" = { url = "file:///var/data", write = true, quota = "1GiB" }
"/bucket" = { url = "s3://bucket/a/b", write = true }
"/web" = "https://example.com/files"
"/memory" = "memory://"

[[applications]]
file_path = "hello.wasm"
url_path = "/..."
[applications.limits]
timeout = "250ms"

[[applications]]
file_path = "s3://bucket/a/hello.wasm"
url_path = "/far"

[limits]
timeout = "5s"
memory = 1048576

[stores.wide]
url = "s3://bucket"
region = "eu-central-1"

[stores.narrow]
url = "s3://bucket/a/"
endpoint = "http://127.0.0.1:9000"
access_key_id = "me"
secret_access_key = "hunter2"
ca = "ca.pem"

[key_value.near]
url = "sqlite:///state.db"
quota = "1KiB"

[key_value.far]
url = "redis://:hunter2@127.0.0.1:6379/0"
shared = true
value = "2KiB"

[server]
header_timeout = 3
target = "4KiB"
slots = 12
drain = "1m"
"""


def file(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def problems_of(folder: Path, text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(file(folder, text))
    problems = caught.value.problems
    assert problems == tuple(sorted(problems, key=lambda problem: problem.line))
    assert all(
        problem.line > 0 and problem.key and problem.found and problem.expected for problem in problems
    )
    return problems


def test_the_seeds_file(tmp_path: Path) -> None:
    """The configuration of 2018 means what it meant."""
    configuration = load(file(tmp_path, SEED))
    assert (configuration.listen_host, configuration.listen_port) == ("127.0.0.1", 8080)
    assert (configuration.door, configuration.slots, configuration.drain) == (DoorLimits(), None, 10.0)
    hello, backend = configuration.applications
    assert (hello.name, backend.name) == ("testfunc-hello", "testbackend")
    assert hello.file_path == tmp_path / "samples" / "testfunc.wasm"
    assert (hello.methods, hello.url_path, hello.function) == (("GET",), "/hello", "hello")
    assert (hello.host, hello.abi, hello.allowed_outbound_hosts) == (None, None, ())
    assert hello.env == {}
    assert backend.env == {"/env/backend": "127.0.0.1:8181"}
    assert (hello.line, backend.line) == (3, 9)
    assert hello.limits == Limits()


def test_every_key(tmp_path: Path) -> None:
    """Every key arrives, and an application's limits come before those of the file."""
    path = file(tmp_path, WHOLE)
    configuration = load(path)
    assert configuration.path == path
    assert (configuration.listen_host, configuration.listen_port) == ("::1", 0)
    assert (configuration.slots, configuration.drain) == (12, 60.0)
    assert configuration.door == DoorLimits(header_timeout=3.0, target=4096)
    greeter, other, far = configuration.applications
    assert greeter.name == "greeter"
    assert greeter.file_path == Path("/srv/hello.wasm")
    assert (greeter.methods, greeter.host, greeter.abi) == (("GET", "POST"), "www.example.com", "env")
    assert greeter.allowed_outbound_hosts == ("tcp://127.0.0.1:6379",)
    assert greeter.arguments == ("a", "b c")
    assert greeter.mounts == (
        Mount(name="/", path=tmp_path / "site"),
        Mount(name="/data", path=Path("/srv/data"), write=True),
    )
    assert (greeter.precise_clocks, other.precise_clocks) == (True, False)
    assert (greeter.tmp, other.tmp, other.mounts, other.arguments) == (True, False, (), None)
    narrow = {
        "endpoint": "http://127.0.0.1:9000",
        "access_key_id": "me",
        "secret_access_key": "hunter2",
        "ca": str(tmp_path / "ca.pem"),
    }
    store = Store(name="narrow", url="s3://bucket/a/", options=narrow)
    assert far.file_path == Remote(url="s3://bucket/a/hello.wasm", store=store)
    assert (greeter.digest, far.digest) == (f"sha256:{'0' * 64}", None)
    assert greeter.files == (
        Place(name="/disk", where=tmp_path / "files"),
        Place(name="/var", where=Path("/var/data"), write=True, quota=1024 * MIB),
        Place(name="/bucket", where=Remote(url="s3://bucket/a/b", store=store), write=True),
        Place(name="/web", where=Remote(url="https://example.com/files")),
        Place(name="/memory", where=Remote(url="memory://")),
    )
    assert greeter.key_value == (
        KeyValueSettings(name="default", url=f"sqlite:///{tmp_path}/.serverless-wasm/default.db"),
        KeyValueSettings(name="far", url="redis://:hunter2@127.0.0.1:6379/0", shared=True, value=2048),
        KeyValueSettings(name="near", url=f"sqlite:///{tmp_path}/state.db", quota=1024),
    )
    assert "hunter2" not in repr(configuration)
    assert greeter.limits == Limits(memory=32 * MIB, concurrency=7, timeout=5.0)
    assert other.limits == Limits(memory=1 * MIB, timeout=0.25)
    assert (other.methods, other.name, other.function) == ((), "hello", None)


MOUNTS = {
    'mounts = { "/a" = { path = "a", wrte = true } }': ('mounts."/a".wrte', 'did you mean "write"'),
    'mounts = { "/a" = {} }': ('mounts."/a".path', "the path of a folder"),
    'mounts = { "/a" = { path = "https://a/b" } }': ('mounts."/a".path', "the path of a folder"),
    'mounts = { "/a" = { path = "a", write = 1 } }': ('mounts."/a".write', "true if guests may change"),
    'mounts = { "/a" = "a" }': ('mounts."/a"', "a table such as mounts ="),
    'mounts = { a = { path = "a" } }': ("mounts.a", "an absolute path for the guest"),
    'mounts = { "/a/../b" = { path = "a" } }': ('mounts."/a/../b"', "an absolute path for the guest"),
    'mounts = { "/a/" = { path = "a" } }': ('mounts."/a/"', "an absolute path for the guest"),
    'arguments = "a"': ("arguments", "a list of texts"),
    'arguments = ["a\\u0000"]': ("arguments[0]", "a text without NUL"),
}


@pytest.mark.parametrize("line", MOUNTS)
def test_mistakes_in_what_a_command_is_given(tmp_path: Path, line: str) -> None:
    """Each names its key, and what to write."""
    key, expected = MOUNTS[line]
    text = f'[[applications]]\nfile_path = "a"\nurl_path = "/"\n{line}\n'

    (problem,) = problems_of(tmp_path, text)

    assert (4, f"applications[0].{key}") == (problem.line, problem.key)
    assert expected in problem.expected


PLACES = {
    'file_path = "ftp://a/b.wasm"': ("file_path", "https://, s3://"),
    'file_path = "s3://u:p@bucket/b.wasm"': ("file_path", "without user, password"),
    'file_path = "https://[::1/b.wasm"': ("file_path", "without user, password"),
    'file_path = "https://a:b:c/b.wasm"': ("file_path", "without user, password"),
    'file_path = "s3:///b.wasm"': ("file_path", "with a name behind the scheme"),
    'file_path = "oci://a/../b:1"': ("file_path", 'without "." and ".."'),
    'file_path = "http://example.com/a.wasm"': ("digest", "or https://"),
    'digest = "sha256:12"': ("digest", '"sha256:" and 64'),
    "digest = 1": ("digest", '"sha256:" and 64'),
    'files = { "/a" = "ftp://b" }': ('files."/a".url', "file:///, s3://"),
    'files = { "/a" = "file://data" }': ('files."/a".url', "three slashes"),
    'files = { "/a" = "file:///" }\ntmp = 1': ("tmp", "true for a scratch folder"),
    'files = { a = "b" }': ("files.a", "an absolute path for the guest"),
    'files = { "/a" = { url = "https://a/b", write = true } }': ('files."/a".write', "only read"),
    'files = { "/a" = { write = true } }': ('files."/a".url', "a path or a URL"),
    'files = { "/a" = 1 }': ('files."/a"', "a table such as files ="),
    'files = { "/tmp" = "a" }\ntmp = true': ('files."/tmp"', "a name of its own"),
    'files = { "/a" = "a" }\nmounts = { "/a" = { path = "b" } }': ('files."/a"', "a name of its own"),
    'key_value = ["far"]': ("key_value[0]", "one of default, or a table [key_value.NAME]"),
    'key_value = "default"': ("key_value", 'key_value = ["default"]'),
}


@pytest.mark.parametrize("line", PLACES)
def test_mistakes_in_where_things_are(tmp_path: Path, line: str) -> None:
    """Each names its key, and what to write."""
    key, expected = PLACES[line]
    module = "" if line.startswith("file_path") else 'file_path = "a"\n'
    text = f'[[applications]]\n{module}url_path = "/"\n{line}\n'

    (problem,) = problems_of(tmp_path, text)

    assert f"applications[0].{key}" == problem.key
    assert expected in problem.expected


STORES = {
    '[stores.a]\nregion = "eu"': ("stores.a.url", "a URL such as"),
    '[stores.a]\nurl = "s3://b"\naccount = "c"': ("stores.a.account", "for s3:// only access_key_id, ca,"),
    '[stores.a]\nurl = "file:///b"': ("stores.a.url", "a URL such as"),
    '[stores.a]\nurl = "s3://b"\nsecret_access_key = 7': ("stores.a.secret_access_key", "a text in quotes"),
    '[stores.a]\nurl = "s3://b"\nregon = "c"': ("stores.a.regon", 'did you mean "region"'),
    '[stores.A]\nurl = "s3://b"': ("stores.A", "lower-case letters"),
    '[key_value.a]\nurl = "postgres://b"': ("key_value.a.url", "sqlite:///state.db"),
    '[key_value.a]\nurl = "sqlite://b"': ("key_value.a.url", "sqlite:///state.db"),
    '[key_value.a]\nurl = "redis://h/0"\nquota = "much"': ("key_value.a.quota", "a size"),
    "[key_value]\ndefault = 1": ("key_value.default", "tables such as"),
}


@pytest.mark.parametrize("table", STORES)
def test_mistakes_in_stores(tmp_path: Path, table: str) -> None:
    """Each names its key, and what to write."""
    key, expected = STORES[table]

    (problem,) = problems_of(tmp_path, f"{SEED}{table}\n")

    assert key == problem.key
    assert expected in problem.expected


def test_a_digest_may_be_demanded(tmp_path: Path) -> None:
    """Of every application that has none."""
    problems = problems_of(tmp_path, f'require_digest = true\n{SEED}digest = "sha256:{"a" * 64}"\n')

    assert ["applications[0].digest"] == [problem.key for problem in problems]


def test_plain_http_from_this_machine_needs_no_digest(tmp_path: Path) -> None:
    """Nobody is on the way."""
    for host in ("127.0.0.1:8000", "[::1]", "localhost"):
        text = f'[[applications]]\nurl_path = "/"\nfile_path = "http://{host}/a.wasm"\n'
        assert str(load(file(tmp_path, text)).applications[0].file_path).endswith("/a.wasm")


def test_credentials_are_not_shown(tmp_path: Path) -> None:
    """Whatever is wrong with a store's table, its values are in no problem."""
    text = '[stores.a]\nurl = "s3://b"\n' + "".join(
        f'{key} = ["hunter2"]\n' for key in ("secret_access_key", "password", "token", "sas_token")
    )
    text += 'username = "hunter2\\u0000"\n[key_value.b]\nurl = "redis://:hunter2@h/0"\nvalue = -1\n'
    text += '[key_value.c]\nurl = "redis:// :hunter2@h/0"\n[stores.d]\nurl = "s3://u:hunter2@b"\n'
    problems = problems_of(tmp_path, SEED + text)
    assert "hunter2" not in "".join(map(str, problems))
    assert len(problems) > 6


def test_tls(tmp_path: Path) -> None:
    """The two files are beside the configuration; nobody looks whether they are there."""
    assert load(file(tmp_path, SEED)).tls is None
    tls = load(
        file(tmp_path, f'{SEED}[server.tls]\ncertificate = "tls/cert.pem"\nkey = "/etc/key.pem"\n')
    ).tls
    assert tls
    assert (tmp_path / "tls" / "cert.pem", Path("/etc/key.pem")) == (tls.certificate, tls.key)
    assert (str(tmp_path / "config.toml"), 16, 17) == (tls.file, tls.certificate_line, tls.key_line)
    inline = load(file(tmp_path, f'{SEED}[server]\ntls = {{ certificate = "a", key = "a" }}\n')).tls
    assert inline
    assert (16, 16) == (inline.certificate_line, inline.key_line)


def test_mistakes_in_tls(tmp_path: Path) -> None:
    """Each names its key, and what to write."""
    text = f'{SEED}[server.tls]\ncertificate = "https://a/cert.pem"\nkeys = "key.pem"\n'
    problems = {
        problem.key: (problem.line, problem.found, problem.expected)
        for problem in problems_of(tmp_path, text)
    }
    assert {
        "server.tls.certificate": (
            16,
            '"https://a/cert.pem"',
            'the path of a PEM file on this machine, such as "cert.pem"',
        ),
        "server.tls.key": (
            15,
            "nothing",
            'the path of a PEM file such as "key.pem", with the certificate\'s private key',
        ),
        "server.tls.keys": (17, "an unknown key", 'a known key; did you mean "key"?'),
    } == problems
    (problem,) = problems_of(tmp_path, SEED + '[server]\ntls = "cert.pem"\n')
    assert "a [server.tls] table with the keys certificate and key" == problem.expected
    (problem, _) = problems_of(tmp_path, SEED + '[server]\ncertificate = "cert.pem"\nkey = "key.pem"\n')
    assert "the key certificate in the table server.tls" == problem.expected


def test_env_is_not_in_the_repr(tmp_path: Path) -> None:
    """A configuration may be printed: the values of env are not in it."""
    assert "8181" not in repr(load(file(tmp_path, SEED)))


def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules are beside the file, or where the service runs, or reported as beside the file."""
    monkeypatch.chdir(tmp_path)
    samples = tmp_path / "samples"
    samples.mkdir()
    path = file(samples, SEED)
    place = "testfunc.wasm"
    assert load(path).applications[0].file_path == samples / "samples" / place
    (samples / place).touch()
    assert load(path).applications[0].file_path == samples / place
    assert load(Path("samples/config.toml")).applications[0].file_path == samples / place
    (samples / "samples").mkdir()
    (samples / "samples" / place).touch()
    assert load(path).applications[0].file_path == samples / "samples" / place


def test_paths_that_cannot_be_looked_at(tmp_path: Path) -> None:
    """A module's path that the system refuses is the deployment's problem, not the file's."""
    text = SEED.replace("./samples/testfunc.wasm", "x" * 300).replace("./samples", "config.toml")
    assert load(file(tmp_path, text)).applications[0].file_path == tmp_path / ("x" * 300)


def test_every_problem_at_once(tmp_path: Path) -> None:
    """Mistakes of all kinds are reported together, each on its line, in the order of the file."""
    text = """\
listen_adress = "127.0.0.1:80"
[[applications]]
url_path = "/a"
method = "GE T"
name = "a"
[[applications]]
file_path = "x.wasm"
url_path = "hello"
name = "a"
limits = { memory = "lots",
timeot = 1 }
[[applications]]
file_path = "x.wasm"
url_path = "/b/:x"
env = { a = 1 }
timeout = "1s"
[[applications]]
file_path = "x.wasm"
url_path = "/b/:y"
allowed_outbound_hosts = [
  "tcp://a:1",
  "a:1",
]
[server]
slots = 0
memory = 1
""".replace(",\ntimeot", ", timeot")
    found = [(problem.line, problem.key) for problem in problems_of(tmp_path, text)]
    assert found == [
        (1, "listen_adress"),
        (2, "applications[0].file_path"),
        (4, "applications[0].method"),
        (8, "applications[1].url_path"),
        (9, "applications[1].name"),
        (10, "applications[1].limits.memory"),
        (10, "applications[1].limits.timeot"),
        (14, "applications[2].env.a"),
        (15, "applications[2].timeout"),
        (18, "applications[3].url_path"),
        (21, "applications[3].allowed_outbound_hosts[1]"),
        (24, "server.slots"),
        (25, "server.memory"),
    ]


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("", "applications", "at least one [[applications]] table"),
        ("applications = []", "applications", "at least one [[applications]] table"),
        ("[applications]\nurl_path = 1", "applications", "in two pairs of brackets"),
        ("[[application]]", "application", 'did you mean "applications"?'),
        ("[limits]\ntimeot = 1", "limits.timeot", 'did you mean "timeout"?'),
        ("[limits]\nzzz = 1", "limits.zzz", "one of memory, table_elements, timeout"),
        ("[limits]\nslots = 1", "limits.slots", "the key slots in the table server"),
        ("memory = 1", "memory", "the key memory in the table limits"),
        ('["\\u001b[2J"]', '"\\u001b[2J"', "one of listen_address"),
    ],
)
def test_what_to_write(tmp_path: Path, text: str, key: str, expected: str) -> None:
    """A key that is missing, misspelt or in the wrong place leads to the right one."""
    problems = {problem.key: problem for problem in problems_of(tmp_path, text)}
    assert expected in problems[key].expected


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    """No value of env, no user info and no table's contents are in a problem."""
    text = SEED.replace('{ "/env/backend" = "127.0.0.1:8181" }', '["hunter2"]')
    text += 'allowed_outbound_hosts = ["redis://u:hunter2@h/x@y:1"]\nenvs = { TOKEN = "hunter2" }\n'
    text += 'limits = [{ x = "hunter2" }]\ntoken = "hunter2"\n'
    text += '[[applications]]\nurl_path = "hunter/2"\nenv = "hunter2"\n[[applications]]\nenv.a = ["hunter2"]'
    problems = problems_of(tmp_path, text)
    assert "hunter2" not in "".join(map(str, problems))
    assert '"hunter/2"' in {problem.found for problem in problems}
    table = '[applications]\nenv = { a = "hunter2" }'
    assert "hunter2" not in "".join(map(str, problems_of(tmp_path, table)))


def test_thousands_of_problems(tmp_path: Path) -> None:
    """A file with more mistakes than anybody reads is refused all the same, and soon."""
    problems = problems_of(tmp_path, SEED + "".join(f"timeou{i} = 1\n" for i in range(20_000)))
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].found == "more mistakes"


def test_long_names_and_values(tmp_path: Path) -> None:
    """What is found is one short line, whatever the file holds."""
    text = f'{"k" * 5000} = 1\nlisten_address = "{"v" * 5000}\\n\\u001b\\u202e"\n' + SEED.split("\n", 1)[1]
    for problem in problems_of(tmp_path, text):
        assert len(str(problem).replace(str(tmp_path), "")) < 400
        assert str(problem).isprintable()


def test_ten_thousand_applications(tmp_path: Path) -> None:
    """A large file loads, and made names do not run into each other."""
    entry = '[[applications]]\nfile_path="a.wasm"\nurl_path="/{}"\n'
    configuration = load(file(tmp_path, "".join(entry.format(i) for i in range(10_000))))
    assert len({application.name for application in configuration.applications}) == 10_000
    assert configuration.applications[-1].line == 29_998
    assert len({id(application.limits) for application in configuration.applications}) == 1


BAD_VALUES = (
    '""', '"\\u0000"', '" "', "-1", "1e400", "nan", "true", "[]", "[[]]", "{}", "{ a = 1 }", "[1, true]",
    "1979-05-27", "07:32:00", "0x" + "f" * 4000, '"' + "é" * 5000 + '"', '"\\u202e"', '["", ""]',
)  # fmt: skip
SECRETS = {*StoreTable.model_fields} - {"url", "endpoint", "anonymous", "ca", "service_account"}
FITTING = {
    "env": {"{}"},
    "limits": {"{}"},
    "server": {"{}"},
    "allowed_outbound_hosts": {"[]"},
    "arguments": {"[]", '["", ""]'},
    "mounts": {"{}"},
    "tmp": {"true"},
    "precise_clocks": {"true"},
    "write": {"true"},
    "anonymous": {"true"},
    "shared": {"true"},
    "require_digest": {"true"},
    **{key: {"true"} for key in ("required", "secret")},
    "variables": {"{}"},
    "default": {value for value in BAD_VALUES if value.startswith('"')},
    "file": {'" "', '"\\u202e"'},
    "files": {"{}"},
    "stores": {"{}"},
    "key_value": {"{}", "[]"},
    **{key: {'" "', '"\\u202e"'} for key in ("ca", "service_account")},
    "url": {'" "', '"\\u202e"'},
    **{key: {'" "', '"\\u202e"', BAD_VALUES[-3]} for key in SECRETS},
    "function": {'" "', '"\\u202e"'},
    **{key: {'" "', '"\\u202e"'} for key in ("file_path", "path", "certificate", "key")},
}
"""What a key of the matrix rightly takes."""


def header(place: tuple[str, ...]) -> str:
    """What stands before the keys of a table."""
    head = "[[applications]]\n" if place[:1] == ("applications",) else ""
    if place in NAMED:
        name = '"/a"' if head else "a"
        return f"{head}[{'.'.join(place)}.{name}]"
    return head + (f"[{'.'.join(place)}]" if place[1:] or not head else "") if place else ""


@pytest.mark.parametrize(
    ("place", "key"), [(place, key) for place in TABLES for key in TABLES[place].model_fields]
)
def test_matrix(tmp_path: Path, place: tuple[str, ...], key: str) -> None:
    """Each key with each bad value is a problem on its line that says what to write."""
    for value in BAD_VALUES:
        if value not in FITTING.get(key, ()):
            text = f"{header(place)}\n\n{key} = {value}\n"
            found = [(problem.line, key in problem.key) for problem in problems_of(tmp_path, text)]
            assert (text.count("\n"), True) in found, value


_ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(BAD_VALUES[:-3]) | st.sampled_from(['"GET"', '"/a"', '"1s"', '"1MiB"', "1"]),
    lambda inner: st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]"),
    max_leaves=4,
)
_ENTRIES = st.dictionaries(
    st.sampled_from([key for table in TABLES.values() for key in table.model_fields]), _ANYTHING
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([header(place) for place in TABLES if place[:1] == ("applications",)]), _ENTRIES
        ),
        max_size=4,
    )
)
def test_anything(tmp_path_factory: pytest.TempPathFactory, tables: list[tuple[str, dict[str, str]]]) -> None:
    """Any keys with any values give a Configuration or a ConfigError, nothing else."""
    lines = [line for header, entries in tables for line in (header, *map(" = ".join, entries.items()))]
    problems: tuple[Problem, ...] = ()
    try:
        load(file(tmp_path_factory.getbasetemp(), "\n".join(lines)))
    except ConfigError as error:
        problems = error.problems
    last = "\n".join(lines).count("\n") + 1
    assert all(problem.line in range(1, last + 1) for problem in problems)
