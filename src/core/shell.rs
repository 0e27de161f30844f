//! Words of a command, as a shell takes them.

/// A word as a shell takes it, whatever it holds.
pub fn shell_word(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_a_command_can_be_pasted() {
        assert_eq!(shell_word("/a/c-1.d"), "/a/c-1.d");
        assert_eq!(shell_word("/a b/c"), "'/a b/c'");
        assert_eq!(shell_word(r#"["it's"]"#), r#"'["it'\''s"]'"#);
        assert_eq!(shell_word(""), "''");
    }
}
