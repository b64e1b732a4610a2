"""`main.py local` from nothing: what a stranger sees after `make run`, and what is left when it ends."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.local import remove_local
from tests.support.commands import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

PASSWORD = "correct horse battery staple"
IL_2 = "/api/v1/aircraft/ilyushin-il-2"
WHY = {"comment": "When it really was."}


@pytest.fixture(scope="module")
def from_nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Start the whole service from nothing, as `make run` does."""
    service = Service(tmp_path_factory.mktemp("end-to-end") / "local", APP__DEBUG_HEADERS="true")
    try:
        service.start()
        service.first_screen = service.output.read_text()
        yield service
    finally:
        service.close()
        remove_local(service.directory)


@pytest.fixture
def service(from_nothing: Service) -> Service:
    """Return the running service; a test may have stopped it."""
    if not from_nothing.is_running:
        from_nothing.start()
    return from_nothing


@pytest.fixture
def reader(service: Service) -> Iterator[httpx.Client]:
    """Speak as the public."""
    with service.client() as client:
        yield client


def read(service: Service, path: str) -> Any:
    """Read over a connection that nothing else has used."""
    with service.client() as client:
        answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def create_user(service: Service, email: str, role: str = "editor") -> str:
    """Create an account in a second process; return its id."""
    result = service.run("create-user", "--email", email, "--role", role, "--password-stdin", typed=f"{PASSWORD}\n")
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def log_in(service: Service, email: str) -> str:
    with service.client() as client:
        answer = client.post("/api/v1/auth/login", data={"username": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def test_the_first_screen_names_the_docs_the_health_page_and_an_example(service: Service, reader: httpx.Client) -> None:
    screen = service.first_screen
    addresses = re.findall(rf"http://localhost:{service.port}(/[^\s']*)", screen)
    assert {"/docs", "/api/v1/health", "/api/v1/aircraft/concorde"} <= set(addresses)
    for address in addresses:
        assert reader.get(address).status_code == 200, address
    assert "create-user" in screen
    assert "Traceback" not in screen + service.errors.read_text()


def test_what_the_data_lack_is_reported(service: Service) -> None:
    screen = service.first_screen
    assert "291 aircraft" in screen
    assert screen.count("Not resolved: aircraft ") == 4


def test_concorde_is_there(service: Service) -> None:
    concorde = read(service, "/api/v1/aircraft/concorde")
    assert concorde["first_flight"] == "1969-03-02"
    assert concorde["wingspan_m"] == 25.6
    assert len(concorde["designers"]) == 4
    assert [item["manufacturer"]["name"] for item in concorde["manufacturers"]] == ["British Aircraft Corporation", "Sud Aviation"]
    assert [country["code"] for country in concorde["countries"]] == ["FR", "GB"]


def test_everything_is_healthy(service: Service) -> None:
    health = read(service, "/api/v1/health")
    assert health["status"] == "pass"
    assert set(health["checks"]) == {"database", "schema", "redis"}


def test_an_account_is_created_beside_the_running_service(service: Service, reader: httpx.Client) -> None:
    identifier = create_user(service, "Ada@Example.org")
    assert str(uuid.UUID(identifier)) == identifier
    token = log_in(service, "ada@example.org")
    assert reader.post("/api/v1/tags", json={"name": "x"}, headers={"Authorization": f"Bearer {token}"}).status_code == 201


def test_a_taken_address_is_refused_whatever_its_case(service: Service) -> None:
    create_user(service, "taken@example.org")
    result = service.run("create-user", "--email", "TAKEN@example.org", "--role", "reader", "--password", PASSWORD)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "main.py: There is an account with this address already.\n"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--email", "no address", "--role", "reader", "--password", PASSWORD], "not an address"),
        (["--email", "short@example.org", "--role", "reader", "--password", "short"], "A password has"),
    ],
)
def test_an_unusable_account_is_refused_with_the_reason(service: Service, options: list[str], reason: str) -> None:
    result = service.run("create-user", *options)
    assert (result.returncode, result.stdout) == (1, "")
    assert reason in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_unverified_account_reads_but_does_not_write(service: Service) -> None:
    words = ["--email", "new@example.org", "--role", "editor", "--password-stdin", "--unverified"]
    assert service.run("create-user", *words, typed=f"{PASSWORD}\r\n").returncode == 0
    with service.client(log_in(service, "new@example.org")) as client:
        assert client.get("/api/v1/aircraft/concorde").status_code == 200
        answer = client.post("/api/v1/tags", json={"name": "y"})
    assert (answer.status_code, answer.json()["code"]) == (403, "email_not_verified")


def test_seeding_again_once_does_nothing(service: Service) -> None:
    result = service.run("seed", "--once", "--no-progress")
    assert (result.returncode, result.stdout, result.stderr) == (0, "The starter encyclopedia was loaded before.\n", "")


def test_an_edit_is_there_at_once_and_after_a_restart(service: Service) -> None:
    create_user(service, "editor@example.org")
    token = log_in(service, "editor@example.org")
    version = read(service, IL_2)["version"]
    for value in ("193X", "1939-10~", "1941/1954"):
        with service.client(token) as client:
            etag = client.get(IL_2).headers["etag"]
            answer = client.patch(IL_2, params=WHY, json={"introduced": value}, headers={"If-Match": etag})
        assert answer.status_code == 200, answer.text
        assert read(service, IL_2)["introduced"] == value
    edited = read(service, IL_2)
    assert edited["version"] == version + 3

    assert service.press_ctrl_c() == 0
    assert service.left_behind() == set()
    service.start()

    assert read(service, IL_2) == edited
    assert "Created" not in service.output.read_text()
    with service.client(token) as client:  # the login outlives the restart too
        etag = client.get(IL_2).headers["etag"]
        answer = client.patch(IL_2, params=WHY, json={"introduced": "1941-13"}, headers={"If-Match": etag})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/body/introduced"]


@pytest.mark.parametrize(("workers", "ending"), [(1, "terminate"), (2, "press_ctrl_c"), (2, "terminate")])
def test_workers_serve_until_a_signal_ends_everything_that_was_started(from_nothing: Service, workers: int, ending: str) -> None:
    service = from_nothing
    service.close()
    service.start("--workers", str(workers))
    assert read(service, "/api/v1/health")["status"] == "pass"
    assert service.servers()
    assert workers_that_answer(service, workers) == workers
    assert getattr(service, ending)() == 0
    assert service.left_behind() == set()
    assert "Traceback" not in service.errors.read_text()


def workers_that_answer(service: Service, wanted: int) -> int:
    """Ask over new connections until so many workers have answered."""
    seen: set[str] = set()
    for _ in range(300):
        with service.client() as client:
            seen.add(client.get("/api/v1/health/live").headers["x-worker"])
        if len(seen) == wanted:
            break
    return len(seen)
