"""What the user says about himself and asks later; small worlds described in a line or two; words to repeat."""

from hypotez.pocket.conversation import Conversation, Pen, Turn, casual
from hypotez.pocket.lessons import fill
from hypotez.pocket.lessons.geography import upper

# name of the slot -> (statements, questions, answer, what is said when nothing was told)
ABOUT_ME = {
    "en": {
        "name": (["My name is {v}.", "I am {v}.", "I'm {v}.", "Call me {v}.", "You can call me {v}.", "Hi, {v} here."],
                 ["What is my name?", "Who am I?", "Do you (know|remember) my name?", "What am I called?", "Tell me my name.", "How do you call me?", "What's my name?", "Can you tell me what my name is?"], "Your name is {v}."),
        "city": (["I live in {v}.", "I am from {v}.", "My home is {v}.", "I moved to {v}."], ["Where do I live?", "Where am I from?", "Which city do I live in?", "What is my home town?", "Do you know where I live?", "In what town do I live?"], "You live in {v}."),
        "age": (["I am {v} years old.", "My age is {v}.", "I turned {v}."], ["How old am I?", "What is my age?", "Do you know my age?", "Tell me how old I am.", "What age am I?", "How many years old am I?"], "You are {v} years old."),
        "pet": (["My pet is called {v}.", "I have a dog named {v}.", "My cat's name is {v}."], ["What is my pet called?", "What is the name of my pet?", "How is my pet called?", "Do you remember my pet's name?", "Who is my pet?", "What did I call my pet?"], "Your pet is called {v}."),
        "job": (["I work as a {v}.", "I am a {v}.", "My job is {v}."], ["What is my job?", "What do I do (for a living|)?", "What do I work as?", "Do you know my profession?", "What is my profession?", "As what do I work?"], "You work as a {v}."),
        "colour": (["My favourite colour is {v}.", "I like {v} most of all colours.", "I love the colour {v}."], ["What is my favourite colour?", "Which colour do I like?", "What colour do I love?", "Do you know my favourite colour?", "Which colour is my favourite?", "What's my best colour?"], "Your favourite colour is {v}."),
        "number": (["My number is {v}.", "Remember the number {v}.", "My lucky number is {v}."], ["What is my number?", "Which number did I (say|tell you)?", "What number should you remember?", "Do you remember the number?", "Tell me my number.", "What was my number?"], "Your number is {v}."),
        "word": (["The secret word is {v}.", "The password is {v}.", "Remember the word {v}."], ["What is the (secret word|password)?", "Which word did I (say|tell you)?", "What was the word?", "Do you remember the word?", "Tell me the (secret |)word.", "What word should you remember?"], "The word is {v}."),
        "friend": (["My best friend is {v}.", "{v} is my best friend."], ["Who is my best friend?", "What is my friend's name?", "Do you know my friend?", "What is my best friend called?", "Name my best friend.", "Who is my friend?"], "Your best friend is {v}."),
    },
    "ru": {
        "name": (["Меня зовут {v}.", "Я {v}.", "Моё имя {v}.", "Зови меня {v}.", "Привет, я {v}."], ["Как меня зовут?", "Кто я?", "Ты (помнишь|знаешь) моё имя?", "Скажи моё имя.", "Какое у меня имя?", "Как моё имя?"], "Вас зовут {v}."),
        "city": (["Мой город — {v}.", "Я живу в городе {v}.", "Я из города {v}."], ["Где я живу?", "Откуда я?", "В каком городе я живу?", "Какой мой город?", "Из какого я города?", "Ты знаешь, где я живу?"], "Ваш город — {v}."),
        "age": (["Мой возраст: {v}.", "Мне {v}."], ["Сколько мне лет?", "Какой мой возраст?", "Ты знаешь мой возраст?", "Скажи мой возраст.", "Какого я возраста?", "Сколько мне?"], "Ваш возраст: {v}."),
        "pet": (["Моего питомца зовут {v}.", "Мою собаку зовут {v}.", "Кличка моего кота — {v}."], ["Как зовут моего питомца?", "Какая кличка у моего питомца?", "Ты помнишь моего питомца?", "Кто мой питомец?", "Как зовут моего зверя?", "Как я назвал питомца?"], "Вашего питомца зовут {v}."),
        "number": (["Моё число {v}.", "Запомни число {v}.", "Мой номер {v}."], ["Какое моё число?", "Какое число я (назвал|сказал)?", "Какой мой номер?", "Ты помнишь число?", "Скажи моё число.", "Какое было число?"], "Ваше число {v}."),
        "word": (["Секретное слово {v}.", "Пароль: {v}.", "Запомни слово {v}."], ["Какое секретное слово?", "Какой пароль?", "Какое слово я сказал?", "Ты помнишь слово?", "Скажи слово.", "Какое было слово?"], "Слово: {v}."),
        "friend": (["Моего друга зовут {v}.", "Мой лучший друг — {v}."], ["Как зовут моего друга?", "Кто мой (лучший |)друг?", "Ты знаешь моего друга?", "Назови моего друга.", "Какое имя у моего друга?", "Как имя моего друга?"], "Вашего друга зовут {v}."),
    },
}  # fmt: skip
HEARD = {
    "en": ["Noted.", "Nice to know!", "Thank you, I will remember that."],
    "ru": ["Запомнил.", "Спасибо, запомню."],
}
NICE = {"en": "Nice to meet you, {v}!", "ru": "Приятно познакомиться, {v}!"}
NOT_TOLD = {"en": "You have not told me that yet.", "ru": "Вы мне этого ещё не говорили."}
SYSTEM = {
    "en": ["The user's {k} is {v}.", "User {k}: {v}."],
    "ru": ["Пользователь: {k} — {v}.", "О пользователе: {k} {v}."],
}
LABEL = {
    "name": "имя",
    "city": "город",
    "age": "возраст",
    "pet": "питомец",
    "number": "число",
    "word": "слово",
    "friend": "друг",
}

WORLD = {
    "en": [
        ("The {a} is {how} the {b}.", ["Where is the {a}?", "Where can I find the {a}?", "Tell me where the {a} is.", "Where did you put the {a}?", "Do you know where the {a} is?", "In which place is the {a}?"], "The {a} is {how} the {b}."),
        ("{n} has a {col} {a}.", ["Who has the {col} {a}?", "Whose is the {col} {a}?", "Who owns a {col} {a}?", "Which person has the {a}?", "Who has a {a}?", "The {a} is whose?"], "{n} has the {col} {a}."),
        ("{n} has a {col} {a}.", ["What does {n} have?", "What has {n} got?", "Which thing does {n} own?", "What belongs to {n}?", "Tell me what {n} has.", "What is it that {n} has?"], "{n} has a {col} {a}."),
        ("The {a} costs {p}.", ["How much is the {a}?", "What does the {a} cost?", "What is the price of the {a}?", "{a} price?", "Tell me the price of the {a}.", "For how much is the {a}?"], "The {a} costs {p}."),
        ("{n} arrives at {t}.", ["When does {n} arrive?", "At what time does {n} come?", "When will {n} be here?", "What time does {n} arrive?", "When do we expect {n}?", "When is {n} coming?"], "{n} arrives at {t}."),
        ("The colour of the {a} is {col}.", ["What colour is the {a}?", "Which colour has the {a}?", "Tell me the colour of the {a}.", "The {a} is of what colour?", "What is the colour of the {a}?", "How is the {a} coloured?"], "The {a} is {col}."),
        ("{w} is the capital of {w2}.", ["What is the capital of {w2}?", "Which city is the capital of {w2}?", "{w2} has which capital?", "Capital of {w2}?", "Name {w2}'s capital.", "What is {w2}'s capital city?"], "The capital of {w2} is {w}."),
        ("{n} is a {job}.", ["What is {n}?", "What does {n} do?", "What is {n}'s job?", "As what does {n} work?", "Which job does {n} have?", "Tell me the job of {n}."], "{n} is a {job}."),
        ("{w} means {a}.", ["What does {w} mean?", "What is {w}?", "Translate {w}.", "What is the meaning of {w}?", "Explain {w}.", "{w} stands for what?"], "{w} means {a}."),
    ],
    "ru": [
        ("{a} стоит {p}.", ["Сколько стоит {a}?", "Какая цена: {a}?", "Почём {a}?", "Скажи цену: {a}.", "Во сколько обойдётся {a}?", "{a} — сколько стоит?"], "{a} стоит {p}."),
        ("{n} приезжает в {t}.", ["Когда приезжает {n}?", "Во сколько приедет {n}?", "В какое время будет {n}?", "Когда ждать, если едет {n}?", "Когда {n} приедет?", "{n} приезжает когда?"], "{n} приезжает в {t}."),
        ("Цвет такой: {a} — {col}.", ["Какого цвета {a}?", "Какой цвет: {a}?", "Скажи цвет: {a}.", "Цвет, {a}?", "{a} какого цвета?", "{a} — какой цвет?"], "Цвет: {col}."),
        ("{w} — столица страны {w2}.", ["Какая столица страны {w2}?", "Столица страны {w2}?", "Назови столицу страны {w2}.", "Какой город — столица страны {w2}?", "Что за столица у страны {w2}?", "У страны {w2} какая столица?"], "Столица страны {w2} — {w}."),
        ("{w} значит {a}.", ["Что значит {w}?", "Что такое {w}?", "Переведи {w}.", "Какое значение у слова {w}?", "Объясни слово {w}.", "{w} — это что?"], "{w} значит {a}."),
    ],
}  # fmt: skip
REPEAT = {
    "en": ["Repeat: {v}", "Say {v}", "Repeat after me: {v}", "Please say: {v}", "Write {v}", "Echo {v}"],
    "ru": ["Повтори: {v}", "Скажи: {v}", "Повтори за мной: {v}", "Напиши: {v}", "Произнеси: {v}", "Повтори слова: {v}"],
}


def _value(pen: Pen, language: str, slot: str) -> str:
    rng = pen.rng
    if slot in {"name", "friend", "pet"}:
        return fill.person(rng, language).split()[0]
    if slot == "city":
        return str(pen.one(fill.TOWNS[language])) if pen.chance(0.4) else fill.syllables(rng, language)
    if slot == "job":
        return str(pen.one(fill.JOBS))
    if slot == "colour":
        return str(pen.one(fill.COLOURS[language]))
    if slot == "word":
        return (
            fill.syllables(rng, language).lower()
            if pen.chance(0.5)
            else f"{fill.syllables(rng).upper()}{rng.randint(1, 99)}"
        )
    return str(rng.randint(5, 90) if slot == "age" else rng.randint(1, 9999))


def about_me(pen: Pen, language: str) -> Conversation:
    """The user says one to three things about himself and asks for one of them later, or for one he never said."""
    table = ABOUT_ME[language]
    slots = pen.rng.sample(list(table), pen.rng.choice((1, 1, 2, 3)))
    if "word" in slots and "number" in slots:
        slots.remove("number")
    values = {slot: _value(pen, language, slot) for slot in slots}
    asked = pen.one(slots)
    turns: list[Turn] = []
    if pen.chance(0.2):
        lines = [
            pen.one(SYSTEM[language]).format(k=s if language == "en" else LABEL[s], v=v) for s, v in values.items()
        ]
        turns.append(Turn("system", " ".join(lines)))
    else:
        for slot, value in values.items():
            turns.append(Turn("user", pen.one(table[slot][0]).format(v=value)))
            turns.append(
                Turn("assistant", NICE[language].format(v=value) if slot == "name" else pen.one(HEARD[language]))
            )
    if pen.chance(0.2):
        asked = pen.one([s for s in table if s not in slots and not {s, *slots} >= {"word", "number"}])
        turns = turns if pen.chance(0.5) else []
        reply = NOT_TOLD[language]
    else:
        reply = table[asked][2].format(v=values[asked])
    turns += [Turn("user", casual(pen.wording(table[asked][1]), pen.rng)), Turn("assistant", reply)]
    return Conversation("what I told you", language, tuple(turns), values.get(asked, reply.rstrip(".")))


def small_world(pen: Pen, language: str) -> Conversation:
    """One to four statements about invented things, in the system message or before the question; one is asked for."""
    told: list[str] = []
    final = None
    for _ in range(pen.rng.randint(1, 4)):
        drawn = fill.fillers(pen.rng, language, "shop")
        statement, questions, answer = pen.one(WORLD[language])
        slots = {"a": drawn["prod"], "b": drawn["prod2"], "how": pen.one(("on", "under", "next to", "behind", "inside")), "n": drawn["nm"], "t": drawn["t1"],
                 "col": drawn["col"], "p": drawn["p"], "w": drawn["w"], "w2": fill.syllables(pen.rng, language), "job": drawn["job"]}  # fmt: skip
        if any(str(slots[k]) in t for t in told for k in ("a", "n")):
            continue
        told.append(upper(statement.format(**slots)))
        if final is None or pen.chance(0.5):
            final = (upper(pen.wording(questions, **slots)), upper(answer.format(**slots)))
    assert final is not None
    pen.rng.shuffle(told)
    text, (question, reply) = " ".join(told), final
    if pen.chance(0.5):
        turns: tuple[Turn, ...] = (Turn("system", text), Turn("user", casual(question, pen.rng)))
    elif pen.chance(0.5):
        turns = (Turn("user", f"{text} {question}"),)
    else:
        turns = (
            Turn("user", text),
            Turn("assistant", pen.one(HEARD[language])),
            Turn("user", casual(question, pen.rng)),
        )
    return Conversation("small world", language, (*turns, Turn("assistant", reply)), reply.rstrip("."))


def repeat(pen: Pen, language: str) -> Conversation:
    """Say after me: words, made-up words and numbers."""
    rng = pen.rng
    parts = [pen.one((fill.syllables(rng, language), str(rng.randint(0, 999)), pen.one(fill.PRODUCTS[language]), pen.one(fill.FIRST[language])))
             for _ in range(rng.randint(1, 5))]  # fmt: skip
    text = " ".join(parts)
    return Conversation(
        "repeat", language, (Turn("user", pen.wording(REPEAT[language], v=text)), Turn("assistant", text)), text
    )
