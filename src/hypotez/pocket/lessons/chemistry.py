"""Chemical elements: symbol, atomic number, and the way back."""

from hypotez.pocket.conversation import Conversation, Pen, ask
from hypotez.pocket.facts.elements import Element, elements
from hypotez.pocket.lessons.geography import upper

SYMBOL = {
    "en": [
        "(What is|What's|Give me|Tell me|) the (chemical |)symbol (for|of) {x}?",
        "(What|Which) symbol (does {x} have|stands for {x})?",
        "How is {x} written in the periodic table?",
        "{x}: chemical symbol?",
        "symbol of {x}",
        "Which (letters|letter) (stand|stands) for {x} in the periodic table?",
        "What is {x}'s (chemical|) symbol?",
        "How do chemists write {x}?",
        "(Can|Could) you tell me the symbol of (the element|) {x}?",
        "What is the element symbol for {x}?",
        "{x} symbol",
        "What abbreviation does {x} have in the periodic table?",
        "(Short form|Abbreviation) of {x} in chemistry?",
        "Which letters mean {x} in chemistry?",
        "What letters are used for {x}?",
        "Write the symbol of {x}.",
        "How is {x} abbreviated?",
    ],
    "ru": [
        "Какой (химический |)символ (у|) {of}?",
        "(Назови|Скажи|Напиши) символ {of}.",
        "Как обозначается {x}( в таблице Менделеева|)?",
        "символ {of}",
        "Какое обозначение у {of}?",
        "Как обозначают {of_acc} в таблице Менделеева?",
        "Каков химический символ элемента {x}?",
        "{x}: символ?",
        "Какими буквами обозначается {x}?",
        "Химический символ {of}?",
        "Как записывается {x} в химии?",
        "Какой знак у элемента {x}?",
        "Какими буквами пишут элемент {x}?",
        "Сокращение для элемента {x}?",
        "Буквы, которыми обозначают {of_acc}?",
        "Обозначение {of} в таблице Менделеева?",
        "Какой символ у {of}?",
    ],
}
NUMBER = {
    "en": [
        "(What is|What's|Tell me|) the atomic number of {x}?",
        "(What|Which) number is {x} in the periodic table?",
        "What atomic number does {x} have?",
        "How many protons does {x} have?",
        "atomic number of {x}",
        "What is {x}'s (atomic number|number in the periodic table)?",
        "{x}: atomic number?",
        "At which number does {x} stand in the periodic table?",
        "Which place does {x} have in the periodic table?",
        "Give me the atomic number for {x}.",
        "How many protons are there in an atom of {x}?",
        "The number of {x} in the periodic table, please.",
        "{x} has which atomic number?",
        "(Can|Could) you tell me the atomic number of {x}?",
        "Number of protons in {x}?",
        "In which position of the periodic table is {x}?",
        "{x} is element number what?",
    ],
    "ru": [
        "Какой (атомный |порядковый |)номер (у|) {of}?",
        "(Назови|Скажи) атомный номер {of}.",
        "Под каким номером (стоит |)(элемент |){x} в таблице Менделеева?",
        "атомный номер {of}",
        "Какой номер у элемента {x}?",
        "Сколько протонов у {of}?",
        "Каков порядковый номер {of}?",
        "{x}: атомный номер?",
        "Какое место у {of} в таблице Менделеева?",
        "Сколько протонов в атоме {of}?",
        "Номер {of} в таблице Менделеева?",
        "Подскажи номер элемента {x}.",
        "{x} какой по счёту в таблице Менделеева?",
        "Число протонов у {of}?",
        "Каким по счёту идёт {x} в таблице?",
        "{x} — под каким номером?",
        "Скажи, какой номер у {of}.",
    ],
}
BY_SYMBOL = {
    "en": [
        "(Which|What) element (has|is written with) the symbol {s}?",
        "(What|Which) element is {s}?",
        "What does {s} stand for in the periodic table?",
        "{s} is the symbol of which element?",
        "The symbol {s} stands for what?",
        "(Name|Tell me) the element with the symbol {s}.",
        "Chemical symbol {s}: which element is it?",
        "What is {s} in chemistry?",
        "{s} - which element?",
        "What element does {s} mean?",
        "Which chemical element is {s}?",
        "What is the element with the chemical symbol {s} called?",
    ],
    "ru": [
        "(Какой|Что за) элемент обозначается( символом|) {s}?",
        "Какой элемент имеет символ {s}?",
        "Что (значит|означает) {s} в таблице Менделеева?",
        "{s} — (это какой|какой это) элемент?",
        "Что за элемент {s}?",
        "Какому элементу принадлежит символ {s}?",
        "Назови элемент с символом {s}.",
        "Символ {s} — это что?",
        "Что такое {s} в химии?",
        "Какой химический элемент {s}?",
        "{s} - какой элемент?",
        "Как называется элемент {s}?",
    ],
}
BY_NUMBER = {
    "en": [
        "(Which|What) element has (the |)atomic number {n}?",
        "What is element (number |){n}?",
        "(Name|Tell me) the element with atomic number {n}.",
        "Element {n} in the periodic table?",
        "Which element has {n} protons?",
        "Which element is number {n} in the periodic table?",
        "atomic number {n}: which element?",
        "What element stands at number {n}?",
        "What is the {n}th element of the periodic table?",
        "{n} protons: which element is that?",
        "Which chemical element is number {n}?",
        "The atomic number is {n}. Which element is it?",
    ],
    "ru": [
        "Какой элемент (имеет|с) (атомный номер|атомным номером|порядковый номер) {n}?",
        "Какой элемент (стоит |)под номером {n}?",
        "(Назови|Скажи) элемент номер {n}.",
        "Элемент номер {n} в таблице Менделеева?",
        "Что за элемент под номером {n}?",
        "У какого элемента атомный номер {n}?",
        "Какой химический элемент под номером {n}?",
        "У какого элемента {n} протонов?",
        "Номер {n} в таблице Менделеева — какой элемент?",
        "Какой элемент занимает место {n} в таблице Менделеева?",
        "элемент {n}",
        "Атомный номер {n}: что это за элемент?",
    ],
}


def pick(pen: Pen) -> Element:
    """An element, the everyday ones oftener."""
    return pen.rng.choices(elements(), [e.weight for e in elements()])[0]


def symbol(pen: Pen, language: str) -> Conversation:
    """Name to symbol."""
    e = pick(pen)
    name = e.name[language]
    reply = f"The symbol of {name} is {e.symbol}." if language == "en" else f"Символ {e.ru_of} — {e.symbol}."
    accusative = name[:-1] + "у" if name.endswith("а") else name
    question = upper(pen.wording(SYMBOL[language], x=name, of=e.ru_of, of_acc=accusative))
    return ask("symbol", language, question, reply, e.symbol, pen)


def number(pen: Pen, language: str) -> Conversation:
    """Name to atomic number."""
    e = pick(pen)
    name = e.name[language]
    reply = (
        f"The atomic number of {name} is {e.number}." if language == "en" else f"Атомный номер {e.ru_of} — {e.number}."
    )
    question = upper(pen.wording(NUMBER[language], x=name, of=e.ru_of))
    return ask("atomic number", language, question, reply, str(e.number), pen)


def by_symbol(pen: Pen, language: str) -> Conversation:
    """Symbol to name."""
    e = pick(pen)
    name = e.name[language]
    reply = f"{e.symbol} is {name}." if language == "en" else f"{e.symbol} — это {name}."
    question = pen.wording(BY_SYMBOL[language], s=e.symbol)
    turns = ask("element by symbol", language, question, reply, name, pen)
    return turns if e.symbol in turns.question else by_symbol(pen, language)  # lower case would change the symbol


def by_number(pen: Pen, language: str) -> Conversation:
    """Atomic number to name."""
    e = pick(pen)
    name = e.name[language]
    reply = f"Element {e.number} is {name}." if language == "en" else f"Элемент {e.number} — {name}."
    return ask("element by number", language, pen.wording(BY_NUMBER[language], n=e.number), reply, name, pen)
