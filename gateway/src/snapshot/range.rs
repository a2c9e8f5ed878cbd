//! `Range: bytes=N-` and its answer (RFC 9110, 14): the rest of a file whose beginning the caller has.

/// Which part is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// From here on, up to and without `end`.
    From {
        /// First byte.
        start: usize,
        /// One past the last.
        end: usize,
    },
    /// Beyond the end.
    Unsatisfiable,
}

/// Reads the header against a file of `length` bytes. Several ranges, other units and what cannot be read mean the
/// whole file, as the RFC allows.
pub fn part(header: Option<&str>, length: usize) -> Part {
    let Some(spec) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Part::Whole;
    };
    let Some((first, last)) = spec.split_once('-') else { return Part::Whole };
    let (start, end) = match (first.trim().parse::<usize>(), last.trim()) {
        (Ok(start), "") => (start, length),
        (Ok(start), last) => match last.parse::<usize>() {
            Ok(last) if last >= start => (start, last.saturating_add(1).min(length)),
            _ => return Part::Whole,
        },
        (Err(_), last) if first.trim().is_empty() => match last.parse::<usize>() {
            Ok(0) => return Part::Unsatisfiable,
            Ok(suffix) => (length.saturating_sub(suffix), length),
            Err(_) => return Part::Whole,
        },
        _ => return Part::Whole,
    };
    if start >= length { Part::Unsatisfiable } else { Part::From { start, end } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let from = |start, end| Part::From { start, end };
        for (header, expected) in [
            (None, Part::Whole),
            (Some("bytes=0-"), from(0, 10)),
            (Some("bytes=4-"), from(4, 10)),
            (Some("bytes=4-6"), from(4, 7)),
            (Some("bytes=4-99"), from(4, 10)),
            (Some("bytes=-3"), from(7, 10)),
            (Some("bytes=-99"), from(0, 10)),
            (Some("bytes=10-"), Part::Unsatisfiable),
            (Some("bytes=-0"), Part::Unsatisfiable),
            (Some("bytes=6-4"), Part::Whole),
            (Some("bytes=0-1,3-4"), Part::Whole),
            (Some("lines=0-1"), Part::Whole),
            (Some("bytes=x-"), Part::Whole),
        ] {
            assert_eq!(part(header, 10), expected, "{header:?}");
        }
    }
}
