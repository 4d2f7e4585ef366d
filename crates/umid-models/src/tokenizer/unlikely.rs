//! Sequences of characters that are unlikely in any language, but usual in UTF-8 that was decoded
//! by a code page.
//!
//! Reference: ftfy 6.3's `badness`, whose kinds of character and sequences these are.

/// A set of the kinds below.
type Kinds = u32;

const LOWER: Kinds = 1;
const UPPER: Kinds = 1 << 1;
/// Anything but an unaccented Latin letter.
const OTHER: Kinds = 1 << 2;
const WORD: Kinds = 1 << 3;
const WHITE: Kinds = 1 << 4;
/// Punctuation that stands next to anything.
const COMMON: Kinds = 1 << 5;
/// Control characters from 0x80 on.
const C1: Kinds = 1 << 6;
/// Signs that hardly stand anywhere else.
const BAD: Kinds = 1 << 7;
const LAW: Kinds = 1 << 8;
const CURRENCY: Kinds = 1 << 9;
const OPENING: Kinds = 1 << 10;
const CLOSING: Kinds = 1 << 11;
const NUMERIC: Kinds = 1 << 12;
/// What faces are made of.
const FACE: Kinds = 1 << 13;
const UPPER_ACCENTED: Kinds = 1 << 14;
const LOWER_ACCENTED: Kinds = 1 << 15;
const UPPER_NOT_LATIN: Kinds = 1 << 16;
const LOWER_NOT_LATIN: Kinds = 1 << 17;
const BOX: Kinds = 1 << 18;
/// All that may stand in a line.
const ANY: Kinds = 1 << 19;

const ACCENTED: Kinds = UPPER_ACCENTED | LOWER_ACCENTED;
const PUNCTUATION: Kinds = OPENING | CLOSING;
/// What is unlikely next to one of the bad signs.
const BY_BAD: Kinds = ACCENTED | BOX | PUNCTUATION | CURRENCY | NUMERIC | LAW;
/// Windows-1251's and 1253's second characters.
const BETWEEN_CAPITALS: Kinds = C1 | BAD | PUNCTUATION | CURRENCY;

/// Characters of some kinds, and others.
struct Any(Kinds, &'static str);

impl Any {
    fn has(&self, c: char, kinds: Kinds) -> bool {
        kinds & self.0 != 0 || self.1.contains(c)
    }
}

const fn of(kinds: Kinds) -> Any {
    Any(kinds, "")
}

const fn one(characters: &'static str) -> Any {
    Any(0, characters)
}

/// The sequences, a set of characters per position.
const UNLIKELY: &[&[Any]] = &[
    &[of(C1)],
    &[of(BY_BAD | BAD), of(BAD)],
    &[of(BAD), of(BY_BAD)],
    &[of(LOWER | UPPER), of(LOWER_NOT_LATIN | UPPER_NOT_LATIN), of(BAD)],
    &[
        of(LOWER_ACCENTED | LOWER_NOT_LATIN | BOX | CLOSING | CURRENCY | NUMERIC),
        of(UPPER_ACCENTED),
    ],
    &[of(BOX | CLOSING | CURRENCY | NUMERIC), of(LOWER_ACCENTED)],
    &[of(LOWER_ACCENTED | BOX | CLOSING), of(CURRENCY)],
    &[of(WHITE), of(UPPER_ACCENTED), of(CURRENCY)],
    &[of(UPPER_ACCENTED | BOX), of(NUMERIC | LAW)],
    &[of(ACCENTED | BOX | CURRENCY | CLOSING), of(OPENING), of(NUMERIC)],
    &[of(ACCENTED | CURRENCY | NUMERIC | BOX | LAW), of(CLOSING), of(OPENING)],
    &[of(CURRENCY | NUMERIC | BOX), of(OPENING)],
    &[of(LOWER), of(UPPER_ACCENTED), of(OPENING | CURRENCY)],
    &[of(BOX), of(FACE | CLOSING)],
    &[of(ACCENTED | CURRENCY | NUMERIC | PUNCTUATION | LAW), of(BOX)],
    &[of(ACCENTED), of(PUNCTUATION), of(WORD)],
    &[one("Œœ"), of(OTHER)],
    &[of(UPPER_ACCENTED), one("°")],
    // UTF-8 by Windows-1252: Latin, Greek and Cyrillic letters.
    &[one("ÂÃÎÐ"), Any(PUNCTUATION, "€œŠš¢£Ÿž\u{a0}\u{ad}®©°·»–—´")],
    &[one("×"), one("²³")],
    &[one("Ã"), one("\u{a0}¡")],
    &[of(LOWER), one("ÃÂ"), one(" ")],
    &[of(LOWER), of(WHITE), one("ÃÂ"), one(" ")],
    &[Any(LOWER | CLOSING, ".,?!"), one("Â"), Any(PUNCTUATION, " ")],
    // Arabic letters, of which there must be two.
    &[one("ØÙ"), ARABIC, one("ØÙ"), ARABIC],
    // Letters of South Asia.
    &[one("à"), one("²µ¹¼½¾")],
    // By Mac OS Roman.
    &[one("√"), one("±∂†≠®™´≤≥¥µø")],
    &[one("≈"), one("°¢")],
    &[one("‚"), one("Ä"), one("ìîïòôúùû†°¢π")],
    &[one("‚"), one("âó"), one("àä°ê")],
    // By Windows-1251: punctuation, accented and Cyrillic letters, and what was also decoded by
    // Windows-1252.
    &[one("в"), one("Ђ")],
    &[one("ВГРС"), Any(BETWEEN_CAPITALS, "°µ"), one("ВГРС")],
    &[one("Г"), one("ў"), one("В"), one("Ђ"), one("В"), of(ANY), Any(LOWER | UPPER, " ")],
    // By Windows-1253: punctuation, accented and Greek letters.
    &[one("β"), one("€"), one("™\u{a0}Ά\u{ad}®°")],
    &[one("ΒΓΞΟ"), Any(BETWEEN_CAPITALS, "°"), one("ΒΓΞΟ")],
    // By Windows-1257: punctuation.
    &[one("ā"), one("€")],
];

/// Windows-1252's characters for the second bytes of Arabic letters.
const ARABIC: Any = Any(COMMON | CURRENCY | BAD | NUMERIC | OPENING, "ŸŠ®°µ»");

/// Whether a text has a sequence that is unlikely to be meant.
pub(super) fn is_unlikely(text: &str) -> bool {
    let characters: Vec<(char, Kinds)> = text.chars().map(|c| (c, kinds(c))).collect();
    let has = |sequence: &[Any]| {
        characters
            .windows(sequence.len())
            .any(|window| sequence.iter().zip(window).all(|(any, (c, kinds))| any.has(*c, *kinds)))
    };
    text.starts_with("Ã ") || text.starts_with("Â ") || UNLIKELY.iter().any(|s| has(s))
}

fn kinds(c: char) -> Kinds {
    let ranges = [
        (ANY, c != '\n'),
        (LOWER, c.is_ascii_lowercase()),
        (UPPER, c.is_ascii_uppercase()),
        (OTHER, !c.is_ascii_alphabetic()),
        (WORD, c.is_alphanumeric() || c == '_'),
        (WHITE, c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')),
        (C1, matches!(c, '\u{80}'..='\u{9f}')),
    ];
    let of_ranges = ranges.iter().filter(|(_, is_one)| *is_one).map(|(kind, _)| kind);
    let listed = LISTED.iter().filter(|(_, characters)| !c.is_ascii() && characters.contains(c));
    of_ranges.chain(listed.map(|(kind, _)| kind)).fold(0, |all, kind| all | kind)
}

/// Characters of the kinds that are listed.
const LISTED: &[(Kinds, &str)] = &[
    (COMMON, "\u{a0}\u{ad}´·–—―’…"),
    (BAD, "¤¦¨ª¬¯¸ºƒˆˇ˘˛˜†‡‰⌐◊�"),
    (LAW, "§¶"),
    (CURRENCY, "¢£¥₧€"),
    (OPENING, "¡©«¿΄΅‘‚“„•‹\u{f8ff}"),
    (CLOSING, "®»˝”›™"),
    (NUMERIC, "±²³µ¹¼½¾×÷⁄№∂∆∏∑√∞∩∫≈≠≡≤≥"),
    (FACE, "°ÒÓÔÕÖÙÚÛÜòóôõöøùúûüŌŐŪŲ"),
    (UPPER_ACCENTED, "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑØÜÝĀĂĄĆČĎĐĒĖĘĚĞĢĪİĶĹĻĽŁŃŅŇŒŘŚŞŠŢŤŮŰŸŹŻŽҐ"),
    (LOWER_ACCENTED, "ßàáâãäåæçèéêëìíîïðñüāăąćčďđēėęěğģīįķĺļľłœŕśşšťźżžґﬁﬂ"),
    (
        UPPER_NOT_LATIN,
        "ÞΆΈΉΊΌΎΏΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΪΫЁЂЃЄЅІЇЈЉЊЋЌЍЎЏАБВГДЕЖЗИЙКЛМНОПРСТУФ\
         ХЦЧШЩЪЫЬЭЮЯ",
    ),
    (
        LOWER_NOT_LATIN,
        "άέήίΰαβγδεζηθικλμνξοπρςστυφχψωабвгдежзийклмнопрстуфхцчшщъыьэюяѐёђѓєѕії\
         јљњћќѝўџ",
    ),
    (BOX, "│┌┐┘├┤┬┼═║╒╓╔╕╖╗╘╙╚╛╜╝╞╟╠╡╢╣╤╥╦╧╨╩╪╫╬▀▄█▌▐░▒▓"),
];
