"""What the tests of this folder read and run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_settings import SettingsConfigDict
from ruamel.yaml import YAML

from fastapi_application.core.config import Settings

ROOT = Path(__file__).resolve().parents[2]
_SETTING = re.compile(r"^(?:# )?([A-Z][A-Z0-9]*(?:_+[A-Z0-9]+)*)=(.*)$", re.MULTILINE)
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Z0-9_]+)(?::?-([^}]*))?\})")


def load_yaml(name: str) -> dict[str, Any]:
    """Read a YAML file of the project's root."""
    content = YAML(typ="safe").load(ROOT / name)
    assert isinstance(content, dict)
    return content


def compose_services() -> dict[str, dict[str, Any]]:
    """Read the services of docker-compose.yaml as written: variables are not replaced."""
    services = load_yaml("docker-compose.yaml")["services"]
    assert isinstance(services, dict)
    return services


def interpolate(text: str) -> str:
    """Read `text` as compose does when the environment and .env set nothing."""
    return _VARIABLE.sub(lambda match: "$" if match[0] == "$$" else match[2] or "", text)


def real_settings() -> set[str]:
    """List what the application reads, as names of environment variables."""
    names = set()
    for group, field in Settings.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            names |= {f"{group}__{inner.alias or name}".upper() for name, inner in model.model_fields.items()}
        else:
            names.add(group.upper())
    return names


def read_settings(env_file: Path | None) -> Settings:
    """Read the settings from the environment and from `env_file` instead of this clone's .env."""

    class OtherSettings(Settings):
        model_config = SettingsConfigDict(env_file=env_file)

    return OtherSettings()


def example_settings() -> dict[str, str]:
    """Read .env.example: each setting with the value that is shown."""
    return dict(_SETTING.findall((ROOT / ".env.example").read_text("utf-8")))


def run(*command: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; the caller looks at its exit code."""
    arguments = [str(part) for part in command]
    return subprocess.run(arguments, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this interpreter, as the image does."""
    return run(sys.executable, *arguments)
