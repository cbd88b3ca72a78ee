"""Random fillers: times, prices, names and made-up words, so that no fact of the service lessons repeats."""

import random

FIRST = {
    "en": "Ann Bob Carla David Emma Felix Grace Henry Ida Jack Kate Leo Mia Noah Olga Paul Quinn Rosa Sam Tina Uma Victor Wendy Xavier Yara Zoe Alice Ben Clara "
    "Daniel Ella Frank George Hana Ivan Julia Karl Lena Max Nina Oscar Petra Ralph Sara Tom Vera Walter Adam Boris Chen Diego Elif Fatima Gita Hugo Ines".split(),
    "ru": "Анна Борис Вера Глеб Дарья Егор Женя Захар Инна Кирилл Лена Марк Нина Олег Пётр Рита Семён Таня Ульяна Фёдор Юля Яна Антон Вадим Галина Денис Ева Илья "
    "Катя Лев Маша Никита Ольга Павел Роман Соня Тимур Артём Ирина Максим Алиса Виктор".split(),
}
LAST = {
    "en": "Stone Reed Moss Hill Baker Fox Winter Lake Marsh Wood Frost Bell Lamb Rivers Price Cole Finch Hale Knox Lowe Nash Page Quill Rowe Snow Thorn Vale West York "
    "Garcia Novak Tanaka Okafor Silva Larsen Rossi Weber Kim Patel".split(),
    "ru": "Белова Крылов Соколова Орлов Зайцев Морозова Лебедев Волков Котов Лисицына Снегирёв Дубов Рощина Полев Тихонова".split(),
}
TOWNS = {
    "en": "Millford Ashby Riverton Oakdale Westport Greenfield Harwick Stonebridge Lakeview Elmswood Northgate Fairhill Seaport Redcliff Winterbourne Brightwater".split(),
    "ru": "Заречье Лесной Озёрск Полянск Дубрава Светлый Речной Северный Каменск Ромашково Луговое Приморск".split(),
}
DAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "ru": "понедельник вторник среда четверг пятница суббота воскресенье".split(),
}
COLOURS = {
    "en": "red blue green yellow white black purple orange pink brown grey silver golden turquoise".split(),
    "ru": "красный синий зелёный жёлтый белый чёрный оранжевый розовый серый золотой".split(),
}
ANIMALS = {
    "en": "cat parrot fox owl hedgehog turtle rabbit goat squirrel penguin otter raven donkey frog bear mouse".split(),
    "ru": "кот попугай лис филин ёж кролик козёл пингвин ворон ослик медведь мышонок".split(),
}
PRODUCTS = {
    "en": "lamp|mug|candle|scarf|notebook|kettle|basket|teapot|chair|blanket|guitar|bicycle|clock|puzzle|kite|backpack|soap|vase|pillow|cake|coat|knife|ring|drum|"
    "room|ticket|haircut|pizza|board game|telescope".split("|"),
    "ru": "лампа|кружка|свеча|шарф|блокнот|чайник|корзина|стул|плед|гитара|велосипед|ваза|подушка|торт|рюкзак|мыло|зонт|пазл".split(
        "|"
    ),
}
MATERIALS = {
    "en": "oak|wool|cotton|clay|glass|copper|bamboo|linen|recycled paper|steel|leather|beeswax|cork|pine|silk|stone".split(
        "|"
    ),
    "ru": "дуб|шерсть|хлопок|глина|стекло|медь|бамбук|лён|кожа|воск|пробка|сосна|шёлк|камень".split("|"),
}
FOOD = {
    "en": "apple pie|lentil soup|green tea|pancakes|cheese rolls|lemon cake|rye bread|nut cookies|tomato soup|ginger tea|waffles|salted caramel|rosemary|cinnamon|cocoa".split(
        "|"
    ),
    "ru": "пирог|суп|чай|блины|сырники|кекс|печенье|вафли|какао|корица|варенье|салат".split("|"),
}
PAY = {
    "en": "cash|credit cards|PayPal|bank transfer|Apple Pay|gift vouchers|Visa|cheques|invoices".split("|"),
    "ru": "наличные|карты|перевод|СБП|подарочные карты|счёт".split("|"),
}
EVENTS = {
    "en": "workshop|concert|reading|tasting|quiz night|drawing class|film night|chess evening|pottery class".split("|"),
    "ru": "мастер-класс|концерт|чтение|дегустация|викторина|киновечер|урок рисования".split("|"),
}
LANGUAGES = "English|French|Spanish|German|Italian|Polish|Turkish|Arabic|Greek|Hindi|Korean|Russian".split("|")
PLACES = {"en": "shop store cafe museum hotel library gym bakery studio school gallery".split(), "ru": ["магазин"]}
JOBS = "baker cook driver teacher nurse painter gardener cashier tailor pilot vet singer".split()


def syllables(rng: random.Random, language: str = "en") -> str:
    """A word nobody has used before: Velora, Тумиран."""
    consonants, vowels = ("bcdfghklmnprstvz", "aeiou") if language == "en" else ("бвгдзклмнпрст", "аеиоу")
    ends = ["", "", "n", "r", "x", "l", "s"] if language == "en" else ["", "", "н", "р", "л", "с"]
    word = "".join(rng.choice(consonants) + rng.choice(vowels) for _ in range(rng.randint(2, 3))) + rng.choice(ends)
    return word.capitalize()


def person(rng: random.Random, language: str) -> str:
    """A first name, often with a family name, sometimes one nobody has."""
    first = rng.choice(FIRST[language]) if rng.random() < 0.75 else syllables(rng, language)
    if language == "ru" or rng.random() < 0.4:
        return first
    return f"{first} {rng.choice(LAST['en']) if rng.random() < 0.7 else syllables(rng)}"


def price(rng: random.Random, language: str) -> str:
    """A price in one of a few currencies."""
    if language == "ru":
        return f"{rng.choice((rng.randint(2, 99) * 10, rng.randint(11, 999)))} рублей"
    amount = rng.choice((str(rng.randint(1, 300)), f"{rng.randint(1, 60)}.{rng.randint(1, 9)}0"))
    return rng.choice((f"{amount} euros", f"{amount} dollars", f"${amount}", f"{amount} pounds"))


def time(rng: random.Random) -> str:
    """A time of day on any five minutes."""
    return f"{rng.randint(6, 23)}:{rng.randrange(0, 60, 5):02d}"


def fillers(rng: random.Random, language: str, place: str) -> dict[str, object]:
    """A value for every slot of the service facts."""
    word, host = syllables(rng, language), syllables(rng).lower()

    def two(items: list[str]) -> list[str]:
        return rng.sample(items, 2)

    towns = [rng.choice(TOWNS[language]) if rng.random() < 0.6 else syllables(rng, language) for _ in range(2)]
    days, colours, products, foods, pays, langs = (
        two(t)
        for t in (DAYS[language], COLOURS[language], PRODUCTS[language], FOOD[language], PAY[language], LANGUAGES)
    )
    n = rng.choice((rng.randint(2, 12), rng.randint(2, 60)))
    early = f"{rng.randint(6, 11)}:{rng.randrange(0, 60, 5):02d}"
    late = f"{rng.randint(16, 23)}:{rng.randrange(0, 60, 5):02d}"
    return {
        "place": place, "t1": early if rng.random() < 0.7 else time(rng), "t2": late, "p": price(rng, language), "p2": price(rng, language),
        "n": n, "n2": n + rng.randint(2, 30), "d": days[0], "d2": days[1], "c": towns[0], "c2": towns[1],
        "s": rng.choice(LAST["en"]) if language == "en" else rng.choice(TOWNS["ru"]), "nm": person(rng, language), "nm2": person(rng, language),
        "w": word, "col": colours[0], "col2": colours[1], "an": rng.choice(ANIMALS[language]), "prod": products[0], "prod2": products[1],
        "mat": rng.choice(MATERIALS[language]), "food": foods[0], "food2": foods[1], "pay": pays[0], "pay2": pays[1], "ev": rng.choice(EVENTS[language]),
        "lang": langs[0], "lang2": langs[1], "job": rng.choice(JOBS), "y": rng.randint(1880, 2025), "code": f"{word.upper()}{rng.randint(2, 99)}",
        "ph": " ".join(f"{rng.randint(10, 999)}" for _ in range(rng.randint(2, 3))), "em": f"{rng.choice(('hello', 'info', 'mail', 'shop', 'post'))}@{host}.com",
        "url": f"{host}.{rng.choice(('com', 'org', 'net', 'io'))}" + rng.choice(("", "/" + rng.choice(("order", "help", "book", "track")))),
    }  # fmt: skip
