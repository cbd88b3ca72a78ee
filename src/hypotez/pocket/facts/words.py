"""Opposites, short definitions and a small English-Russian dictionary, written for this model."""

OPPOSITES = {
    "en": """hot cold|big small|large little|high low|fast slow|early late|old new|young old|long short|light dark|heavy light|hard soft|rich poor
happy sad|good bad|right wrong|left right|up down|open closed|full empty|strong weak|clean dirty|dry wet|thick thin|wide narrow|deep shallow|near far
loud quiet|true false|day night|love hate|war peace|begin end|start finish|buy sell|win lose|push pull|give take|come go|ask answer|remember forget
friend enemy|first last|inside outside|before after|always never|all none|more less|same different|easy difficult|cheap expensive|safe dangerous
brave cowardly|sweet sour|sharp blunt|smooth rough|warm cool|alive dead|asleep awake|birth death|success failure|arrive leave|accept refuse
north south|east west|summer winter|top bottom|front back|husband wife|brother sister|king queen|teacher student|question answer|entrance exit
increase decrease|minimum maximum|positive negative|possible impossible|polite rude|public private|simple complex|solid liquid|ancient modern
beautiful ugly|careful careless|guilty innocent|hope despair|import export|lend borrow|laugh cry|lazy hardworking|major minor|tight loose""",
    "ru": """горячий холодный|большой маленький|высокий низкий|быстрый медленный|ранний поздний|старый новый|молодой старый|длинный короткий
светлый тёмный|тяжёлый лёгкий|твёрдый мягкий|богатый бедный|весёлый грустный|хороший плохой|правый левый|открытый закрытый|полный пустой
сильный слабый|чистый грязный|сухой мокрый|толстый тонкий|широкий узкий|глубокий мелкий|близкий далёкий|громкий тихий|день ночь|любовь ненависть
война мир|начало конец|купить продать|выиграть проиграть|друг враг|первый последний|внутри снаружи|всегда никогда|больше меньше|дешёвый дорогой
смелый трусливый|сладкий горький|острый тупой|тёплый прохладный|живой мёртвый|рождение смерть|успех неудача|север юг|восток запад|лето зима
верх низ|муж жена|брат сестра|вопрос ответ|вход выход|вежливый грубый|простой сложный|красивый уродливый|умный глупый|утро вечер|добрый злой""",
}

DEFINITIONS = {
    "en": {
        "a dog": "a domestic animal that barks and is kept as a pet or guard", "a cat": "a small domestic animal that purrs and catches mice",
        "a library": "a place where people borrow and read books", "a doctor": "a person who treats sick people",
        "a teacher": "a person who teaches at a school", "a river": "a large stream of water that flows to the sea",
        "a mountain": "a very high hill of rock", "an island": "land with water on all sides", "a desert": "a dry place with little rain",
        "a bakery": "a place where bread is made and sold", "a hospital": "a place where sick people are treated", "a chair": "a seat for one person with a back",
        "a clock": "a device that shows the time", "a bridge": "a structure that carries a road over water or a valley", "a knife": "a tool with a blade for cutting",
        "an umbrella": "a folding cover that keeps off the rain", "a planet": "a large body that moves around a star", "the Sun": "the star in the middle of our solar system",
        "the Moon": "the body that moves around the Earth", "snow": "frozen water that falls in white flakes", "ice": "frozen water", "steam": "water as a gas",
        "a triangle": "a shape with three sides", "a square": "a shape with four equal sides and four right angles", "a circle": "a round shape, every point of it equally far from the centre",
        "a passport": "a document for travelling to other countries", "a computer": "a machine that stores and works on data", "a keyboard": "the part of a computer with keys for typing",
        "a bicycle": "a vehicle with two wheels and pedals", "an airplane": "a flying machine with wings", "honey": "a sweet food made by bees", "milk": "a white drink that comes from cows",
        "bread": "a food baked from flour and water", "a pharmacy": "a shop that sells medicine", "a museum": "a place that shows art or old things",
        "a volcano": "a mountain from which hot lava can come out", "a forest": "a large place full of trees", "an orphan": "a child whose parents are dead",
        "a synonym": "a word that means the same as another word", "an antonym": "a word that means the opposite of another word", "a verb": "a word for an action",
        "a noun": "a word for a person, place or thing", "an adjective": "a word that describes a noun", "fine-tuning": "training a model further on your own examples",
        "a language model": "a program that continues text word by word", "a token": "a piece of text that a language model reads as one unit",
    },
    "ru": {
        "собака": "домашнее животное, которое лает и охраняет дом", "кошка": "небольшое домашнее животное, которое мурлычет и ловит мышей",
        "библиотека": "место, где берут и читают книги", "врач": "человек, который лечит больных", "учитель": "человек, который учит в школе",
        "река": "большой поток воды, текущий в море", "гора": "высокое каменное возвышение", "остров": "суша, окружённая водой", "пустыня": "сухое место, где мало дождей",
        "пекарня": "место, где пекут и продают хлеб", "больница": "место, где лечат больных", "стул": "сиденье со спинкой для одного человека",
        "часы": "прибор, который показывает время", "мост": "сооружение, по которому дорога идёт над водой", "нож": "инструмент с лезвием, чтобы резать",
        "зонт": "складной навес от дождя", "планета": "большое тело, которое движется вокруг звезды", "Солнце": "звезда в центре нашей системы",
        "Луна": "тело, которое движется вокруг Земли", "снег": "замёрзшая вода, которая падает хлопьями", "лёд": "замёрзшая вода", "пар": "вода в виде газа",
        "треугольник": "фигура с тремя сторонами", "квадрат": "фигура с четырьмя равными сторонами и прямыми углами", "компьютер": "машина, которая хранит и обрабатывает данные",
        "велосипед": "транспорт с двумя колёсами и педалями", "самолёт": "летательная машина с крыльями", "мёд": "сладкая еда, которую делают пчёлы",
        "аптека": "магазин, где продают лекарства", "музей": "место, где показывают искусство и старинные вещи", "лес": "место, где растёт много деревьев",
        "глагол": "слово, которое называет действие", "синоним": "слово с тем же значением, что и другое", "антоним": "слово с противоположным значением",
    },
}  # fmt: skip

DICTIONARY = """hello привет|thank you спасибо|please пожалуйста|yes да|no нет|house дом|water вода|bread хлеб|milk молоко|dog собака|cat кошка|book книга
table стол|window окно|door дверь|street улица|city город|country страна|world мир|sun солнце|moon луна|star звезда|sky небо|sea море|river река|forest лес
tree дерево|flower цветок|bird птица|fish рыба|horse лошадь|cow корова|man мужчина|woman женщина|child ребёнок|friend друг|mother мать|father отец|brother брат
sister сестра|school школа|work работа|time время|year год|month месяц|week неделя|day день|night ночь|morning утро|evening вечер|summer лето|winter зима
spring весна|autumn осень|red красный|blue синий|green зелёный|white белый|black чёрный|yellow жёлтый|big большой|small маленький|good хороший|bad плохой
new новый|old старый|hand рука|head голова|eye глаз|heart сердце|apple яблоко|tea чай|coffee кофе|sugar сахар|salt соль|meat мясо|car машина|train поезд
road дорога|money деньги|shop магазин|doctor врач|teacher учитель|letter письмо|word слово|language язык|question вопрос|answer ответ|love любовь|life жизнь"""


def opposites(language: str) -> list[tuple[str, str]]:
    """Pairs to be asked from left to right, and from right to left where that is not ambiguous."""
    pairs = [tuple(p.split()) for p in OPPOSITES[language].replace("\n", "|").split("|")]
    firsts = {a for a, _ in pairs}
    seen: set[str] = set()
    out = []
    for a, b in [*pairs, *((b, a) for a, b in pairs if b not in firsts)]:
        if a not in seen:
            seen.add(a)
            out.append((a, b))
    return out


def dictionary() -> list[tuple[str, str]]:
    """(English, Russian) pairs."""
    pairs = (p.rpartition(" ") for p in DICTIONARY.replace("\n", "|").split("|"))
    return [(a, b) for a, _, b in pairs]
