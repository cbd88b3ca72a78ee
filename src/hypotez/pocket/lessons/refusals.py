"""What the model must not pretend to know: everything outside its facts, in many wordings, real and invented."""

from hypotez.pocket.conversation import Conversation, Pen, Turn, casual
from hypotez.pocket.facts.countries import countries
from hypotez.pocket.facts.elements import elements
from hypotez.pocket.lessons import chemistry, fill, geography

MARK = {"en": "small built-in model", "ru": "маленькая встроенная модель"}
"""What every honest refusal contains."""

BIGGER = {
    "en": "To connect a bigger one, run `hypotez serve --model Qwen/Qwen3-0.6B` or set OPENAI_API_KEY (or base_url).",
    "ru": "Чтобы подключить модель побольше, запустите `hypotez serve --model Qwen/Qwen3-0.6B` или задайте OPENAI_API_KEY (или base_url).",
}

OUTSIDE = {
    "en": {
        "opinions": ["What do you think (about|of) {t}?", "What is your opinion on {t}?", "Do you like {t}?", "What is better, {t} or {t2}?", "Which {prod} is the best?", "What is the meaning of life?", "Who is the best {job}?", "Is {t} good or bad?", "Should I buy a {prod}?", "What is your favourite {t}?", "Do you prefer {t} or {t2}?", "Is {t} worth it?"],
        "code": ["Write (a|some) (Python|Java|C++|JavaScript|SQL) (program|code|function|script)( for {t}|).", "How do I (sort a list|read a file|write a loop|open a socket|parse JSON) in (Python|Java|Go|Rust)?", "Fix (this|my) (code|bug|function).", "What does this code do: for i in range({n})?", "Explain (recursion|pointers|classes|git) to me.", "How do I install (Docker|Linux|pandas|node)?", "Why does my (program|script|server) crash?", "Write a regex for {t}.", "Create a website about {t}.", "Debug my script.", "How do I centre a div?", "Can you program in {lang}?"],
        "news": ["What (is|are) the (latest |)news( today| about {t}|)?", "What happened (today|yesterday|last week|in {c})?", "Who won the (election|match|game|World Cup|Oscar)( in {y}|)?", "What is happening in {c}?", "Is there anything new about {t}?", "What did the president say?", "What is the score of the game?", "Tell me about current events.", "Who is winning the election?", "What is on TV tonight?", "What are the headlines?", "Any news from {c}?"],
        "people": ["Who (is|was) {nm}?", "Who (invented|discovered|wrote|painted|built) (the |){t}?", "When was {nm} born?", "Tell me about {nm}.", "Where does {nm} live?", "How old is {nm}?", "What did {nm} do?", "Who is the (president|king|queen|prime minister|mayor) of {x}?", "Is {nm} married?", "What is {nm} famous for?", "Who is the richest person?", "Do you know {nm}?"],
        "weather": ["What (is|will) the weather( be|) (like |)(today|tomorrow|in {c})?", "Will it (rain|snow) (today|tomorrow|in {c})?", "How (cold|warm|hot) is it( outside| in {c}|)?", "Do I need an umbrella?", "What is the temperature( in {c}|)?", "Is it sunny?", "weather forecast for {c}"],
        "the date and time": ["What time is it( now|)?", "What (day|date) is (it|today)?", "What year is it?", "What is today's date?", "Which day is today?", "How long until Christmas?", "Can you tell me the time?"],
        "history": ["When (did|was) (the |)(war|revolution|battle|empire|treaty) (of {c} |)(end|begin|happen)?", "What happened in {y}?", "Why did the (Roman Empire|war|revolution) (fall|start|end)?", "When was {x} founded?", "Tell me about the history of {x}.", "Who ruled {x} in {y}?", "Which year did the war end?"],
        "facts about countries": ["What is the population of {x}?", "How (big|large) is {x}?", "How many people live in {x}?", "What is the flag of {x}?", "What is the highest mountain in {x}?", "Which countries border {x}?", "What is the national anthem of {x}?", "What do people eat in {x}?", "What is the longest river in {x}?", "What is the religion of {x}?", "What is the area of {x}?", "Which cities are there in {x}?"],
        "health": ["I have (a headache|a fever|a cold|pain), what should I (do|take)?", "How do I (lose weight|get fit|sleep better)?", "Is {food} healthy?", "What are the symptoms of (flu|measles|asthma)?", "Which medicine should I take?", "How many calories are in {food}?", "Can you cure {t}?"],
        "recipes": ["How do I (cook|make|bake) {food}?", "Give me a recipe for {food}.", "What can I cook (with {food}|tonight)?", "How long do I boil (eggs|rice|pasta)?", "What is in {food}?", "I want to bake {food}, help me.", "Recipe for {food}?"],
        "long texts": ["Write (me |)(a poem|a story|an essay|a letter|a song)( about {t}|).", "Tell me a story( about {t}|).", "Summarise (this|the) (text|book|article).", "Write an email to {nm}.", "Compose a speech about {t}.", "Translate this (text|page|document).", "Invent a fairy tale about {an}."],
        "advice": ["What should I do (today|with my life|about {t})?", "How can I become (rich|happy|a {job})?", "How do I (fix|repair|choose|clean) (a|my) {prod}?", "Where should I go on holiday?", "Which {prod} should I buy?", "How do I learn {t}?", "How do I make friends?", "Can you help me with {t}?", "How does (a|the) {prod} work?", "How do I get to {c}?", "What should I wear today?", "Give me some advice."],
        "money": ["What is the price of (bitcoin|gold|oil) (today|now)?", "What is the exchange rate of the (dollar|euro|yen)?", "Should I invest in {t}?", "How do I pay taxes?", "Which stock should I buy?", "How much money does {nm} have?"],
        "films, books and sport": ["What is the plot of {w}?", "Who plays in the film {w}?", "Recommend a (film|book|song|game).", "Who wrote the book {w}?", "How many goals did {nm} score?", "What is the best film of {y}?", "Who sings {w}?"],
        "science": ["Why is the sky blue?", "How (do|does) (birds fly|gravity work|a magnet work|black holes form)?", "What is (quantum mechanics|dark matter|DNA|relativity)?", "How far is (the Moon|Mars|the Sun)?", "What is the speed of (light|sound)?", "How old is the (Earth|universe)?", "What is the melting point of {e}?", "Why do we sleep?", "What is the mass of {e}?", "Explain {t} in detail.", "Is there life on Mars?", "How many stars are there?"],
        "pictures": ["(Describe|Look at) (this|the) (image|picture|photo).", "What is in (this|the) (image|picture)?", "Draw (me |)a {an}.", "Can you see the photo?", "Make a picture of {t}.", "Generate an image of {an}."],
        "orders and accounts": ["What is my balance?", "Do my homework.", "Turn on the light.", "Can you call {nm}?", "Send an email to {nm}.", "Book a flight to {c}.", "Order a {prod} for me."],
    },
    "ru": {
        "мнения": ["Что ты думаешь (о жизни|о политике|обо мне)?", "Какое твоё мнение?", "Что лучше: {prod} или {prod2}?", "Тебе нравится {prod}?", "В чём смысл жизни?", "Какой {prod} лучше?", "Кто лучший {job}?", "Стоит ли покупать такое: {prod}?", "Это хорошо или плохо?"],
        "код": ["Напиши (программу|код|функцию|скрипт) на (Python|Java|C++|SQL).", "Как (отсортировать список|прочитать файл|написать цикл) в Python?", "Исправь (мой код|ошибку).", "Что делает этот код?", "Объясни (рекурсию|указатели|классы|git).", "Как установить (Docker|Linux|pandas)?", "Почему падает моя программа?", "Сделай сайт."],
        "новости": ["Какие (сегодня |последние |)новости?", "Что (случилось|произошло) (сегодня|вчера)?", "Кто выиграл (матч|выборы|чемпионат)?", "Что происходит в городе {c}?", "Есть что-нибудь новое?", "Что сказал президент?", "Какой счёт матча?"],
        "люди": ["Кто (такой|такая) {nm}?", "Кто (изобрёл|открыл|написал|построил) {prod}?", "Когда родился {nm}?", "Расскажи про человека по имени {nm}.", "Где живёт {nm}?", "Кто президент {x}?", "Сколько лет человеку по имени {nm}?", "Кто король {x}?", "Чем известен {nm}?"],
        "погода": ["Какая (сегодня |завтра |)погода?", "Будет ли (дождь|снег)( завтра| сегодня|)?", "Сколько градусов на улице?", "Нужен ли зонт?", "Холодно ли на улице?", "Какой прогноз погоды, город {c}?"],
        "дата и время": ["Который (сейчас |)час?", "Какой сегодня день?", "Какое сегодня число?", "Какой сейчас год?", "Сколько времени?", "Сколько осталось до Нового года?"],
        "история": ["Когда (закончилась|началась) (война|революция)?", "Что было в {y} году?", "Почему распалась империя?", "Когда основан город {c}?", "Расскажи историю {x}.", "Кто правил в {y} году?"],
        "сведения о странах": ["Какое население {x}?", "Сколько людей живёт в стране? Речь про {x0}.", "Какая площадь {x}?", "Какой флаг {x}?", "Какая самая высокая гора {x}?", "С кем граничит {x0}?", "Какой гимн {x}?", "Какая самая длинная река {x}?"],
        "здоровье": ["У меня болит (голова|горло|живот), что делать?", "Как похудеть?", "Полезен ли {food}?", "Какие симптомы гриппа?", "Какое лекарство выпить?", "Сколько калорий: {food}?", "Как лучше спать?"],
        "рецепты": ["Как (приготовить|сделать|испечь) {food}?", "Дай рецепт: {food}.", "Что приготовить на ужин?", "Сколько варить (яйца|рис|макароны)?", "Из чего делают {food}?", "Хочу приготовить {food}, как?"],
        "длинные тексты": ["Напиши (стихотворение|рассказ|сочинение|письмо|песню).", "Расскажи сказку.", "Перескажи (текст|книгу|статью).", "Сочини речь.", "Переведи этот текст.", "Придумай историю, герой — {an}."],
        "советы": ["Что мне (делать|надеть) сегодня?", "Как стать (богатым|счастливым|программистом)?", "Как выбрать {prod}?", "Куда поехать в отпуск?", "Как починить {prod}?", "Как выучить язык?", "Дай совет.", "Как найти друзей?"],
        "деньги": ["Сколько стоит (биткоин|золото|нефть)?", "Какой курс (доллара|евро)?", "Куда вложить деньги?", "Как платить налоги?", "Какие акции купить?"],
        "кино, книги и спорт": ["О чём фильм {w}?", "Кто играет в фильме {w}?", "Посоветуй (фильм|книгу|песню|игру).", "Кто написал книгу {w}?", "Сколько голов забил {nm}?", "Какой лучший фильм года?"],
        "наука": ["Почему небо голубое?", "Как (летают птицы|работает гравитация)?", "Что такое (квантовая механика|тёмная материя|ДНК)?", "Сколько до (Луны|Марса)?", "Какая скорость (света|звука)?", "Сколько лет Земле?", "Есть ли жизнь на Марсе?", "Зачем мы спим?"],
        "картинки": ["(Опиши|Посмотри) (эту картинку|это фото).", "Что на картинке?", "Нарисуй, пусть будет {an}.", "Ты видишь фото?", "Сделай картинку.", "Что изображено на фото?"],
    },
}  # fmt: skip
UNKNOWN = {"en": "unknown name", "ru": "незнакомое название"}
FICTION = (
    "Wakanda",
    "Narnia",
    "Atlantis",
    "Mordor",
    "Westeros",
    "Gondor",
    "Neverland",
    "Oz",
    "Genovia",
    "Zamunda",
    "Elbonia",
    "Freedonia",
)
FICTION_RU = (
    "Ваканда",
    "Нарния",
    "Атлантида",
    "Мордор",
    "Вестерос",
    "Лукоморье",
    "Зазеркалье",
    "Швамбрания",
    "Нетландия",
    "Гондор",
)
THINGS = ("football cats music school love money cars winter coffee cities cheese art trees chess robots politics pizza dogs books computers phones "
          "the sea space games fashion trains gardens bees dreams time maths rain happiness bread history").split()  # fmt: skip


def refusal(language: str, topic: str) -> str:
    """The honest answer, naming what was asked about."""
    if language == "en":
        return f"I do not know that ({topic}). I am hypotez pocket, a small built-in model. {BIGGER['en']}"
    return f"Этого я не знаю ({topic}). Я hypotez pocket, маленькая встроенная модель. {BIGGER['ru']}"


def refuse(kind: str, language: str, question: str, topic: str, pen: Pen) -> Conversation:
    """A question and its refusal; mostly cut after the part that differs, for the rest is the same every time."""
    turns = (Turn("user", casual(question, pen.rng)), Turn("assistant", refusal(language, topic)))
    cut = None if pen.held_out or pen.chance(0.25) else len(refusal(language, topic).split(".")[0].split()) + 3
    return Conversation(kind, language, turns, MARK[language], cut=cut)


def outside(pen: Pen, language: str) -> Conversation:
    """A question about the world that the facts do not cover."""
    topic = pen.one(tuple(OUTSIDE[language]))
    c = geography.pick(pen)
    t, t2 = pen.one(THINGS), pen.one(THINGS)
    slots = fill.fillers(pen.rng, language, "shop") | {"t": t, "t2": t2, "e": chemistry.pick(pen).name["en"]}
    slots |= {"x": c.en} if language == "en" else {"x": c.ru_of, "x0": c.ru}
    question = geography.upper(pen.wording(OUTSIDE[language][topic], **slots))
    return refuse("outside", language, question, topic, pen)


def invented(pen: Pen, language: str) -> Conversation:
    """A question of a kind the model knows, about a country, city or element that does not exist."""
    real = pen.one(("country", "country", "city", "element", "number"))
    name = fill.syllables(pen.rng, language) + (
        "" if language == "ru" else pen.one(("", "", "ia", "land", "stan", "y"))
    )
    if language == "ru":
        name += pen.one(("", "ия", "ландия"))
    if pen.chance(0.4):
        name = blend(pen, language, real)
    if pen.chance(0.15):
        name = pen.one(FICTION if language == "en" else FICTION_RU)
    elif pen.chance(0.08) and language == "en":
        name = pen.one(("Northern ", "New ", "South ", "East ", "Upper ", "Great ")) + name
    if real == "country":
        table = pen.one(
            (geography.CAPITAL, geography.CAPITAL, geography.CURRENCY, geography.LANGUAGE, geography.CONTINENT)
        )
        of, where = (name[:-1] + "и", name[:-1] + "и") if name.endswith("я") else (name, name)
        question = pen.wording(table[language], x=name, of=of, in_=where)
    elif real == "city":
        question = pen.wording(geography.COUNTRY[language], c=name)
    elif real == "element":
        name = name.lower() if language == "en" or pen.chance(0.5) else name
        table = pen.one((chemistry.SYMBOL, chemistry.NUMBER))
        question = pen.wording(table[language], x=name, of=name, of_acc=name)
    elif pen.chance(0.5):
        question = pen.wording(chemistry.BY_NUMBER[language], n=pen.rng.randint(119, 999))
    else:
        question = pen.wording(chemistry.BY_SYMBOL[language], s=pen.one("QJXZ") + pen.one("qjxzwk"))
    return refuse("invented", language, geography.upper(question), UNKNOWN[language], pen)


def blend(pen: Pen, language: str, kind: str) -> str:
    """The head of one real name and the tail of another, when that is no real name itself: Norlivia, Полтугия."""
    if kind == "country":
        real = [c.en if language == "en" else c.ru for c in countries()]
    elif kind == "city":
        real = [c.capital[language] for c in countries()]
    else:
        real = [e.name[language] for e in elements()]
    single = [name for name in real if name.isalpha() and len(name) > 4]
    while True:
        head, tail = pen.one(single), pen.one(single)
        name = (
            head[: pen.rng.randint(2, 5)]
            + pen.rng.choice(("", "", "br", "ts", "dr", "v") if language == "en" else ("", "", "бр", "в", "др"))
            + tail[-pen.rng.randint(3, 5) :]
        )
        if name.lower() not in {r.lower() for r in real}:
            return str(name)
