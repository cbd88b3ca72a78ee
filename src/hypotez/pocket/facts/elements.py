"""The 118 chemical elements: numbers and symbols from periodictable, Russian names written here in order of number."""

import functools
from dataclasses import dataclass

import periodictable

RUSSIAN = """водород гелий литий бериллий бор углерод азот кислород фтор неон натрий магний алюминий кремний фосфор сера хлор аргон
калий кальций скандий титан ванадий хром марганец железо кобальт никель медь цинк галлий германий мышьяк селен бром криптон рубидий
стронций иттрий цирконий ниобий молибден технеций рутений родий палладий серебро кадмий индий олово сурьма теллур иод ксенон цезий
барий лантан церий празеодим неодим прометий самарий европий гадолиний тербий диспрозий гольмий эрбий тулий иттербий лютеций гафний
тантал вольфрам рений осмий иридий платина золото ртуть таллий свинец висмут полоний астат радон франций радий актиний торий
протактиний уран нептуний плутоний америций кюрий берклий калифорний эйнштейний фермий менделевий нобелий лоуренсий резерфордий
дубний сиборгий борий хассий мейтнерий дармштадтий рентгений коперниций нихоний флеровий московий ливерморий теннессин оганесон"""

WELL_KNOWN = set(
    "H He Li C N O F Ne Na Mg Al Si P S Cl Ar K Ca Ti Cr Mn Fe Co Ni Cu Zn Br Ag Sn I W Pt Au Hg Pb Rn Ra U Pu".split()
)


@dataclass(frozen=True)
class Element:
    """One element; `name` by language, in Russian in the nominative and (`ru_of`) the genitive."""

    number: int
    symbol: str
    name: dict[str, str]
    ru_of: str
    weight: int


@functools.cache
def elements() -> tuple[Element, ...]:
    """All 118, in order of atomic number; everyday ones carry more weight."""
    from hypotez.pocket.facts.countries import inflect

    out = []
    for number, russian in enumerate(RUSSIAN.split(), start=1):
        e = periodictable.elements[number]
        weight = 3 if e.symbol in WELL_KNOWN else 1
        out.append(
            Element(
                number,
                e.symbol,
                {"en": e.name, "ru": russian},
                GENITIVE.get(russian) or inflect(russian, "gent"),
                weight,
            )
        )
    return tuple(out)


GENITIVE = {
    r: r[:-1] + "я"
    for r in RUSSIAN.split()
    if r.endswith("ий")
} | {"ртуть": "ртути", "бор": "бора", "европий": "европия", "медь": "меди", "золото": "золота", "серебро": "серебра", "оганесон": "оганесона"}  # fmt: skip
