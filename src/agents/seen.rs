//! Which characters of a text can be seen.
//!
//! Unicode's default-ignorable characters and the invisible ones of its category Cf, controls, and blanks that pass for
//! letters. Those of Cf that are shown, such as the Arabic number signs, are text like any other. Joiners and variation
//! selectors cannot be seen either, but Persian, Indic scripts and emoji are not written without them: where they join or
//! vary what can be seen, one at a time, they are a part of it.

/// What of a text is neither seen nor a part of what is.
pub fn unseen(text: &str) -> impl Iterator<Item = char> {
    read(text).filter(|(_, is_seen)| !is_seen).map(|(character, _)| character)
}

/// What of a text can be seen, on one line.
pub fn seen(text: &str) -> String {
    let shown = |(character, is_seen): (char, bool)| match character {
        _ if is_seen => Some(character),
        _ if character.is_whitespace() => Some(' '),
        _ => None,
    };
    read(text).filter_map(shown).collect()
}

/// Each character, and whether it is seen or a part of what is.
fn read(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut before = None;
    let mut rest = text.chars();
    std::iter::from_fn(move || {
        let character = rest.next()?;
        let (previous, next) = (before, rest.clone().next());
        let is_seen = match character {
            _ if is_joiner(character) => previous.zip(next).is_some_and(|(previous, next)| joins(previous, next)),
            _ if is_variation(character) => varies(previous, next),
            _ => !is_unseen(character),
        };
        before = is_seen.then_some(character);
        Some((character, is_seen))
    })
}

/// The joiner and the non-joiner.
const fn is_joiner(character: char) -> bool {
    matches!(character, '\u{200c}' | '\u{200d}')
}

/// What chooses among the shapes of the character before it.
const fn is_variation(character: char) -> bool {
    matches!(character, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Between two letters or emoji, of which one is beyond ASCII. So none stands in an English word or beside the marks that
/// begin a heading or a fence.
fn joins(previous: char, next: char) -> bool {
    let is_joined = |each: char| each.is_ascii_alphanumeric() || is_beyond_ascii(each);
    (is_joined(previous) || is_variation(previous))
        && is_joined(next)
        && (is_beyond_ascii(previous) || is_variation(previous) || is_beyond_ascii(next))
}

/// Behind one character beyond ASCII, or within a keycap such as 1️⃣.
fn varies(previous: Option<char>, next: Option<char>) -> bool {
    match previous {
        Some('#' | '*' | '0'..='9') => next == Some('\u{20e3}'),
        Some(previous) => is_beyond_ascii(previous),
        None => false,
    }
}

fn is_beyond_ascii(character: char) -> bool {
    !character.is_ascii() && !character.is_whitespace() && !is_unseen(character) && !is_invisible(character)
}

/// What nobody sees, wherever it stands: also joiners and variation selectors.
pub fn is_invisible(character: char) -> bool {
    is_joiner(character) || is_variation(character) || !character.is_whitespace() && is_unseen(character)
}

/// Controls, line breaks that only some readers see, what turns the direction of text, tags, fillers, noncharacters: what
/// no text is in need of.
pub fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180e}'
            | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}'
            | '\u{3164}' | '\u{fdd0}'..='\u{fdef}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}')
        || u32::from(character) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joiners_are_a_part_of_persian_indic_scripts_and_emoji() {
        for text in [
            "می\u{200c}خواهم، PDF\u{200c}ها",
            "क्\u{200d}ष क्\u{200c}ष",
            "ශ්\u{200d}රී",
            "👩🏽\u{200d}🚀 ❤\u{fe0f}\u{200d}🔥 🏳\u{fe0f}\u{200d}🌈 ☺\u{fe0f} #\u{fe0f}\u{20e3} 1\u{fe0f}\u{20e3}",
            "葛\u{e0100}飾区",
            "ᠠ\u{180b}",
            "\u{600}١٢ \u{6dd}",
            "äöü “quoted”\u{a0}— and 汉字",
        ] {
            assert_eq!(unseen(text).collect::<Vec<_>>(), [], "{text:?}");
            assert_eq!(seen(text), text);
        }
    }

    #[test]
    fn joiners_elsewhere_are_not_seen() {
        for text in [
            "##\u{200d} Output",
            "\u{200d}## Output",
            "é\n\u{200c}é",
            "Out\u{200d}put",
            "Out\u{fe0f}put",
            "#\u{fe0f}# Output",
            "`\u{200d}``",
            "é\u{200d}",
            "é\u{200d}## Output",
            "é\u{200c}\u{200d}é",
            "é\u{fe0f}\u{fe0f}",
            "\u{fe0f}",
        ] {
            assert!(unseen(text).any(|each| each != '\n'), "{text:?}");
            assert!(!seen(text).contains("\u{200c}\u{200d}"), "{text:?}");
        }
    }

    #[test]
    fn what_is_taken_out_leaves_nothing_unseen() {
        for text in
            ["a\u{200b}b\u{ad}c\u{feff}", "\u{e0041}x\0", "#\u{fe0f}#", "`\u{fe0f}\u{200d}é", "é\u{200b}\u{200d}é"]
        {
            assert_eq!(unseen(&seen(text)).count(), 0, "{text:?}");
        }
    }
}
