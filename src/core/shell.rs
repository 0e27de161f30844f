//! Commands that somebody may type, as text.

use std::path::Path;

/// A word as a shell takes it, whatever it holds.
pub fn shell_word(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The same of a path.
pub fn shell_path(path: &Path) -> String {
    shell_word(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_word_for_a_shell() {
        for (word, expected) in [
            ("20261122-032054-30a49f", "20261122-032054-30a49f"),
            ("/a/b.c", "/a/b.c"),
            ("", "''"),
            ("two words", "'two words'"),
            ("it's", "'it'\\''s'"),
            ("$HOME;`x`", "'$HOME;`x`'"),
            ("ä", "'ä'"),
        ] {
            assert_eq!(shell_word(word), expected);
        }
    }
}
