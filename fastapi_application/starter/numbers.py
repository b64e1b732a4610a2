"""Figures that a text gives for an aircraft, compared with the aircraft's fields.

Only what is said in so many words is understood: `a wingspan of 25.6 m`, `first flew on 2 March 1969`,
`размах крыла 25,6 м`. A sentence about another aircraft or about a version is left alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi_application.starter.documents import Record

_UNITS = "one two three four five six seven eight nine".split()  # noqa: SIM905 - so it is read at a glance
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()  # noqa: SIM905
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
_WORDS = {word: number for number, word in enumerate([*_UNITS, *_TEENS], start=1)}
_WORDS |= {tens: 10 * number for number, tens in enumerate(_TENS, start=2)}
_WORDS |= {f"{tens}-{unit}": _WORDS[tens] + _WORDS[unit] for tens in _TENS for unit in _UNITS}
_IN_WORDS = "|".join(sorted(_WORDS, key=len, reverse=True))
# Not what ends a designation, as in Yak-52.
_NUMBER = rf"(?<![\w.,-])(?P<number>\d{{1,3}}(?:[,\u00a0\u202f ]\d{{3}})+(?:\.\d+)?|\d+(?:[.,]\d+)?|(?:{_IN_WORDS})\b)"
_ABOUT = re.compile(
    r"\b(about|around|nearly|almost|over|more than|some|roughly|under|less than|close to|около|почти|более|свыше|примерно)\s*$",
    re.IGNORECASE,
)
_NEAR = r"[^\d.;()]{0,30}?"
_ROUNDED = 0.1
"""How far a figure may be off that the text calls approximate."""

_MONTHS = (
    "january february march april may june july august september october november december",
    "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "январе феврале марте апреле мае июне июле августе сентябре октябре ноябре декабре",
)
_MONTH = {word: number for words in _MONTHS for number, word in enumerate(words.split(), start=1)}
_DATE = re.compile(rf"(?:(?:(?P<day>\d{{1,2}})\s+)?(?P<month>{'|'.join(_MONTH)})\s+)?(?P<year>1[789]\d\d|20\d\d)\b", re.IGNORECASE)
_FIRST_FLIGHT = re.compile(
    r"\b(first flew|first flown|flew first|(?:first|maiden) flight|flew for the first time|took to the air for the first time"
    r"|впервые (?:взлетел|поднял|оторвал)\w*+(?! с )|перв\w+ пол[её]т\w*)",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"\b(version|variant|model|derivative|successor|predecessor|follow-on|replica|second|sister|later|rival|passengers?|women?|man"
    r"|верси|вариант|модификац|втор(?:ой|ая)|преемни)",
    re.IGNORECASE,
)
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]*)\)")
_AIRCRAFT_LINK = re.compile(r"\]\(/api/v1/aircraft/([a-z0-9-]+)\)")
_SENTENCE = re.compile(r"(?<=[.!?»”])\s+(?=[\"“«(\[]*[A-ZА-ЯЁ\d])")


@dataclass(frozen=True, slots=True)
class Pattern:
    """How a text words the value of a field."""

    fields: tuple[str, ...]
    expression: re.Pattern[str]
    factor: float = 1


def _pattern(fields: str, before: str, unit: str, after: str, factor: float = 1) -> Pattern:
    """`before … number unit` or `number unit … after`."""
    named = _NUMBER.replace("number", "number2")
    text = rf"\b(?:{before}){_NEAR}{_NUMBER}{unit}(?![\w/])|{named}{unit}(?![\w/])\s+(?:{after})\b"
    return Pattern(tuple(fields.split()), re.compile(text, re.IGNORECASE), factor)


_METRES, _KILOMETRES, _TONNES = r"\s*(?:m|metres|м|метр\w*)", r"\s*(?:km|kilometres|км|километр\w*)", r"\s*(?:t|tonnes|т|тонн\w*)"
_WEIGHT = r"(?:maximum |full )?(?:take-off|launch|loaded) (?:weight|mass)|взл[её]тн\w+ (?:масс|вес)\w*"
_THINGS = r"(?:aircraft |machines |examples |copies |of them )?"
_BUILT = _THINGS + r"(?:were|had been|have been) (?:built|made|produced|completed)"
_MADE = r"production (?:reached|came to|totalled)|построили|построено|выпустили|выпущено"
PATTERNS = (
    _pattern(
        "wingspan_m rotor_diameter_m",
        r"(?:wing)?span(?:s|ned|ning)?|wings? of|rotor diameter|размах\w*|диаметр\w* (?:несущего )?винта",
        _METRES,
        r"(?:in |of )?(?:wing)?span|(?:tip to tip|across)|в размахе",
    ),
    _pattern("length_m", r"length\b|длин\w+", _METRES, r"long|in length|в длину|длиной"),
    _pattern("service_ceiling_m", r"ceiling|потол\w+", _METRES, r"ceiling"),
    _pattern("range_km", r"\brange|дальност\w+", _KILOMETRES, r"range"),
    _pattern("max_speed_kmh", r"(?:top|maximum) speed|maximum|максимальн\w+ скорост\w+", r"\s*(?:km/h|км/ч)", r"(?:top|maximum) speed"),
    _pattern("max_takeoff_weight_kg", _WEIGHT, r"\s*(?:kg|кг)", r"(?:at take-off|fully loaded)"),
    _pattern("max_takeoff_weight_kg", _WEIGHT, _TONNES, r"(?:at take-off|fully loaded)", 1000),
    _pattern("crew", r"crew of|экипаж\w* из", "", r"crew members"),
    _pattern("number_built", _MADE, "", _BUILT),
)
_CLOSE = 40
"""Characters between `first flew` and its date."""
_MONTH_NAMES = "|".join(_MONTH)
_NOT_A_COUNT = re.compile(rf"\s*(?:{_MONTH_NAMES}|km\b|m\b|kg|year|day|month|of the|год|лет)", re.IGNORECASE)


def plain(markdown: str) -> str:
    """Return the text without headings and the targets of links."""
    text = "\n".join(line for line in markdown.splitlines() if not line.startswith("#"))
    return _LINK.sub(r"\1", text).replace("*", "")


def sentences(markdown: str) -> list[str]:
    """Split Markdown into sentences, links included."""
    paragraphs = [paragraph for paragraph in markdown.split("\n\n") if not paragraph.startswith("#")]
    return [sentence.strip() for paragraph in paragraphs for sentence in _SENTENCE.split(" ".join(paragraph.split()))]


class NumberCheck:
    """Compares texts with aircraft."""

    def __init__(self, aircraft: dict[str, Record]) -> None:
        """Learn the fields, and the names by which other aircraft are mentioned."""
        self._aircraft = aircraft
        self._names: dict[str, set[str]] = defaultdict(set)
        for slug, record in aircraft.items():
            for name in _names(record):
                self._names[name].add(slug)
        longest_first = sorted(self._names, key=len, reverse=True)
        self._any_name = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])")

    def problems(self, markdown: str, subject: str | None = None) -> Iterator[str]:
        """Say what a text has wrong about the one aircraft that a sentence names, or `subject` where it names none."""
        for sentence in sentences(markdown):
            found = self._mentioned(sentence) or {subject}
            slug = found.pop() if len(found) == 1 else None
            if slug is not None and not _OTHERS.search(plain(sentence)):
                yield from self._sentence(plain(sentence), self._aircraft[slug])

    def _mentioned(self, sentence: str) -> set[str | None]:
        named = (slug for name in self._any_name.findall(plain(sentence)) for slug in self._names[name])
        return {*named, *(slug for slug in _AIRCRAFT_LINK.findall(sentence) if slug in self._aircraft)}

    def _sentence(self, text: str, record: Record) -> Iterator[str]:
        for pattern in PATTERNS:
            field = next((name for name in pattern.fields if record.get(name) is not None), None)
            for match in pattern.expression.finditer(text) if field is not None else ():
                yield from _figure(text, match, pattern, field, record)
        yield from _first_flight(text, record)


def _names(record: Record) -> set[str]:
    """The names of an aircraft that cannot be mistaken for ordinary words: those with letters and a digit."""
    names = {record["name"], *(alias["name"] for alias in record["aliases"]), *record["names"].values()}
    names |= {name.rpartition(" ")[2] for name in names}
    return {name for name in names if re.search(r"\d", name) and not name.isdigit()}


def _figure(text: str, match: re.Match[str], pattern: Pattern, field: str | None, record: Record) -> Iterator[str]:
    group = "number" if match["number"] else "number2"
    written, start, end = match[group], match.start(group), match.end(group)
    if field is None or (pattern.fields == ("number_built",) and _NOT_A_COUNT.match(text[end:])):
        return
    value = _value(written) * pattern.factor
    if pattern.fields == ("number_built",) and _DATE.fullmatch(written):
        return
    published = [record[field], *(float(other) for other in record["disputed"].get(field, []) if re.fullmatch(r"[\d.]+", other))]
    about = _ABOUT.search(text[:start]) is not None
    if not any(_agree(value, float(number), _step(written) * pattern.factor, about=about) for number in published):
        yield f"{field} of {record['slug']} is {record[field]:g}, not {written}: “{text}”"


def _value(written: str) -> float:
    if written.lower() in _WORDS:
        return _WORDS[written.lower()]
    grouped = re.sub(r"[,\u00a0\u202f ](?=\d{3}(?!\d))", "", written)
    return float(grouped.replace(",", "."))


def _step(written: str) -> float:
    """The unit of the last digit: 25.6 stands for everything that rounds to it."""
    decimals = re.search(r"[.,](\d{1,2})$", written)
    return 10.0 ** -len(decimals[1]) if decimals else 1


def _agree(value: float, published: float, step: float, *, about: bool) -> bool:
    tolerance = published * _ROUNDED if about else step / 2 if step < 1 or published != int(published) else 0
    return abs(value - published) <= tolerance + 1e-9


def _first_flight(text: str, record: Record) -> Iterator[str]:
    phrase = _FIRST_FLIGHT.search(text)
    if phrase is None or record["first_flight"] is None:
        return
    nearest = next(
        filter(None, (_DATE.search(text, place, place + _CLOSE) for place in (phrase.end(), max(0, phrase.start() - _CLOSE)))), None
    )
    if nearest is None:
        return
    written = _edtf(nearest)
    published = [record["first_flight"], *record["disputed"].get("first_flight", [])]
    if not any(_same_day(written, date) for date in published):
        yield f"first_flight of {record['slug']} is {record['first_flight']}, not {written}: “{text}”"


def _edtf(match: re.Match[str]) -> str:
    parts = [match["year"]]
    if match["month"]:
        parts.append(f"{_MONTH[match['month'].lower()]:02}")
    if match["day"]:
        parts.append(f"{int(match['day']):02}")
    return "-".join(parts)


def _same_day(written: str, published: str) -> bool:
    """Whether one is the other, or less precise."""
    day = published.rstrip("?~%")
    return day.startswith(written) or written.startswith(day)
