"""Look for secrets: in the files of this clone, or with --history in everything that was ever committed.

Exit 0: none. 1: the places are listed, never the secrets. What only looks like one belongs into _SAMPLES.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).resolve().parents[1]
_PLUGINS = [
    {"name": name}
    for name in (
        "ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "CloudantDetector",
        "DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector", "IbmCloudIamDetector", "JwtTokenDetector",
        "MailchimpDetector", "NpmDetector", "OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector",
        "SlackDetector", "SquareOAuthDetector", "StripeDetector", "TelegramBotTokenDetector", "TwilioKeyDetector",
    )
] + [{"name": "HexHighEntropyString", "limit": 3.0}, {"name": "Base64HighEntropyString", "limit": 4.5}]  # fmt: skip
_SAMPLES = [
    "0123456789", "9876543210", "password", "secret", "very-", "p%40ss", "example", "swordfish", "^[a-z-]+$", "^[A-Za-z]+$",
    "e1f0a53c97b24d68", "97b24d68be1f0a53", "1975ea83b712", "kD83hf-92jfKKs", "Zx91mNqLp0sKd7", "hunter2",
    "0af7651916cd", "b7ad6b71692", r"^\.?[\w]*(/[\w.{}-]+)+$",
]  # fmt: skip
"""Of tests and documentation; words and paths, which are no random text."""
_UNSEARCHED = ("poetry.lock", "fastapi_application/starter/", "docs/data/")
"""Hashes of packages and pictures, and texts."""
_FILTERS = [
    {"path": "detect_secrets.filters.heuristic.is_likely_id_string"},
    {"path": "detect_secrets.filters.heuristic.is_sequential_string"},
    {"path": "detect_secrets.filters.heuristic.is_templated_secret"},
    {"path": "detect_secrets.filters.heuristic.is_potential_uuid"},
    {"path": "detect_secrets.filters.regex.should_exclude_secret", "pattern": _SAMPLES},
]


def main(words: list[str]) -> int:
    """Search, and say where."""
    found: list[str] = []
    with transient_settings({"plugins_used": _PLUGINS, "filters_used": _FILTERS}), tempfile.TemporaryDirectory() as folder:
        for name, path in _committed(Path(folder)) if words == ["--history"] else _present():
            found += [f"{name}:{secret.line_number}: {secret.type}" for secret in scan_file(str(path))]
    print("\n".join(sorted(set(found))) or "No secrets.")
    return int(bool(found))


def _git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True).stdout  # noqa: S603, S607 - whichever git there is


def _is_searched(name: str) -> bool:
    return not name.startswith(_UNSEARCHED)


def _present() -> Iterator[tuple[str, Path]]:
    names = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard").decode().split("\0")
    return ((name, ROOT / name) for name in names if _is_searched(name) and (ROOT / name).is_file())


def _committed(folder: Path) -> Iterator[tuple[str, Path]]:
    for line in _git("rev-list", "--objects", "--all").decode().splitlines():
        blob, _, name = line.partition(" ")
        if name and _is_searched(name) and _git("cat-file", "-t", blob) == b"blob\n":
            # Some detectors look at the suffix of the name.
            path = folder / Path(name).name
            path.write_bytes(_git("cat-file", "blob", blob))
            yield f"{blob[:12]} {name}", path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
