"""Days of the week, months and their lengths, and the units of everyday measure."""

import babel

from hypotez.pocket.conversation import Conversation, Pen, ask
from hypotez.pocket.facts.countries import inflect
from hypotez.pocket.lessons.geography import upper

LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
NEIGHBOUR = {
    ("en", "day", 1): ["(What|Which) day (comes|is) after {x}?", "(What|Which) day follows {x}?", "day after {x}",
        "If today is {x}, what day is tomorrow?", "Today is {x}. What day (will it be|is it) tomorrow?", "What is the next day after {x}?", "Which day of the week comes after {x}?"],
    ("en", "day", -1): ["(What|Which) day (comes|is) before {x}?", "(What|Which) day precedes {x}?", "day before {x}",
        "If today is {x}, what day was yesterday?", "Today is {x}. What day was (it |)yesterday?", "What is the day just before {x}?", "Which day of the week comes before {x}?"],
    ("en", "month", 1): ["(What|Which) month (comes|is) after {x}?", "(What|Which) month follows {x}?", "month after {x}",
        "What is the next month after {x}?", "If it is {x} now, what is next month?", "After {x}, which month comes?", "It is {x}. Which month comes next?"],
    ("en", "month", -1): ["(What|Which) month (comes|is) before {x}?", "(What|Which) month precedes {x}?", "month before {x}",
        "What is the month just before {x}?", "If it is {x} now, what was last month?", "Before {x}, which month comes?", "It is {x}. Which month was the last one?"],
    ("ru", "day", 1): ["Какой день (недели |)(идёт |)после {of}?", "Что (идёт |)после {of}?", "день после {of}",
        "Сегодня {x}. Какой день (будет |)завтра?", "Если сегодня {x}, то что завтра?", "Какой день следует за днём {x}?", "Какой день наступает после {of}?"],
    ("ru", "day", -1): ["Какой день (недели |)(идёт |)перед {by}?", "Что (идёт |)перед {by}?", "день перед {by}",
        "Сегодня {x}. Какой день был вчера?", "Если сегодня {x}, то что было вчера?", "Какой день стоит перед {by}?", "Какой день недели бывает перед {by}?"],
    ("ru", "month", 1): ["Какой месяц (идёт |)после {of}?", "Какой месяц следующий после {of}?", "месяц после {of}",
        "Сейчас {x}. Какой месяц следующий?", "Что идёт после {of}?", "После {of} какой месяц?", "Какой месяц наступает после {of}?"],
    ("ru", "month", -1): ["Какой месяц (идёт |)перед {by}?", "Какой месяц предшествует месяцу {x}?", "месяц перед {by}",
        "Сейчас {x}. Какой месяц был до этого?", "Что идёт перед {by}?", "Перед {by} какой месяц?", "Какой месяц бывает перед {by}?"],
}  # fmt: skip
LENGTH = {
    "en": ["How many days (are there |are |does |)(in|has) {x}?", "How many days does {x} have?", "days in {x}", "How long is {x}?",
        "{x}: how many days?", "What is the number of days in {x}?", "Tell me how many days {x} has."],
    "ru": ["Сколько дней в {in_}?", "Сколько суток в {in_}?", "{x} - сколько дней?", "В {in_} сколько дней?", "число дней в {in_}",
        "Какое количество дней в {in_}?", "Скажи, сколько дней длится {x}."],
}  # fmt: skip
ORDINAL = {
    "en": ["(What|Which) is (the |)month number {n}?", "(What|Which) month is number {n}?", "month {n}", "Name month number {n} of the year.",
        "What is the name of month number {n}?", "Which month of the year has number {n}?"],
    "ru": ["Какой месяц (идёт |)под номером {n}?", "Какой месяц номер {n}?", "месяц номер {n}", "Назови месяц номер {n}.", "Какой месяц {n}-й в году?",
        "Как называется месяц с номером {n}?"],
}  # fmt: skip

# unit, parts, number; Russian: genitive plural, prepositional
UNITS = {
    "en": [
        ("a minute", "seconds", 60), ("an hour", "minutes", 60), ("a day", "hours", 24), ("a week", "days", 7), ("a year", "months", 12),
        ("a year", "days", 365), ("a year", "weeks", 52), ("a leap year", "days", 366), ("a decade", "years", 10), ("a century", "years", 100),
        ("a millennium", "years", 1000), ("an hour", "seconds", 3600), ("a week", "hours", 168), ("a kilometre", "metres", 1000),
        ("a metre", "centimetres", 100), ("a metre", "millimetres", 1000), ("a centimetre", "millimetres", 10), ("a kilogram", "grams", 1000),
        ("a gram", "milligrams", 1000), ("a tonne", "kilograms", 1000), ("a litre", "millilitres", 1000), ("a foot", "inches", 12),
        ("a yard", "feet", 3), ("a mile", "feet", 5280), ("a pound", "ounces", 16), ("a gallon", "quarts", 4), ("a dozen", "pieces", 12),
        ("a byte", "bits", 8), ("a kilobyte", "bytes", 1024), ("a dollar", "cents", 100), ("a euro", "cents", 100), ("a right angle", "degrees", 90),
        ("a full circle", "degrees", 360), ("a quarter of an hour", "minutes", 15), ("half an hour", "minutes", 30), ("a hectare", "square metres", 10000),
    ],
    "ru": [
        ("минуте", "секунд", 60), ("часе", "минут", 60), ("сутках", "часов", 24), ("неделе", "дней", 7), ("году", "месяцев", 12), ("году", "дней", 365),
        ("году", "недель", 52), ("високосном году", "дней", 366), ("десятилетии", "лет", 10), ("веке", "лет", 100), ("тысячелетии", "лет", 1000),
        ("часе", "секунд", 3600), ("километре", "метров", 1000), ("метре", "сантиметров", 100), ("метре", "миллиметров", 1000),
        ("сантиметре", "миллиметров", 10), ("килограмме", "граммов", 1000), ("тонне", "килограммов", 1000), ("литре", "миллилитров", 1000),
        ("футе", "дюймов", 12), ("дюжине", "штук", 12), ("байте", "бит", 8), ("килобайте", "байт", 1024), ("рубле", "копеек", 100), ("евро", "центов", 100),
        ("прямом угле", "градусов", 90), ("полном круге", "градусов", 360), ("гектаре", "квадратных метров", 10000), ("получасе", "минут", 30),
    ],
}  # fmt: skip
FEW = {"часов": "часа", "недель": "недели", "байт": "байта"}  # 24 часа, but 60 минут
MANY = {
    "en": ["How many {part} (are there |are |)in {whole}?", "How many {part} does {whole} have?", "{part} in {whole}", "{whole} has how many {part}?",
        "How many {part} make {whole}?", "What is the number of {part} in {whole}?", "Tell me how many {part} there are in {whole}."],
    "ru": ["Сколько {part} в {whole}?", "{part} в {whole}?", "Сколько (всего |){part} (есть|содержится) в {whole}?", "В {whole} сколько {part}?",
        "Сколько {part} (составляет|помещается) в {whole}?", "Какое количество {part} в {whole}?", "Скажи, сколько {part} в {whole}."],
}  # fmt: skip


def names(language: str, which: str) -> list[str]:
    """Monday to Sunday, or January to December."""
    locale = babel.Locale(language)
    table = locale.days if which == "day" else locale.months
    wide = table["stand-alone"]["wide"]
    return [wide[k] for k in sorted(wide)]


def calendar(pen: Pen, language: str) -> Conversation:
    """The neighbour of a day or month, the length of a month, or the month by its number."""
    if pen.chance(0.3):
        return _month(pen, language)
    which = pen.one(("day", "month"))
    all_names = names(language, which)
    i, step = pen.rng.randrange(len(all_names)), pen.one((1, -1))
    x, y = all_names[i], all_names[(i + step) % len(all_names)]
    templates = NEIGHBOUR[language, which, step]
    if language == "en":
        question = pen.wording(templates, x=x)
        reply = f"{y} comes {'after' if step > 0 else 'before'} {x}."
    else:
        of, by = inflect(x, "gent"), inflect(x, "ablt")
        question = upper(pen.wording(templates, x=x, of=of, by=by))
        reply = f"После {of} идёт {y}." if step > 0 else f"Перед {by} идёт {y}."
    return ask("calendar", language, question, reply, y, pen)


def _month(pen: Pen, language: str) -> Conversation:
    months = names(language, "month")
    i = pen.rng.randrange(12)
    x = months[i]
    if pen.chance(0.4):
        reply = f"Month number {i + 1} is {x}." if language == "en" else f"Месяц номер {i + 1} — {x}."
        return ask("calendar", language, pen.wording(ORDINAL[language], n=i + 1), reply, x, pen)
    if language == "en":
        reply = f"{x} has {LENGTHS[i]} days." if i != 1 else "February has 28 days, in a leap year 29."
    else:
        where = inflect(x, "loct")
        reply = (
            f"В {where} {LENGTHS[i]} {'день' if LENGTHS[i] == 31 else 'дней'}."
            if i != 1
            else "В феврале 28 дней, в високосный год 29."
        )
    question = upper(pen.wording(LENGTH[language], x=x, in_=inflect(x, "loct") if language == "ru" else ""))
    return ask("calendar", language, question, reply, str(LENGTHS[i]), pen)


def units(pen: Pen, language: str) -> Conversation:
    """How many parts a unit has."""
    whole, part, n = pen.one(UNITS[language])
    question = upper(pen.wording(MANY[language], whole=whole, part=part))
    counted = FEW.get(part, part) if n % 10 in (2, 3, 4) and n % 100 not in (12, 13, 14) else part
    reply = f"There are {n} {part} in {whole}." if language == "en" else f"В {whole} {n} {counted}."
    return ask("units", language, question, reply, str(n), pen)
