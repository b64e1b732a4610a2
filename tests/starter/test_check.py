"""The check of the texts: nothing is wrong with ours, and whatever could be wrong is found."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.starter import check as checking
from fastapi_application.starter.check import Texts, check, read_texts
from fastapi_application.starter.numbers import NumberCheck

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def ours() -> Texts:
    return read_texts()


@pytest.fixture
def texts(ours: Texts) -> Texts:
    """Return a copy that a test may spoil."""
    return copy.deepcopy(ours)


def article(texts: Texts, slug: str) -> dict[str, Any]:
    return next(article for article in texts.articles if article["slug"] == slug)


def test_nothing_is_wrong_with_our_texts(ours: Texts) -> None:
    assert checking.unreadable() == []
    assert check(ours) == []
    assert len(ours.articles) > 70


def test_the_command_succeeds_silently(capsys: pytest.CaptureFixture[str]) -> None:
    assert checking.main() == 0
    assert capsys.readouterr() == ("", "")


def test_the_command_fails_and_says_why(texts: Texts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    article(texts, "concorde")["summary"] = ""
    monkeypatch.setattr(checking, "read_texts", lambda: texts)
    assert checking.main() == 1
    assert "concorde: the size of summary is 0" in capsys.readouterr().err


def test_front_matter_that_is_no_toml_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "broken.md": "+++\nslug = \n+++\n\nText.\n",
        "none.md": "Text.\n",
        "other.md": '+++\nslug = "x"\n+++\nText.\n',
    }.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(checking, "article_paths", lambda: sorted(tmp_path.iterdir()))
    assert [problem.partition(":")[0] for problem in checking.unreadable()] == ["broken.md", "none.md", "other.md"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"meta_title": None}, "concorde: meta_title is missing or no str"),
        ({"mood": "happy"}, "concorde: mood is no key of the front matter"),
        ({"aircraft": ["concorde", "concorde-2"]}, "concorde: there is no concorde-2 among the aircraft"),
        ({"tags": ["cold-war", "airliner", "shiny"]}, "concorde: there is no shiny among the tags"),
        ({"sources": []}, "concorde: the size of sources is 0, not 1 to 4"),
        ({"sources": ["hearsay"]}, "concorde: the source hearsay is not in the bibliography"),
        ({"designers": [], "manufacturers": []}, "concorde: fewer than 2 entries are linked in the front matter"),
        ({"summary": "Too short."}, "concorde: the size of summary is 10, not 40 to 300"),
        ({"meta_title": "x" * 61}, "concorde: the size of meta_title is 61, not 10 to 60"),
        ({"meta_description": "x" * 156}, "concorde: the size of meta_description is 156, not 80 to 155"),
        ({"content": "Too few words.\n"}, "concorde: the size of content is 3, not 250 to 700"),
        ({"title": "Tupolev ANT-25"}, "concorde: names no original"),
        ({"translation_of": "no-such-article"}, "concorde: no-such-article is no article in another language"),
    ],
)
def test_what_is_wrong_with_an_article_is_found(texts: Texts, changes: dict[str, Any], problem: str) -> None:
    spoiled = article(texts, "concorde")
    spoiled.update(changes, **({"language": "ru"} if "title" in changes else {}))
    assert problem in _found(texts)


def _found(texts: Texts) -> list[str]:
    """Checks that need a complete front matter do not run without it."""
    try:
        return check(texts)
    except TypeError:
        return list(checking._front_matter(texts))  # noqa: SLF001


@pytest.mark.parametrize("target", ["/api/v1/aircraft/concord", "/api/v1/planes/concorde", "aircraft/concorde", "https://example.org/", ""])
def test_a_link_that_leads_nowhere_is_found(texts: Texts, target: str) -> None:
    article(texts, "concorde")["content"] += f"\nSee [this]({target}).\n"
    texts.biographies["marcel-dassault"] = f"See [that]({target})."
    problems = [problem for problem in check(texts) if "leads nowhere" in problem]
    assert problems == [f"{name}: the link {target} leads nowhere" for name in ("concorde", "marcel-dassault")]


def test_texts_that_say_the_same_are_found(texts: Texts) -> None:
    sentence = "Sixty-one characters or more make a sentence that may stand in only one text of ours."
    for slug in ("concorde", "boeing-707"):
        article(texts, slug)["content"] += f"\n{sentence} Short ones may.\n"
        article(texts, slug)["title"] = "The same title"
    assert check(texts) == ["2 articles have the same title: The same title", f"in boeing-707, concorde: “{sentence}”"]


def test_translations_are_held_to_their_originals(texts: Texts) -> None:
    translated = article(texts, "mig-15-ru")
    translated["aircraft"], translated["tags"] = ["concorde"], ["cold-war", "fighter", "jet-engine"]
    problems = check(texts)
    assert "mig-15-ru: tags or category differ from the original's" in problems
    assert "mig-15-ru: the original is also about mikoyan-gurevich-mig-15" in problems
    translated["translation_of"] = "buran"
    assert "mig-15-ru: the slug of a translation is that of its original and the language" in check(texts)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"text": "x" * 257}, "longer than 256 characters"),
        ({"aircraft": None, "designer": None}, "not about one aircraft or one designer"),
        ({"aircraft": "concorde", "designer": "pierre-satre"}, "not about one aircraft or one designer"),
        ({"aircraft": "concord", "designer": None}, "not about one aircraft or one designer"),
        ({"source": "hearsay"}, "the source hearsay is not in the bibliography"),
    ],
)
def test_what_is_wrong_with_a_fact_is_found(texts: Texts, changes: dict[str, Any], problem: str) -> None:
    texts.facts[0].update(changes)
    assert any(problem in found for found in check(texts))


# --- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "right", "wrong", "field"),
    [
        (
            "ilyushin-il-2",
            "first flew on 2 October 1939",
            "first flew on 2 October 1938",
            "first_flight of ilyushin-il-2 is 1939-10-02, not 1938",
        ),
        ("ilyushin-il-2", "first flew on 2 October 1939", "first flew on 3 October 1939", "first_flight of ilyushin-il-2"),
        ("mig-15", "10.08 m in span", "11.08 m in span", "wingspan_m of mikoyan-gurevich-mig-15 is 10.08, not 11.08"),
        ("mig-15", "At 10.1 m long", "At 10.2 m long", "length_m of mikoyan-gurevich-mig-15"),
        ("mig-15", "top speed is 1,076 km/h", "top speed is 1,067 km/h", "max_speed_kmh of mikoyan-gurevich-mig-15"),
        ("mig-15", "ceiling of 15,500 m", "ceiling of 15,000 m", "service_ceiling_m of mikoyan-gurevich-mig-15"),
        ("mig-21", "11,496 were built", "11,946 were built", "number_built of mikoyan-gurevich-mig-21"),
        ("tupolev-tu-144-ru", "Длина достигла 65,5 м", "Длина достигла 66,5 м", "length_m of tupolev-tu-144"),
    ],
)
def test_a_wrong_figure_in_an_article_is_found(texts: Texts, slug: str, right: str, wrong: str, field: str) -> None:
    spoiled = article(texts, slug)
    assert right in spoiled["content"]
    spoiled["content"] = spoiled["content"].replace(right, wrong)
    (problem,) = check(texts)
    assert problem.startswith(f"{slug}: {field}")


@pytest.mark.parametrize(
    "sentence",
    [
        "It first flew in 1968.",
        "Its maiden flight, on 2 March 1970, was short.",
        "Впервые взлетел он 2 марта 1968 года.",
        "It has a wingspan of 26.5 m.",
        "It spans 25.7 metres.",
        "Размах крыла 26,5 м.",
        "It is 60 m long.",
        "It has a range of 7,000 km.",
        "It reaches a top speed of 2,500 km/h.",
        "It has a maximum take-off weight of 195 tonnes.",
        "It flew with a crew of two.",
        "Twenty-one were built.",
        "About 30 were built.",
        "Построили 21 машину.",
        "The Concorde has a span of about 29 m.",
    ],
)
def test_a_wrong_figure_is_found(ours: Texts, sentence: str) -> None:
    assert len(list(NumberCheck(ours.aircraft).problems(sentence, "concorde"))) == 1


@pytest.mark.parametrize(
    "sentence",
    [
        "It first flew in 1969.",
        "It first flew on 2 March 1969.",
        "Впервые взлетел он 2 марта 1969 года.",
        "It has a wingspan of 25.6 m.",
        "It has a span of about 26 m.",
        "Размах крыла 25,6 м.",
        "It flew with a crew of three.",
        "Twenty were built.",
        "It first flew with passengers in 1976.",
        "A later version has a span of 30 m.",
        "The [Vulcan](/api/v1/aircraft/avro-vulcan) and the [747](/api/v1/aircraft/boeing-747) have a wingspan of 99 m.",
        "The Tu-144 was faster, with a crew of three.",
    ],
)
def test_what_is_right_or_about_something_else_is_left_alone(ours: Texts, sentence: str) -> None:
    assert list(NumberCheck(ours.aircraft).problems(sentence, "concorde")) == []


def test_a_disputed_value_is_accepted(ours: Texts) -> None:
    aircraft = copy.deepcopy(ours.aircraft)
    aircraft["concorde"]["disputed"] = {"wingspan_m": ["25.55"], "first_flight": ["1969-04-09"]}
    sentence = "It first flew on 9 April 1969. It has a wingspan of 25.55 m."
    assert list(NumberCheck(aircraft).problems(sentence, "concorde")) == []
    assert len(list(NumberCheck(ours.aircraft).problems(sentence, "concorde"))) == 2


def test_a_linked_aircraft_is_the_one_that_is_meant(ours: Texts) -> None:
    sentence = "The [Lancaster](/api/v1/aircraft/avro-lancaster) has a wingspan of 25.6 m."
    (problem,) = NumberCheck(ours.aircraft).problems(sentence, "concorde")
    assert problem.startswith("wingspan_m of avro-lancaster")
