//! How room is shared among texts, and how much of a text fits: pure, and known to nothing but numbers and texts.

/// How much of `room` each part gets, given how much each would take: small ones all of it, the others the same. Nothing is
/// left over while a part lacks something, but for what cannot be divided.
pub(super) fn shares(sizes: &[usize], room: usize) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..sizes.len()).collect();
    by_size.sort_by_key(|&index| sizes[index]);
    let (mut left, mut shares) = (room, vec![0; sizes.len()]);
    for (place, &index) in by_size.iter().enumerate() {
        let share = sizes[index].min(left / (sizes.len() - place));
        shares[index] = share;
        left -= share;
    }
    shares
}

/// How many bytes a text takes as a JSON string, without its quotes.
pub(super) fn json_bytes(text: &str) -> usize {
    text.chars().map(character_bytes).sum()
}

/// The longest beginning of a text that takes no more than `max` bytes as a JSON string, without its quotes.
pub(super) fn beginning(text: &str, max: usize) -> &str {
    let mut bytes = 0;
    for (at, character) in text.char_indices() {
        bytes += character_bytes(character);
        if bytes > max {
            return &text[..at];
        }
    }
    text
}

fn character_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_parts_stay_whole_and_large_ones_get_the_same() {
        for (sizes, room, expected) in [
            (vec![], 10, vec![]),
            (vec![5, 5], 10, vec![5, 5]),
            (vec![1, 100, 100], 21, vec![1, 10, 10]),
            (vec![100, 2, 15, 100], 62, vec![22, 2, 15, 23]),
            (vec![7, 7, 7], 20, vec![6, 7, 7]),
            (vec![3, 4], 0, vec![0, 0]),
        ] {
            assert_eq!(shares(&sizes, room), expected, "{sizes:?} in {room}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters_and_before_an_escape() {
        for (text, max, expected) in [
            ("abc", 2, "ab"),
            ("abc", 3, "abc"),
            ("äöü", 3, "ä"),
            ("a\"b", 2, "a"),
            ("a\"b", 3, "a\""),
            ("\u{1}x", 5, ""),
            ("\u{1}x", 7, "\u{1}x"),
            ("😀😀", 7, "😀"),
        ] {
            assert_eq!(beginning(text, max), expected, "{text:?} in {max}");
        }
    }

    proptest! {
        #[test]
        fn room_is_shared_fairly(sizes in prop::collection::vec(0_usize..5_000, 0..60), room in 0_usize..60_000) {
            let shares = shares(&sizes, room);
            prop_assert!(shares.iter().sum::<usize>() <= room);
            let cut: Vec<usize> = (0..sizes.len()).filter(|&index| shares[index] < sizes[index]).collect();
            for (&share, &size) in shares.iter().zip(&sizes) {
                prop_assert!(share <= size);
                // Who is cut has no less than anybody else, but for one byte that cannot be divided.
                prop_assert!(cut.iter().all(|&index| shares[index] + 1 >= share));
            }
            if !cut.is_empty() {
                prop_assert!(room - shares.iter().sum::<usize>() < cut.len());
            }
        }

        #[test]
        fn the_size_in_json_is_what_json_takes(text in any::<String>(), more in "[\\x00-\\x7f]{0,40}", max in 0_usize..60) {
            for text in [text, more] {
                let written = serde_json::to_string(&text).expect("JSON");
                prop_assert_eq!(json_bytes(&text), written.len() - 2);
                let cut = beginning(&text, max);
                prop_assert!(text.starts_with(cut) && json_bytes(cut) <= max);
                if let Some(next) = text[cut.len()..].chars().next() {
                    prop_assert!(json_bytes(cut) + character_bytes(next) > max);
                }
            }
        }
    }
}
