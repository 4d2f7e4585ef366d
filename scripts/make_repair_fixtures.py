"""Make a list of texts that were damaged, and what ftfy and open_clip make of them.

    python -m venv .venv && .venv/bin/pip install -r scripts/requirements.txt
    .venv/bin/python scripts/make_repair_fixtures.py

Writes `crates/umid-models/tests/fixtures/texts/repaired.json`, which the tests in
`src/tokenizer/repair.rs` and `src/tokenizer/clean.rs` read:

- `ftfy`: the version of the reference;
- `texts`: pairs of a text and what `ftfy.fix_text` makes of it. Names of people from many
  languages, whose UTF-8 was decoded by each of the code pages that ftfy knows, once and twice;
  the same by two pages, in sentences, and with bytes that were lost or replaced; other damage;
- `cleaned`: of some of them, what open_clip's three ways of cleaning make of it;
- `left_out`: the same pairs where ours differs on purpose, with the reason.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import ftfy
import ftfy.bad_codecs  # noqa: F401  (defines the code pages below)
from open_clip.tokenizer import get_clean_fn

OUT = Path(__file__).parent.parent / "crates/umid-models/tests/fixtures/texts"

PAGES = (
    ["latin-1"]
    + [f"sloppy-windows-{number}" for number in (1252, 1251, 1250, 1253, 1254, 1257)]
    + ["iso-8859-2", "macroman", "cp437"]
)
NAMES = [
    "Björn Ångström",
    "Søren Kierkegaard",
    "Þórbergur Þórðarson",
    "Äiti Öhman",
    "Erwin Schrödinger",
    "Günter Graß",
    "Jürgen Müller",
    "Camille Saint-Saëns",
    "François Lefèvre",
    "Hélène d’Œuvre",
    "À la carte",
    "Antoni Gaudí",
    "José Muñoz",
    "João Gonçalves",
    "Inês Conceição",
    "Antonín Dvořák",
    "Božena Němcová",
    "Ľudovít Štúr",
    "Łukasz Żółkiewski",
    "Wisława Szymborska",
    "Gyula Krúdy Őry",
    "Constantin Brâncuși",
    "Ion Țiriac",
    "Slavoj Žižek",
    "Milutin Milanković",
    "Đorđe Balašević",
    "Jānis Čakste",
    "Ērika Ķēniņa",
    "Šarūnas Jasikevičius",
    "Jüri Põld",
    "Çağla Öztürk",
    "Şükrü İnönü",
    "Əliağa Vahid",
    "Nguyễn Văn Ân",
    "Đặng Thị Thảo",
    "Māori Hōne Heke",
    "Ngũgĩ wa Thiong’o",
    "Wọlé Ṣóyínká",
    "Дмитрий Иванов",
    "Наталія Їжакевич",
    "Ελένη Παπαδοπούλου",
    "Յակոբ Պարոնյան",
    "محمد صلاح",
    "שרה כהן",
    "राम कुमार",
    "สมชาย ใจดี",
    "山田太郎",
    "김민준",
]
OTHERS = [
    *("É", "Ä", "Ã", "Â", "é", "ß", "Œ", "…", "™", "’", "Ã©", "voilÃ le", "Ã la carte", "Â Ada"),
    *("fÃ cil", "Ã s vezes", "Ãquele dia", "JosÃ\ufffd", "JosÃ?", "Jos\ufffd", "â€œAdaâ€\ufffd"),
    *("NÃºÃ±ez & JosÃ© &amp; Ã‰lodie", "Ð?Ð²Ð°Ð½", "CafÃ© in Κέρκυρα", "Zoë â€“ ZoÃ«", "Jos\x85"),
    *("pâté", "Ada\x92s", "\x93Ada\x94", "x\x81y", "a\x1ab Ã©", "ÂºF", "25Â°", "âˆš2", "Â© Ada"),
    *("Smith &amp; Sons", "&lt;b&gt;", "<b>&eacute;</b>", "<\n&eacute;", "&EACUTE;lodie", "&NTILDE;"),
    *("&nTILDE;", "&#x110000;", "&#0;", "&#x80;", "&#233;", "&bogus;", "&notit;", "P&eacute;rez"),
    *("ﬁne oﬃce", "Ǆ ŉ", "Ｆｕｌｌ　ｗｉｄｔｈ", "ｶﾀｶﾅ", "“Ada” ‘L’ ʼn", "a\r\nb\rc\u2028d", "\ufeffAda"),
    *("\x1b[31mred\x1b[0m", "\x1b[x", "\x07bell", "e\u0301", "Ada\u00ad", "Ada\u200bL", "ÎžÎ•ÎÎŸÎ£"),
    *("├⌐", "M√ºller", "‚Äôs", "пїЅ", "вЂ™", "ГўВЂВ™s", "β€™", "ā€™", "ã\x82«ã", "×²", "à²¤à²°"),
]
# CESU-8: two encoded surrogates, and NUL in two bytes.
LEFT_OUT = {
    "surrogates that were encoded one by one": "í\xa0½í¸\x80 Ã©",
    "NUL that was encoded in two bytes": "Ã©À\x80",
}


def misread(text: str, page: str) -> str | None:
    """UTF-8 decoded by a code page; none where the page lacks one of the bytes."""
    try:
        return text.encode().decode(page)
    except UnicodeDecodeError:
        return None


def damaged() -> list[str]:
    draw = random.Random(3)
    texts = list(NAMES) + OTHERS
    for name in NAMES:
        for page in PAGES:
            once = misread(name, page)
            assert once is not None
            texts += [once, misread(once, page) or once]
        page, other = draw.sample(PAGES, 2)
        once = misread(name, page)
        # A part of a name alone; a sentence; a no-break space that became a space; lost bytes.
        texts += [
            misread(once, other) or once,
            f"a photo of {once}, smiling",
            f"{name} / {misread(name, draw.choice(PAGES))}",
            misread(name, "sloppy-windows-1252").replace("\xa0", " "),
            "".join("\ufffd" if "\x80" <= c <= "\x9f" else c for c in misread(name, PAGES[1])),
            misread(name.upper(), "latin-1"),
        ]
    # Characters of all pages in no order.
    upper = [bytes([byte]).decode(page) for page in PAGES for byte in range(0x80, 0x100)]
    for _ in range(150):
        word = "".join(draw.choices(upper, k=draw.randint(2, 5)))
        texts.append(draw.choice(["", "a ", "Ada"]) + word + draw.choice(["", "s", " x"]))
    return list(dict.fromkeys(texts))


def legible(value: object) -> str:
    """JSON in which only what cannot be printed is escaped."""
    written = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in written)


def main() -> None:
    texts = damaged()
    ways = {name: get_clean_fn(name) for name in ("lower", "whitespace", "canonicalize")}
    content = {
        "ftfy": ftfy.__version__,
        "texts": [[text, ftfy.fix_text(text)] for text in texts],
        "cleaned": [
            {"text": text, **{name: clean(text) for name, clean in ways.items()}}
            for text in OTHERS
        ],
        "left_out": [
            {"reason": reason, "text": text, "reference": ftfy.fix_text(text)}
            for reason, text in LEFT_OUT.items()
        ],
    }
    assert all(one["reference"] != one["text"] for one in content["left_out"])
    OUT.mkdir(parents=True, exist_ok=True)
    parts = [
        f'"{key}": [\n' + ",\n".join(map(legible, value)) + "\n]"
        if isinstance(value, list)
        else f'"{key}": {legible(value)}'
        for key, value in content.items()
    ]
    whole = "{\n" + ",\n".join(parts) + "\n}\n"
    assert json.loads(whole) == content
    (OUT / "repaired.json").write_text(whole, encoding="utf-8", newline="\n")
    changed = sum(text != repaired for text, repaired in content["texts"])
    print(f"{len(texts)} texts, of which ftfy changes {changed}")


if __name__ == "__main__":
    main()
