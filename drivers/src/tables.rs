//! Some tables out of a text of many, such as the models that a box uses out of all that Pestle comes with: to read them all
//! would take a sixth of the time in which a box begins to sell. Pure.

use std::collections::BTreeSet;

/// The lines of the tables of these names, with all that belongs to them; `None` where one of them is not there.
///
/// Headers begin in the first column, what belongs to a table follows it at once, and no name is in quotes: this is for the
/// texts that Pestle comes with.
pub(crate) fn only(text: &str, names: &BTreeSet<&str>) -> Option<String> {
    let mut found = BTreeSet::new();
    let mut wanted = String::new();
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        if line.starts_with('[') {
            let name = line.trim_start_matches('[').split(['.', ']']).next().unwrap_or_default();
            inside = names.contains(name);
            if inside {
                found.insert(name);
            }
        }
        if inside {
            wanted.push_str(line);
        }
    }
    (found.len() == names.len()).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# what it is\n[a]\nx = [\n  1,\n]\n[a.more]\ny = 2\n[[a.lists]]\nz = 3\n[ab]\nx = 5\n[b]\nx = 4\n";

    #[test]
    fn a_table_is_taken_with_all_that_belongs_to_it() {
        let only = |names: &[&str]| only(TEXT, &names.iter().copied().collect());
        assert_eq!(only(&["a"]).unwrap(), "[a]\nx = [\n  1,\n]\n[a.more]\ny = 2\n[[a.lists]]\nz = 3\n");
        assert_eq!(only(&["b", "ab"]).unwrap(), "[ab]\nx = 5\n[b]\nx = 4\n");
        assert_eq!(only(&[]).unwrap(), "");
        assert_eq!(only(&["a", "c"]), None);
    }
}
