"""English and Russian labels of every value of every vocabulary."""

from typing import Final

type Labels = dict[str, tuple[str, str]]

AIRCRAFT_CATEGORY: Final[Labels] = {
    "airplane": ("Airplane", "Самолёт"),
    "helicopter": ("Helicopter", "Вертолёт"),
    "autogyro": ("Autogyro", "Автожир"),
    "gyrodyne": ("Gyrodyne", "Винтокрыл"),
    "convertiplane": ("Convertiplane", "Конвертоплан"),
    "glider": ("Glider", "Планёр"),
    "airship": ("Airship", "Дирижабль"),
    "balloon": ("Balloon", "Аэростат"),
    "ornithopter": ("Ornithopter", "Орнитоптер"),
    "ekranoplan": ("Ekranoplan", "Экраноплан"),
    "rocket": ("Rocket", "Ракета"),
    "spaceplane": ("Spaceplane", "Космоплан"),
    "uav": ("Unmanned aerial vehicle", "Беспилотный летательный аппарат"),
}

ENGINE_TYPE: Final[Labels] = {
    "piston": ("Piston engine", "Поршневой двигатель"),
    "turboprop": ("Turboprop", "Турбовинтовой двигатель"),
    "turboshaft": ("Turboshaft", "Турбовальный двигатель"),
    "turbojet": ("Turbojet", "Турбореактивный двигатель"),
    "turbofan": ("Turbofan", "Турбовентиляторный двигатель"),
    "propfan": ("Propfan", "Винтовентиляторный двигатель"),
    "ramjet": ("Ramjet", "Прямоточный двигатель"),
    "pulsejet": ("Pulsejet", "Пульсирующий двигатель"),
    "rocket": ("Rocket engine", "Ракетный двигатель"),
    "electric": ("Electric motor", "Электродвигатель"),
    "steam": ("Steam engine", "Паровая машина"),
    "muscle": ("Muscle power", "Мускульная сила"),
    "none": ("None", "Нет"),
    "other": ("Other", "Другой"),
}

AIRCRAFT_STATUS: Final[Labels] = {
    "project": ("Project", "Проект"),
    "prototype": ("Prototype", "Прототип"),
    "in_production": ("In production", "Производится"),
    "in_service": ("In service", "Эксплуатируется"),
    "out_of_production": ("Out of production", "Снят с производства"),
    "retired": ("Retired", "Снят с эксплуатации"),
}

PURPOSE: Final[Labels] = {
    "experimental": ("Experimental", "Экспериментальный"),
    "record": ("Record", "Рекордный"),
    "civil": ("Civil", "Гражданский"),
    "airliner": ("Airliner", "Авиалайнер"),
    "business": ("Business", "Деловой"),
    "utility": ("Utility", "Многоцелевой"),
    "transport": ("Transport", "Транспортный"),
    "cargo": ("Cargo", "Грузовой"),
    "trainer": ("Trainer", "Учебно-тренировочный"),
    "agricultural": ("Agricultural", "Сельскохозяйственный"),
    "medical": ("Medical", "Санитарный"),
    "research": ("Research", "Исследовательский"),
    "historical": ("Historical", "Исторический"),
    "space": ("Space", "Космический"),
    "firefighting": ("Firefighting", "Пожарный"),
    "military": ("Military", "Военный"),
    "fighter": ("Fighter", "Истребитель"),
    "interceptor": ("Interceptor", "Перехватчик"),
    "attack": ("Attack", "Штурмовик"),
    "bomber": ("Bomber", "Бомбардировщик"),
    "reconnaissance": ("Reconnaissance", "Разведчик"),
    "patrol": ("Patrol", "Патрульный"),
    "tanker": ("Tanker", "Заправщик"),
    "awacs": ("Airborne early warning", "Дальнее радиолокационное обнаружение"),
    "special": ("Special purpose", "Специальный"),
    "sport": ("Sport", "Спортивный"),
    "aerobatic": ("Aerobatic", "Пилотажный"),
}

LINEAGE_TYPE: Final[Labels] = {
    "variant_of": ("Variant of", "Вариант"),
    "developed_from": ("Developed from", "Развитие"),
    "licence_built_from": ("Built under licence from", "Лицензионная постройка"),
    "replaces": ("Replaces", "Приходит на смену"),
}

MANUFACTURER_KIND: Final[Labels] = {
    "company": ("Company", "Компания"),
    "institute": ("Institute", "Институт"),
    "workshop": ("Workshop", "Мастерская"),
}

ARTICLE_CATEGORY: Final[Labels] = {
    "aircraft": ("Aircraft", "Летательный аппарат"),
    "designer": ("Designer", "Конструктор"),
    "design_bureau": ("Design bureau", "Конструкторское бюро"),
    "manufacturer": ("Manufacturer", "Производитель"),
    "event": ("Event", "Событие"),
    "technology": ("Technology", "Технология"),
    "fact": ("Fact", "Факт"),
}

ARTICLE_STATUS: Final[Labels] = {
    "draft": ("Draft", "Черновик"),
    "in_review": ("In review", "На рецензии"),
    "published": ("Published", "Опубликована"),
    "archived": ("Archived", "В архиве"),
}

ALIAS_KIND: Final[Labels] = {
    "nickname": ("Nickname", "Прозвище"),
    "nato": ("NATO reporting name", "Кодовое обозначение НАТО"),
    "military_designation": ("Military designation", "Военное обозначение"),
    "company_designation": ("Company designation", "Обозначение изготовителя"),
    "transliteration": ("Transliteration", "Транслитерация"),
    "other": ("Other", "Другое"),
}

EVENT: Final[Labels] = {
    "first_flight": ("First flight", "Первый полёт"),
    "introduced": ("Introduced", "Начало эксплуатации"),
    "retired": ("Retired", "Снятие с эксплуатации"),
    "first_run": ("First run", "Первый запуск"),
    "born": ("Born", "Рождение"),
    "died": ("Died", "Смерть"),
    "founded": ("Founded", "Основание"),
    "dissolved": ("Dissolved", "Ликвидация"),
}

VOCABULARIES: Final[dict[str, Labels]] = {
    "aircraft_category": AIRCRAFT_CATEGORY,
    "engine_type": ENGINE_TYPE,
    "aircraft_status": AIRCRAFT_STATUS,
    "purpose": PURPOSE,
    "lineage_type": LINEAGE_TYPE,
    "manufacturer_kind": MANUFACTURER_KIND,
    "article_category": ARTICLE_CATEGORY,
    "article_status": ARTICLE_STATUS,
    "alias_kind": ALIAS_KIND,
    "event": EVENT,
}
