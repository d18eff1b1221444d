from __future__ import annotations

import os
import re
import subprocess
import termios
from pathlib import Path

from program import HELLO, PROGRAM, Folder
from server.certificates import Issuer

GOOD = """
[[applications]]
file_path = "hello.wasm"
url_path = "/hello/:name"
method = ["GET", "POST"]
host = "www.example.com"
env = { backend = "127.0.0.1:6379", password = "hunter2" }
allowed_outbound_hosts = ["tcp://10.0.0.1:80", "*://*.example.com:*"]
limits = { memory = "32MiB", timeout = "250ms", concurrency = 7 }
"""
BROKEN = """
[[applications]]
file_path = "strange.wasm"
url_path = "/strange"
[[applications]]
file_path = "gone.wasm"
url_path = "/gone"
"""
STRANGE = '(module (import "env" "[red]no\\1b[2J" (func)))'


def facts(text: str) -> dict[str, dict[str, str]]:
    """What the table says of each application."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        match = re.fullmatch(r"(\S*) +(\S+) {3,}(.*)", line)
        if match:
            if match[1]:
                latest = found[match[1]] = {}
            latest[match[2]] = match[3]
    return found


def test_good(tmp_path: Path) -> None:
    """Everything that an application may use is listed, and no value of a variable is."""
    folder = Folder(tmp_path)
    folder.module("hello.wasm", HELLO)
    folder.config(GOOD)

    done = folder.run("check", "config.toml")

    assert (0, "") == (done.returncode, done.stderr)
    assert "hunter2" not in done.stdout
    application = facts(done.stdout)["hello"]
    limits = application.pop("limits")
    assert application == {
        "route": "GET,POST www.example.com/hello/:name",
        "module": f"{tmp_path}/hello.wasm, function handle",
        "abi": "env",
        "imports": "env.log, env.response_set_body",
        "outbound": "tcp://10.0.0.1:80, *://*.example.com:*, "
        "tcp://127.0.0.1:6379 (from the variable backend)",
        "variables": "backend, password",
        "folders": "none",
        "files": "none",
        "key_value": "none",
    }
    start = "memory 32MiB, table_elements 100000, timeout 250ms, cpu 5s, fuel not counted, concurrency 7, "
    assert limits.startswith(start)
    assert limits.endswith(
        "log_bytes 64KiB, log_lines 100, scratch 16MiB, store_timeout 5s, file_size 16MiB, module_size 64MiB"
    )
    assert done.stdout.endswith("config.toml: 1 application can be served\n")


def test_broken(tmp_path: Path) -> None:
    """Each broken application is listed with its reason, the names in it escaped; the exit code is 2."""
    folder = Folder(tmp_path)
    folder.module("hello.wasm", HELLO)
    folder.module("strange.wasm", STRANGE)
    folder.config(GOOD + BROKEN)

    done = folder.run("check", "config.toml")

    assert done.returncode == 2
    found = facts(done.stdout)
    assert "broken" not in found["hello"]
    assert r"env.[red]no\x1b[2J () -> () is not offered" in found["strange"]["broken"]
    assert r"env.[red]no\x1b[2J" == found["strange"]["imports"]
    assert f"{tmp_path}/gone.wasm cannot be read: No such file or directory" == found["gone"]["broken"]
    assert done.stderr == "config.toml: 2 of 3 applications cannot be served: strange, gone\n"


def test_mistakes(tmp_path: Path) -> None:
    """A file with mistakes is not compiled: every mistake is one line on stderr, the exit code is 2."""
    folder = Folder(tmp_path)
    folder.config('[[applications]]\nfile = "a.wasm"\nurl_path = "a"\nmethod = 3\n')

    done = folder.run("check", "config.toml")

    assert (2, "") == (done.returncode, done.stdout)
    lines = done.stderr.splitlines()
    assert len(lines) == 4  # file_path is missing, too
    assert all(re.fullmatch(r"config\.toml:\d+: \S+: found .+, expected .+", line) for line in lines)


def test_tls(tmp_path: Path) -> None:
    """The certificate is looked at: where it is, what is odd about it, and what is wrong with it."""
    folder = Folder(tmp_path)
    folder.module("hello.wasm", HELLO)
    folder.config(GOOD + '[server.tls]\ncertificate = "cert.pem"\nkey = "key.pem"\n')

    done = folder.run("check", "config.toml")

    assert (2, "") == (done.returncode, done.stdout)
    first, second = done.stderr.splitlines()
    assert "config.toml:12: server.tls.certificate: found " in first
    assert "config.toml:13: server.tls.key: found " in second

    Issuer(tmp_path).issue().key.chmod(0o644)
    done = folder.run("check", "config.toml")
    assert 0 == done.returncode
    assert {"certificate": f"{tmp_path}/cert.pem", "key": f"{tmp_path}/key.pem"} == facts(done.stdout)[
        "server.tls"
    ]
    assert "config.toml:13: server.tls.key: every user of this machine may read" in done.stderr


def test_terminal(tmp_path: Path) -> None:
    """On a terminal of 80 columns no line is longer, and no word is lost."""
    folder = Folder(tmp_path)
    folder.module("hello.wasm", HELLO)
    folder.config(GOOD)
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))

    process = subprocess.Popen(
        [*PROGRAM, "check", "config.toml"],
        cwd=tmp_path,
        env={**folder.environment, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
    )
    os.close(theirs)
    text = read_all(ours)
    assert process.wait() == 0
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.splitlines()]
    assert max(map(len, lines)) <= 80
    words = re.sub(r"\s+", "", "".join(lines))
    assert "log_bytes64KiB,log_lines100,scratch16MiB,store_timeout5s,file_size16MiB,module_size64MiB" in words
    assert "(fromthevariablebackend)" in words


def read_all(descriptor: int) -> str:
    """What comes out of a terminal until nobody writes to it any more."""
    chunks = []
    try:
        while chunk := os.read(descriptor, 65536):
            chunks.append(chunk)
    except OSError:  # EIO: Linux's word for the end
        pass
    finally:
        os.close(descriptor)
    return b"".join(chunks).decode()


def test_what_a_command_is_given(tmp_path: Path) -> None:
    """Folders and arguments are told; where clients write the arguments, so is that."""
    folder = Folder(tmp_path)
    (tmp_path / "site").mkdir()
    folder.module("a.wasm", '(module (memory (export "memory") 1) (func (export "_start")))')
    folder.config(
        '[[applications]]\nfile_path = "a.wasm"\nurl_path = "/a"\ntmp = true\n'
        'mounts = { "/data" = { path = "site", write = true } }\n'
        '[[applications]]\nfile_path = "a.wasm"\nurl_path = "/b"\narguments = ["run", "x y"]\n'
        '[[applications]]\nfile_path = "a.wasm"\nurl_path = "/c"\nmounts = { "/data" = { path = "gone" } }\n'
    )

    done = folder.run("check", "config.toml")

    found = facts(done.stdout)
    assert 2 == done.returncode
    assert ("cgi", f"/data = {tmp_path}/site (write), /tmp, a scratch folder of each invocation") == (
        found["a"]["abi"],
        found["a"]["folders"],
    )
    assert found["a"]["arguments"].endswith("for an interpreter write the key arguments")
    assert "run, x y" == found["a-2"]["arguments"]
    assert found["a-3"]["broken"].startswith(f"mounts: /data is {tmp_path}/gone, which is no folder")
