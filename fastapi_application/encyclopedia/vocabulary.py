"""The closed vocabularies of the encyclopedia."""

from typing import Literal

AircraftCategory = Literal[
    "airplane",
    "helicopter",
    "autogyro",
    "gyrodyne",
    "convertiplane",
    "glider",
    "airship",
    "balloon",
    "ornithopter",
    "ekranoplan",
    "rocket",
    "spaceplane",
    "uav",
]

EngineType = Literal[
    "piston",
    "turboprop",
    "turboshaft",
    "turbojet",
    "turbofan",
    "propfan",
    "ramjet",
    "pulsejet",
    "rocket",
    "electric",
    "steam",
    "muscle",
    "none",
    "other",
]

AircraftStatus = Literal["project", "prototype", "in_production", "in_service", "out_of_production", "retired"]

Purpose = Literal[
    "experimental",
    "record",
    "civil",
    "airliner",
    "business",
    "utility",
    "transport",
    "cargo",
    "trainer",
    "agricultural",
    "medical",
    "research",
    "historical",
    "space",
    "firefighting",
    "military",
    "fighter",
    "interceptor",
    "attack",
    "bomber",
    "reconnaissance",
    "patrol",
    "tanker",
    "awacs",
    "special",
    "sport",
    "aerobatic",
]

LineageType = Literal["variant_of", "developed_from", "licence_built_from", "replaces"]

ManufacturerKind = Literal["company", "institute", "workshop"]

ArticleCategory = Literal["aircraft", "designer", "design_bureau", "manufacturer", "event", "technology", "fact"]

ArticleStatus = Literal["draft", "in_review", "published", "archived"]

ReviewStatus = Literal["draft", "in_review"]
