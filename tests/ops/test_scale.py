"""`make scale` finds in `deploy/` what it replaces, and says so where it cannot run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scale import __main__ as scale
from scale.programs import Upstream, nginx_conf, pgbouncer_ini


def test_pgbouncer_is_that_of_the_cluster_elsewhere() -> None:
    ini = pgbouncer_ini(7001, Upstream("/primary", "/replica", "5433"), Path("/home/users.txt"))
    assert "frankenjet = host=/primary port=5433 dbname=frankenjet\n" in ini
    assert "frankenjet_replica = host=/replica port=5433 dbname=frankenjet\n" in ini
    assert {"listen_addr = 127.0.0.1", "listen_port = 7001", "auth_file = /home/users.txt", "pool_mode = transaction"} <= set(
        ini.splitlines()
    )


def test_nginx_is_the_example_elsewhere() -> None:
    conf = nginx_conf(7001, 7002, [7003, 7004], Path("/folder"))
    assert re.findall(r"listen (\S+);", conf) == ["127.0.0.1:7001", "127.0.0.1:7002"]
    assert re.findall(r"server (127\S+)", conf) == ["127.0.0.1:7003", "127.0.0.1:7004"]
    assert "ssl" not in conf.partition("TLS, slow clients")[2]
    assert conf.count("{") == conf.count("}")


def test_without_the_programs_it_is_not_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["scale"])
    monkeypatch.setattr(scale, "find_program", lambda name: None if name == "pgbouncer" else f"/usr/sbin/{name}")
    assert scale.main() == 75
    assert "NOT RUN: pgbouncer not found" in capsys.readouterr().out


def test_what_is_left_out_of_the_tests_is_there() -> None:
    for name in (*scale.TESTS, *scale.LEFT_OUT):
        path, _, function = name.partition("::")
        assert Path(path).exists(), name
        assert not function or f"def {function}(" in Path(path).read_text(), name
