//! Code pages: characters for the bytes that are not ASCII.
//!
//! Reference: the tables that the Unicode Consortium publishes for the standard's users
//! (`Public/MAPPINGS`). A byte that a Windows page does not assign stands for the control character
//! of the same number, as browsers decode it.

/// A code page whose lower half is ASCII.
pub(super) struct CodePage {
    /// The first byte that is not the character of the same number.
    first: u8,
    /// Characters from there on.
    characters: &'static str,
    /// Whether the replacement character can stand in a text of this page, for a byte that was
    /// lost.
    pub(super) has_losses: bool,
    /// Whether a space is never a no-break space that was replaced. In Mac OS Roman, the character
    /// for the byte before would be a dash or a quotation mark, behind which a space is usual.
    pub(super) spaces_are_meant: bool,
}

/// The byte that stands for a lost one, which no text has otherwise: substitute.
pub(super) const LOST: u8 = 0x1a;

impl CodePage {
    /// A text's bytes, if this page has all its characters.
    pub(super) fn encode(&self, text: &str) -> Option<Vec<u8>> {
        text.chars().map(|c| self.byte_of(c)).collect()
    }

    /// The byte of a character.
    pub(super) fn byte_of(&self, c: char) -> Option<u8> {
        match c {
            '\u{fffd}' => self.has_losses.then_some(LOST),
            '\u{1a}' if self.has_losses => None,
            _ if u32::from(c) < u32::from(self.first) => u8::try_from(c).ok(),
            _ => {
                let place = self.characters.chars().position(|other| other == c)?;
                u8::try_from(usize::from(self.first) + place).ok()
            }
        }
    }

    /// The character of a byte that is not ASCII.
    pub(super) fn character(&self, byte: u8) -> char {
        let place = byte.checked_sub(self.first);
        place.and_then(|at| self.characters.chars().nth(at.into())).unwrap_or(char::from(byte))
    }
}

/// Windows-1252, which texts that claim to be Latin-1 mostly are.
pub(super) const WINDOWS_1252: &CodePage = &PAGES[1];

/// Latin-1 and Windows' pages are alike enough that a character of UTF-8 can be recognised in a text
/// before it is known which page the text was decoded by.
pub(super) const LIKE_LATIN_1: &[CodePage] = PAGES.split_at(7).0;

/// All code pages, in the order in which ftfy tries them.
pub(super) const PAGES: &[CodePage] = &[
    // Latin-1
    CodePage {
        first: 0x80,
        has_losses: false,
        spaces_are_meant: false,
        characters: "\
         \u{80}\u{81}\u{82}\u{83}\u{84}\u{85}\u{86}\u{87}\u{88}\u{89}\u{8a}\u{8b}\u{8c}\u{8d}\u{8e}\u{8f}\
         \u{90}\u{91}\u{92}\u{93}\u{94}\u{95}\u{96}\u{97}\u{98}\u{99}\u{9a}\u{9b}\u{9c}\u{9d}\u{9e}\u{9f}\
         \u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ",
    },
    // Windows-1252
    CodePage {
        first: 0x80,
        has_losses: true,
        spaces_are_meant: false,
        characters: "\
         €\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ\u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´\
         µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ",
    },
    // Windows-1251
    CodePage {
        first: 0x80,
        has_losses: true,
        spaces_are_meant: false,
        characters: "\
         ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—\u{98}™љ›њќћџ\u{a0}ЎўЈ¤Ґ¦§Ё©Є«¬\u{ad}®Ї°±Ііґµ¶·ё№є»јЅѕїАБВГДЕЖЗИ\
         ЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюя",
    },
    // Windows-1250
    CodePage {
        first: 0x80,
        has_losses: true,
        spaces_are_meant: false,
        characters: "\
         €\u{81}‚\u{83}„…†‡\u{88}‰Š‹ŚŤŽŹ\u{90}‘’“”•–—\u{98}™š›śťžź\u{a0}ˇ˘Ł¤Ą¦§¨©Ş«¬\u{ad}®Ż°±˛ł´\
         µ¶·¸ąş»Ľ˝ľżŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢßŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙",
    },
    // Windows-1253
    CodePage {
        first: 0x80,
        has_losses: true,
        spaces_are_meant: false,
        characters: "\
         €\u{81}‚ƒ„…†‡\u{88}‰\u{8a}‹\u{8c}\u{8d}\u{8e}\u{8f}\u{90}‘’“”•–—\u{98}™\u{9a}›\u{9c}\
         \u{9d}\u{9e}\u{9f}\u{a0}΅Ά£¤¥¦§¨©ª«¬\u{ad}®―°±²³΄µ¶·ΈΉΊ»Ό½ΎΏΐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡÒΣΤΥΦΧΨΩΪΫ\
         άέήίΰαβγδεζηθικλμνξοπρςστυφχψωϊϋόύώÿ",
    },
    // Windows-1254
    CodePage {
        first: 0x80,
        has_losses: true,
        spaces_are_meant: false,
        characters: "\
         €\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}\u{8e}\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}\u{9e}Ÿ\u{a0}¡¢£¤¥¦§¨©ª«¬\
         \u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏĞÑÒÓÔÕÖ×ØÙÚÛÜİŞßàáâãäåæçèéêëìíîïğñòóôõö÷øùúûüışÿ",
    },
    // Windows-1257
    CodePage {
        first: 0x80,
        has_losses: true,
        spaces_are_meant: false,
        characters: "\
         €\u{81}‚\u{83}„…†‡\u{88}‰\u{8a}‹\u{8c}¨ˇ¸\u{90}‘’“”•–—\u{98}™\u{9a}›\u{9c}¯˛\u{9f}\u{a0}\
         ¡¢£¤¥¦§Ø©Ŗ«¬\u{ad}®Æ°±²³´µ¶·ø¹ŗ»¼½¾æĄĮĀĆÄÅĘĒČÉŹĖĢĶĪĻŠŃŅÓŌÕÖ×ŲŁŚŪÜŻŽßąįāćäåęēčéźėģķīļšńņó\
         ōõö÷ųłśūüżž˙",
    },
    // ISO 8859-2
    CodePage {
        first: 0xa1,
        has_losses: false,
        spaces_are_meant: false,
        characters: "\
         Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\u{ad}ŽŻ°ą˛ł´ľśˇ¸šşťź˝žżŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢßŕáâăäĺćçčéęëěíîďđńňó\
         ôőö÷řůúűüýţ˙",
    },
    // Mac OS Roman
    CodePage {
        first: 0x80,
        has_losses: false,
        spaces_are_meant: true,
        characters: "\
         ÄÅÇÉÑÖÜáàâäãåçéèêëíìîïñóòôöõúùûü†°¢£§•¶ß®©™´¨≠ÆØ∞±≤≥¥µ∂∑∏π∫ªºΩæø¿¡¬√ƒ≈∆«»…\u{a0}ÀÃÕŒœ–—“\
         ”‘’÷◊ÿŸ⁄€‹›ﬁﬂ‡·‚„‰ÂÊÁËÈÍÎÏÌÓÔ\u{f8ff}ÒÚÛÙıˆ˜¯˘˙˚¸˝˛ˇ",
    },
    // Code page 437
    CodePage {
        first: 0x80,
        has_losses: false,
        spaces_are_meant: false,
        characters: "\
         ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫\
         ╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}",
    },
];
