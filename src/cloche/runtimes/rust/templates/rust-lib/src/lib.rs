//! One sentence on what this library is for.

/// Gives the words of `text`, in their order.
pub fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn splits_at_white_space_of_any_length() {
        assert_eq!(words("one  two\n three"), ["one", "two", "three"]);
    }

    #[test]
    fn finds_no_words_in_nothing() {
        assert!(words(" ").is_empty());
    }
}
