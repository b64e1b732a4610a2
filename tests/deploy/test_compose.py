"""docker-compose.yaml, Dockerfile and .gitlab-ci.yml: valid, complete, and naming only what exists."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.core.config import ConfigurationError, Settings, get_settings
from tests.deploy.files import (
    ROOT,
    compose_services,
    interpolate,
    load_yaml,
    read_settings,
    real_settings,
    run,
    run_python,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICES = compose_services()
APPLICATION = sorted(name for name, service in SERVICES.items() if service["image"] == "frankenjet-api")
SECRETS_FOLDER = "/var/lib/frankenjet/secrets"


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in real_settings():
        monkeypatch.delenv(name, raising=False)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def dockerfile_instructions(name: str) -> list[str]:
    """Read the arguments of every `name` instruction of the Dockerfile, continuation lines joined."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")
    return re.findall(rf"^{name} (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("schema", "file", "options"),
    [
        ("vendor.compose-spec", "docker-compose.yaml", []),
        ("vendor.gitlab-ci", ".gitlab-ci.yml", ["--data-transform", "gitlab-ci"]),
    ],
)
def test_file_is_valid(schema: str, file: str, options: list[str], tmp_path: Path) -> None:
    check = ("-m", "check_jsonschema", "--builtin-schema", schema, *options)
    assert run_python(*check, file).returncode == 0, run_python(*check, file).stdout

    broken = tmp_path / "broken.yaml"
    broken.write_text("services: {app: {ports: 8000}}\nscript: 1\nstages: 1\n", "utf-8")
    assert run_python(*check, str(broken)).returncode == 1


def test_pre_commit_configuration_is_valid_and_fetches_nothing() -> None:
    result = run_python("-m", "pre_commit", "validate-config", ".pre-commit-config.yaml")
    assert result.returncode == 0, result.stderr
    assert {repository["repo"] for repository in load_yaml(".pre-commit-config.yaml")["repos"]} == {"local"}


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_a_healthcheck_or_runs_once(name: str) -> None:
    service = SERVICES[name]
    if service["restart"] == "no":
        assert service["healthcheck"] == {"disable": True}
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize("name", SERVICES)
def test_service_waits_for_what_can_tell_that_it_is_there(name: str) -> None:
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        once = SERVICES[other]["restart"] == "no"
        assert condition["condition"] == ("service_completed_successfully" if once else "service_healthy")


def test_only_the_api_and_two_pages_are_published_on_loopback() -> None:
    published = {name: [interpolate(port) for port in service.get("ports", [])] for name, service in SERVICES.items()}
    assert {name: ports for name, ports in published.items() if ports} == {
        "app": ["127.0.0.1:8000:8000"],
        "mail": ["127.0.0.1:8025:8025"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_servers_share_no_network_with_the_world() -> None:
    networks = load_yaml("docker-compose.yaml")["networks"]
    internal = {name for name, options in networks.items() if options.get("internal")}
    for name in ("postgres", "redis", "storage"):
        assert set(SERVICES[name]["networks"]) <= internal


@pytest.mark.parametrize("name", APPLICATION)
def test_application_container_is_locked_down(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service


def test_images_are_pinned_and_name_no_registry() -> None:
    froms = [line.split()[0] for line in dockerfile_instructions("FROM")]
    images = [service["image"] for service in SERVICES.values() if service["image"] != "frankenjet-api"]
    for image in [*froms, *images, load_yaml(".gitlab-ci.yml")["default"]["image"]]:
        repository, _, tag = image.partition(":")
        assert tag, image
        assert tag != "latest", image
        assert "." not in repository.partition("/")[0], image


@pytest.mark.parametrize("name", APPLICATION)
def test_composed_settings_exist(name: str) -> None:
    assert set(SERVICES[name]["environment"]) <= real_settings()


def test_secrets_have_no_default() -> None:
    generated = SERVICES["init-secrets"]["environment"]
    assert generated == {name: f"${{{name}:-}}" for name in generated}
    for service in SERVICES.values():
        names = set(service.get("environment", {})) - set(generated)
        assert not {name for name in names if name.endswith(("PASSWORD", "SECRET", "SECRET_KEY", "SECRET_ACCESS_KEY"))}


def test_composed_environment_is_a_production_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("sh", "scripts/make_env.sh", "--secrets", tmp_path).returncode == 0
    entrypoint = [interpolate(part).replace(SECRETS_FOLDER, str(tmp_path)) for part in SERVICES["app"]["entrypoint"]]
    composed = {name: interpolate(value) for name, value in SERVICES["app"]["environment"].items()}

    # What a developer's .env may say about servers of its own does not reach the container.
    from_env_file = {"DB__URL": "postgresql://x@127.0.0.1/x", "REDIS__URL": "redis://127.0.0.1", "LOG__FILE": "/log"}
    result = run(*entrypoint, "env", env={"PATH": "/usr/bin:/bin", **from_env_file, **composed})
    assert result.returncode == 0, result.stderr
    for name, _, value in (line.partition("=") for line in result.stdout.splitlines()):
        if "__" in name:
            monkeypatch.setenv(name, value)

    settings = read_settings(None)
    assert settings.app.mode == "production"
    assert settings.db.url is None
    assert settings.db.host == "postgres"
    assert settings.db.password.get_secret_value() == (tmp_path / "DB__PASSWORD").read_text()
    assert settings.redis.url is None
    assert settings.redis.host == "redis"
    assert settings.redis.password.get_secret_value() == (tmp_path / "REDIS__PASSWORD").read_text()
    assert settings.log.file is None


def test_image_alone_refuses_to_start_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    modes = re.findall(r"APP__MODE=(\w+)", (ROOT / "Dockerfile").read_text("utf-8"))
    assert modes == ["production"]
    monkeypatch.setenv("APP__MODE", modes[0])
    monkeypatch.setattr(Settings, "model_config", {**Settings.model_config, "env_file": None})
    with pytest.raises(ConfigurationError, match="ACCESS_TOKEN__"):
        get_settings()


def test_image_is_unprivileged_and_starts_in_exec_form() -> None:
    assert dockerfile_instructions("USER")[-1] == "10001:10001"
    assert dockerfile_instructions("STOPSIGNAL") == ["SIGTERM"]
    command = json.loads(dockerfile_instructions("CMD")[-1])
    assert command[:4] == ["python", "main.py", "serve", "--host"]
    assert command == SERVICES["app"]["command"][: len(command)]
    assert json.loads(dockerfile_instructions("HEALTHCHECK")[-1].partition("CMD ")[2])[:2] == ["python", "-c"]


def test_commands_of_the_image_exist() -> None:
    commands: list[Any] = [json.loads(dockerfile_instructions("CMD")[-1])]
    commands += [SERVICES[name]["command"] for name in APPLICATION if name != "init-secrets"]
    for _, script, subcommand, *options in commands:
        text = run_python(script, subcommand, "--help")
        assert text.returncode == 0, text.stderr
        for option in options:
            assert not option.startswith("--") or option in text.stdout, f"{script} {subcommand} {option}"


def test_build_context_holds_what_the_image_copies() -> None:
    rules = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    assert "*" in rules
    from_context = [line for line in dockerfile_instructions("COPY") if not line.startswith("--from")]
    for source in (source for line in from_context for source in shlex.split(line)[:-1]):
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, pattern) for pattern in allowed), source
    for private in (".env", ".git", ".local", "tests"):
        assert not any(fnmatch.fnmatch(private, pattern) for pattern in allowed)
