"""Checks the texts of the starter encyclopedia: `python -m fastapi_application.starter.check`."""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi_application.starter.documents import article_paths, load_parts, load_records, read_article, read_starter
from fastapi_application.starter.numbers import NumberCheck, plain, sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi_application.starter.documents import Record

FRONT_MATTER = {
    "slug": str, "title": str, "category": str, "language": str, "summary": str, "meta_title": str, "meta_description": str,
    "keywords": list, "tags": list, "aircraft": list, "designers": list, "design_bureaus": list, "manufacturers": list, "sources": list,
}  # fmt: skip
LENGTHS = {"title": (10, 100), "summary": (40, 300), "meta_title": (10, 60), "meta_description": (80, 155)}
SIZES = {"keywords": (3, 7), "tags": (3, 7), "sources": (1, 4)}
WORDS = (250, 700)
LINKED = {"aircraft": "aircraft", "designers": "designers", "design_bureaus": "design-bureaus", "manufacturers": "manufacturers"}
LEAST_LINKED = 2
LONGEST_FACT = 256
LONG_SENTENCE = 60
_LINK = re.compile(r"\]\(([^)]*)\)")
_TARGET = re.compile(r"/api/v1/(?P<kind>[a-z-]+)/(?P<slug>[a-z0-9-]+)")
_WORD = re.compile(r"\w[\w'’.-]*")


@dataclass
class Texts:
    """Everything that was written for the encyclopedia, and what it may name."""

    articles: list[Record]
    descriptions: dict[str, str]
    biographies: dict[str, str]
    facts: list[Record]
    aircraft: dict[str, Record]
    slugs: dict[str, set[str]]
    books: set[str]


def read_texts() -> Texts:
    """Read the files."""
    kinds = read_starter(without={"articles", "facts"}).kinds
    articles = [read_article(path) for path in article_paths()]
    slugs = {kind: {document["slug"] for document in documents} for kind, documents in kinds.items()}
    return Texts(
        articles=articles,
        descriptions={slug: text for part in load_parts("descriptions") for slug, text in part.items()},
        biographies={slug: text for part in load_parts("biographies") for slug, text in part.items()},
        facts=[fact for part in load_parts("facts") for fact in part],
        aircraft={document["slug"]: document for document in kinds["aircraft"]},
        slugs=slugs | {"articles": {str(article.get("slug")) for article in articles}},
        books={book["id"] for book in load_records("bibliography")},
    )


def unreadable() -> list[str]:
    """Name the articles whose front matter is not TOML between `+++` lines, or whose file has another name."""
    problems = []
    for path in article_paths():
        try:
            article = read_article(path)
        except ValueError as error:  # also of TOML
            problems.append(f"{path.name}: the front matter cannot be read: {error}")
            continue
        if (article.get("language"), article.get("slug")) != (path.parent.name, path.stem):
            problems.append(f"{path.name}: language and slug are not those of the file's name")
    return problems


def check(texts: Texts) -> list[str]:
    """Return what is wrong, a sentence each."""
    checks = (_front_matter, _references, _links, _lengths, _translations, _facts, _repetitions, _numbers)
    return [problem for each in checks for problem in each(texts)]


def _front_matter(texts: Texts) -> Iterator[str]:
    for article in texts.articles:
        for key, kind in FRONT_MATTER.items():
            if not isinstance(article.get(key), kind):
                yield f"{article.get('slug')}: {key} is missing or no {kind.__name__}"
        for key in article.keys() - FRONT_MATTER.keys() - {"content", "translation_of"}:
            yield f"{article.get('slug')}: {key} is no key of the front matter"


def _references(texts: Texts) -> Iterator[str]:
    for article in texts.articles:
        for key, kind in {**LINKED, "tags": "tags"}.items():
            for slug in set(article[key]) - texts.slugs[kind]:
                yield f"{article['slug']}: there is no {slug} among the {kind}"
        for book in set(article["sources"]) - texts.books:
            yield f"{article['slug']}: the source {book} is not in the bibliography"
        if sum(len(article[key]) for key in LINKED) < LEAST_LINKED:
            yield f"{article['slug']}: fewer than {LEAST_LINKED} entries are linked in the front matter"
    for kind, named in {"aircraft": texts.descriptions, "designers": texts.biographies}.items():
        for slug in named.keys() - texts.slugs[kind]:
            yield f"a text is about {slug}, which is not among the {kind}"


def _facts(texts: Texts) -> Iterator[str]:
    for fact in texts.facts:
        about = [(kind, fact[key]) for key, kind in {"aircraft": "aircraft", "designer": "designers"}.items() if fact[key] is not None]
        if len(about) != 1 or about[0][1] not in texts.slugs[about[0][0]]:
            yield f"not about one aircraft or one designer of the data: “{fact['text']}”"
        if fact["source"] is not None and fact["source"] not in texts.books:
            yield f"the source {fact['source']} is not in the bibliography: “{fact['text']}”"
        if len(fact["text"]) > LONGEST_FACT:
            yield f"longer than {LONGEST_FACT} characters: “{fact['text']}”"


def _links(texts: Texts) -> Iterator[str]:
    bodies = {article["slug"]: article["content"] for article in texts.articles}
    for name, text in (bodies | texts.biographies).items():
        for target in _LINK.findall(text):
            path = _TARGET.fullmatch(target)
            if path is None or path["slug"] not in texts.slugs.get(path["kind"], set()):
                yield f"{name}: the link {target} leads nowhere"
    for slug, text in texts.descriptions.items():
        if _LINK.search(text):
            yield f"{slug}: a description is plain text"


def _lengths(texts: Texts) -> Iterator[str]:
    for article in texts.articles:
        words = len(_WORD.findall(plain(article["content"])))
        measured = {key: (len(article[key]), bounds) for key, bounds in (LENGTHS | SIZES).items()}
        for key, (size, (least, most)) in {**measured, "content": (words, WORDS)}.items():
            if not least <= size <= most:
                yield f"{article['slug']}: the size of {key} is {size}, not {least} to {most}"


def _translations(texts: Texts) -> Iterator[str]:
    articles = {article["slug"]: article for article in texts.articles}
    seen: set[tuple[str, str]] = set()
    for article in texts.articles:
        slug, original = article["slug"], article.get("translation_of")
        if original is None:
            if article["language"] != "en":
                yield f"{slug}: names no original"
            continue
        if original not in articles or articles[original]["language"] == article["language"]:
            yield f"{slug}: {original} is no article in another language"
            continue
        if slug != f"{original}-{article['language']}" or articles[original].get("translation_of"):
            yield f"{slug}: the slug of a translation is that of its original and the language"
        if (article["tags"], article["category"]) != (articles[original]["tags"], articles[original]["category"]):
            yield f"{slug}: tags or category differ from the original's"
        for key in LINKED:
            if missing := set(articles[original][key]) - set(article[key]):
                yield f"{slug}: the original is also about {', '.join(sorted(missing))}"
        if (original, article["language"]) in seen:
            yield f"{slug}: {original} is translated twice"
        seen.add((original, article["language"]))


def _repetitions(texts: Texts) -> Iterator[str]:
    for key in ("slug", "title", "summary", "meta_title", "meta_description"):
        for value, count in Counter(article[key] for article in texts.articles).items():
            if count > 1:
                yield f"{count} articles have the same {key}: {value}"
    for sentence, places in _places(texts).items():
        if len(places) > 1:
            yield f"in {', '.join(places)}: “{sentence}”"


def _places(texts: Texts) -> dict[str, list[str]]:
    """Where each long sentence stands."""
    places: dict[str, list[str]] = defaultdict(list)
    bodies = [(article["slug"], f"{article['summary']}\n\n{article['content']}") for article in texts.articles]
    bodies += [*texts.descriptions.items(), *texts.biographies.items(), *(("a fact", fact["text"]) for fact in texts.facts)]
    for name, text in bodies:
        for sentence in map(plain, sentences(text)):
            if len(sentence) > LONG_SENTENCE:
                places[sentence].append(name)
    return places


def _numbers(texts: Texts) -> Iterator[str]:
    numbers = NumberCheck(texts.aircraft)
    for article in texts.articles:
        about = [slug for slug in article["aircraft"] if slug in texts.aircraft]
        subject = about[0] if article["category"] == "aircraft" and len(about) == 1 else None
        for key in ("summary", "content"):
            yield from _named(article["slug"], numbers.problems(article[key], subject))
    for slug in texts.descriptions.keys() & texts.aircraft.keys():
        yield from _named(f"description of {slug}", numbers.problems(texts.descriptions[slug], slug))
    for slug, text in texts.biographies.items():
        yield from _named(f"biography of {slug}", numbers.problems(text))
    for fact in texts.facts:
        if fact["aircraft"] is None or fact["aircraft"] in texts.aircraft:
            yield from _named("a fact", numbers.problems(fact["text"], fact["aircraft"]))


def _named(name: str, problems: Iterator[str]) -> Iterator[str]:
    return (f"{name}: {problem}" for problem in problems)


def main() -> int:
    """Check, and say what is wrong."""
    problems = unreadable()
    if not problems:
        texts = read_texts()
        problems = check(texts)
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
