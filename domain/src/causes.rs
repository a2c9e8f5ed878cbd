//! Why something went wrong, in words.

use std::error::Error;

/// An error with all that has caused it, in one line, the nearest cause first. What a text says already is not said again: many
/// libraries put their cause's words into their own.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| (**cause).source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Because {
        words: &'static str,
        #[source]
        cause: Option<Box<Because>>,
    }

    fn because(words: &'static str, cause: Option<Because>) -> Because {
        Because { words, cause: cause.map(Box::new) }
    }

    #[test]
    fn all_causes_stand_in_one_line_and_none_twice() {
        let cable = because("no cable\nat socket 2", None);
        let line = because("the line ended: no cable\nat socket 2", Some(cable));
        let printer = because("not printed", Some(line));
        assert_eq!(with_causes(&printer), "not printed: the line ended: no cable at socket 2");
        assert_eq!(with_causes(&because("alone", None)), "alone");
    }
}
