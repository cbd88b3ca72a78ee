"""Capitals in both directions, currencies, official languages and continents."""

from hypotez.pocket.conversation import Conversation, Pen, ask
from hypotez.pocket.facts.countries import Country, countries

CAPITAL = {
    "en": [
        "(What is|What's|Which city is|Name|Tell me|Give me|Do you know|) the capital of {x}?",
        "(What is|What's) {x}'s capital( city|)?",
        "(Which|What) city is the capital of {x}?",
        "capital of {x}",
        "(Can|Could) you (tell me|name) the capital (city|) of {x}(, please|)?",
        "I need the (name of the|) capital of {x}.",
        "(Please |)(name|tell me) the capital city of {x}.",
        "{x}: what is (its|the) capital?",
        "(Which|What) city serves as the capital of {x}?",
        "What is the capital city (of|in) {x}?",
        "Where is the government of {x}, in which capital?",
        "I would like to know what the capital of {x} is.",
        "{x} - capital?",
        "(Hi|Hello)! What is the capital of {x}?",
        "What is the name of the capital of {x}?",
        "Quick question: capital of {x}?",
        "(My homework asks|The quiz asks) for the capital of {x}. What is it?",
        "(Do you happen to know|Remind me of) the capital of {x}?",
    ],
    "ru": [
        "(Какая|Назови|Назовите|Подскажи|Скажи|) столица {of}?",
        "Какой город — столица {of}?",
        "Какой город является столицей {of}?",
        "столица {of}",
        "(Скажи|Скажите|Подскажите), (пожалуйста, |)какая столица (у|) {of}?",
        "Как называется столица {of}?",
        "Назови столицу {of}(, пожалуйста|).",
        "Ты знаешь столицу {of}?",
        "Какая столица у {of}?",
        "{x}: какая столица?",
        "Столица {of} — это какой город?",
        "Мне нужно знать столицу {of}.",
        "(Привет! |)Напомни столицу {of}.",
        "(Привет|Здравствуйте)! Какая столица {of}?",
    ],
}
COUNTRY = {
    "en": [
        "(Which|What) country (is|has) {c} (as|) (its|the) capital( of|)?",
        "{c} is the capital of (which|what) country?",
        "(Which|What) country's capital is {c}?",
        "Of which country is {c} the capital?",
        "The capital {c} belongs to (which|what) country?",
        "What country is {c} the capital of?",
        "{c} is the capital of...",
        "Which country has {c} as its capital?",
        "(Tell me|Name) the country whose capital is {c}.",
        "{c} - capital of which country?",
        "Whose capital is {c}?",
        "In which country is {c} the capital city?",
        "{c} is whose capital?",
        "(Can|Could) you tell me which country {c} is the capital of?",
        "{c} - which country?",
        "I know the capital {c}. Which country is it?",
        "Which state has {c} as its main city and capital?",
    ],
    "ru": [
        "Столицей какой страны является {c}?",
        "{c} — столица какой страны?",
        "Столица какой страны — {c}?",
        "(Назови|Скажи) страну, столица которой — {c}.",
        "У какой страны столица — {c}?",
        "В какой стране столица — {c}?",
        "{c} - это столица какого государства?",
        "Какой стране принадлежит столица {c}?",
        "{c} столица чего?",
        "Какого государства столица — {c}?",
        "Город {c} — столица какой страны?",
        "Какая страна имеет столицу {c}?",
        "{c} — главный город какой страны?",
        "Скажи, столицей чего является {c}?",
        "{c}: столица какой страны?",
        "Чья столица {c}?",
        "Чья столица — город {c}?",
    ],
}
CURRENCY = {
    "en": [
        "(What is|What's|Name|Tell me|) the currency of {x}?",
        "(What|Which) currency (is used|do they use|do people use) in {x}?",
        "What (money|currency) do (they|people) pay with in {x}?",
        "{x}'s currency?",
        "(Which|What) money (is used|do I need) in {x}?",
        "What is the (official|national) currency (of|in) {x}?",
        "currency of {x}",
        "I am travelling to {x}. (What|Which) currency (is used there|do I need)?",
        "What is {x}'s currency called?",
        "How do you pay in {x}: in what currency?",
        "(Can|Could) you tell me (what|which) currency {x} uses?",
        "What currency does {x} have?",
    ],
    "ru": [
        "Какая валюта (в {in_}|у {of})?",
        "(Назови|Скажи|Подскажи) валюту {of}.",
        "Какие деньги (используют|ходят) в {in_}?",
        "Чем (платят|расплачиваются) в {in_}?",
        "валюта {of}",
        "Какой валютой пользуются в {in_}?",
        "Как называется валюта {of}?",
        "Я еду в отпуск. Какая валюта в {in_}?",
        "Какая (национальная|официальная) валюта {of}?",
        "В какой валюте платят в {in_}?",
        "Какие деньги в {in_}?",
        "Подскажите, какая денежная единица в {in_}?",
        "Что за деньги в {in_}?",
        "(Денежная единица|Национальная валюта) {of}?",
        "Какую валюту брать с собой, если я еду в отпуск? Страна — {x}.",
        "Как называются деньги {of}?",
        "{x}: какая валюта?",
    ],
}
LANGUAGE = {
    "en": [
        "(What|Which) language (is spoken|do they speak|do people speak) in {x}?",
        "What is the (official|main) language (of|in) {x}?",
        "(Which|What) languages (are spoken|are official) in {x}?",
        "Official language of {x}?",
        "What do people speak in {x}?",
        "In {x}, which language is official?",
        "language of {x}",
        "(Tell me|Name) the official language of {x}.",
        "Which language should I learn for {x}?",
        "What language does {x} use?",
        "I am going to {x}. What language do they speak there?",
        "Which language do the people of {x} speak?",
    ],
    "ru": [
        "На каком языке (говорят|разговаривают) в {in_}?",
        "Какой (официальный|государственный|основной) язык в {in_}?",
        "Какой язык в {in_}?",
        "Какие языки (официальные|государственные) в {in_}?",
        "(Назови|Скажи) официальный язык {of}.",
        "Какой язык официальный в {in_}?",
        "официальный язык {of}",
        "Какой государственный язык у {of}?",
        "По-каковски говорят в {in_}, какой там язык?",
        "На каких языках говорят в {in_}?",
        "Подскажи язык {of}.",
        "Язык какого народа официален в {in_}?",
        "{x}: на каком языке там говорят?",
        "Какой язык (государственный|основной) для страны {x}?",
        "На каком языке общаются жители {of}?",
        "Какой язык учить, если я еду в страну? Это {x}.",
        "Язык {of}?",
    ],
}
CONTINENT = {
    "en": [
        "(On|In) (which|what) continent is {x}?",
        "(What|Which) continent is {x} (on|in|part of)?",
        "Where is {x}?",
        "Where is {x} located?",
        "(What|Which) part of the world is {x} in?",
        "{x} is on which continent?",
        "To which continent does {x} belong?",
        "Which continent does {x} belong to?",
        "continent of {x}",
        "Tell me where {x} is.",
        "Where can I find {x} on the map?",
        "Where in the world is {x}?",
        "{x}: which continent?",
        "Is {x} in Europe, Asia, Africa or America?",
        "(Tell me|Name) the continent of {x}.",
        "Which part of the globe is {x} in?",
        "On what continent can I find {x}?",
    ],
    "ru": [
        "На каком (континенте|материке) (находится|расположена|лежит) страна {x}?",
        "Где находится {x}?",
        "В какой части света (находится|расположена|) {x}?",
        "Где расположена страна {x}?",
        "{x} — это где?",
        "{x}: в какой части света?",
        "К какой части света относится {x}?",
        "На каком континенте {x}?",
        "Где на карте {x}?",
        "Скажи, где находится {x}.",
        "В какой части мира {x}?",
        "В какой части света искать {x}?",
        "(Скажите|Подскажите), где (находится|расположена) {x}?",
        "Часть света: {x}?",
        "В какой стороне света лежит {x}, на каком континенте?",
        "{x} на каком материке?",
        "{x} где находится?",
    ],
}
AND = {"en": " and ", "ru": " и "}


def pick(pen: Pen) -> Country:
    """A country, the better known the oftener."""
    return pen.rng.choices(countries(), [c.weight for c in countries()])[0]


def slots(country: Country, pen: Pen, language: str) -> dict[str, str]:
    """The country's name in the cases the templates need."""
    if language == "ru":
        return {"x": country.ru, "of": country.ru_of, "in_": country.ru_in}
    return {"x": pen.one((country.en, *country.also)) if country.also else country.en}


def upper(text: str) -> str:
    """The first letter large, the rest as it is."""
    return text[:1].upper() + text[1:]


def capital(pen: Pen, language: str) -> Conversation:
    """Country to capital."""
    c = pick(pen)
    city = c.capital[language]
    reply = f"The capital of {c.en} is {city}." if language == "en" else f"Столица {c.ru_of} — {city}."
    return ask("capital", language, upper(pen.wording(CAPITAL[language], **slots(c, pen, language))), reply, city, pen)


def country(pen: Pen, language: str) -> Conversation:
    """Capital to country."""
    c = pick(pen)
    city = c.capital[language]
    reply = f"{city} is the capital of {c.en}." if language == "en" else f"{city} — столица {c.ru_of}."
    expected = c.en if language == "en" else c.ru_of
    return ask("country", language, pen.wording(COUNTRY[language], c=city), reply, expected, pen)


def currency(pen: Pen, language: str) -> Conversation:
    """Country to currency."""
    c = pick(pen)
    money = c.currency[language]
    reply = f"The currency of {c.en} is the {money}." if language == "en" else f"Валюта {c.ru_of} — {money}."
    return ask(
        "currency", language, upper(pen.wording(CURRENCY[language], **slots(c, pen, language))), reply, money, pen
    )


def spoken(pen: Pen, language: str) -> Conversation:
    """Country to official languages."""
    c = pick(pen)
    names = AND[language].join(c.languages[language])
    if len(c.languages[language]) == 3:
        first, *rest = c.languages[language]
        names = f"{first}, {AND[language].join(rest)}"
    reply = f"In {c.en} people speak {names}." if language == "en" else f"Официальный язык {c.ru_of} — {names}."
    question = upper(pen.wording(LANGUAGE[language], **slots(c, pen, language)))
    return ask("language", language, question, reply, names, pen)


def continent(pen: Pen, language: str) -> Conversation:
    """Country to continent."""
    c = pick(pen)
    where = c.continent[language]
    reply = f"{upper(c.en)} is in {where}." if language == "en" else f"{c.ru} находится в {where}."
    if c.ru in {"США", "ОАЭ", "Нидерланды", "Филиппины", "Мальдивы", "Коморы"} or c.ru.endswith("Острова"):
        reply = reply.replace("находится", "находятся")
    question = upper(pen.wording(CONTINENT[language], **slots(c, pen, language)))
    return ask("continent", language, question, reply, where, pen)
