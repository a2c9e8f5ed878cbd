//! Which application identifiers must, and which may not, stand together.
//!
//! General Specifications 4.13 ("invalid pairs", "mandatory associations"), per identifier as in the table. GS1 asks
//! this of all the codes on an item together: one code that needs another is not wrong by itself, but is not enough.

use super::ai::{Ai, matches_pattern};
use super::element::{Element, Elements};
use super::error::Gs1Error;

impl Elements {
    /// Checks that all elements belong together.
    ///
    /// # Errors
    /// The first element, in scanned order, that excludes another; else the first that lacks what it requires; else
    /// the first key that lacks its serial component beside a digital signature (8030).
    pub fn check_associations(&self) -> Result<(), Gs1Error> {
        for element in self {
            self.check_excluded(element)?;
        }
        for element in self {
            self.check_required(element)?;
        }
        self.check_signed_keys()
    }

    fn check_excluded(&self, element: &Element) -> Result<(), Gs1Error> {
        let ai = element.ai;
        let other = patterns(ai.spec().excludes, ',').find_map(|pattern| self.any_other(ai, pattern));
        match other {
            Some(other) => Err(Gs1Error::Excluded { at: element.at(), ai, other }),
            None => Ok(()),
        }
    }

    fn check_required(&self, element: &Element) -> Result<(), Gs1Error> {
        let ai = element.ai;
        let requires = ai.spec().requires;
        let satisfied = requires.is_empty()
            || patterns(requires, ',')
                .any(|group| patterns(group, '+').all(|pattern| self.any_other(ai, pattern).is_some()));
        if satisfied { Ok(()) } else { Err(Gs1Error::Required { at: element.at(), ai }) }
    }

    fn check_signed_keys(&self) -> Result<(), Gs1Error> {
        if self.get("8030").is_none() {
            return Ok(());
        }
        let unserialised = self.iter().find(|element| {
            ["253", "255", "8003"].iter().any(|key| element.ai == *key)
                && element.value.len() == element.ai.spec().length().0
        });
        match unserialised {
            Some(element) => Err(Gs1Error::SerialMissing { at: element.at(), ai: element.ai }),
            None => Ok(()),
        }
    }

    /// An element of that form whose identifier is not `ai` itself.
    fn any_other(&self, ai: Ai, pattern: &str) -> Option<Ai> {
        self.iter().map(|element| element.ai).find(|other| *other != ai && matches_pattern(*other, pattern))
    }
}

fn patterns(list: &'static str, separator: char) -> impl Iterator<Item = &'static str> {
    list.split(separator).filter(|pattern| !pattern.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GTIN: &str = "(01)12345678901231";
    const CONTENT: &str = "(02)12345678901231";
    const SSCC: &str = "(00)123456789012345675";

    fn check(parts: &[&str], good: bool) {
        let text = parts.concat();
        let elements = Elements::parse_bracketed(&text).expect("each element is good by itself");
        assert_eq!(elements.check_associations().is_ok(), good, "{text}");
    }

    #[test]
    fn pairs_that_exclude_each_other_are_refused() {
        check(&[GTIN, CONTENT, "(37)1", SSCC], false);
        check(&[GTIN, "(255)5412345000150"], false);
        check(&[GTIN, "(37)123"], false);
        check(&[GTIN, "(21)ABC123(235)XYZ"], false);
        check(&["(255)5412345000150(3940)1234(8111)9999"], false);
        check(&["(255)5412345000150(3940)1234(3941)9999"], false);
        check(&["(255)5412345000150(3940)1234(3940)1234"], true);
        check(&["(420)1(421)276123"], false);
        check(&[SSCC, "(4330)000100(4331)000010"], false);
    }

    #[test]
    fn what_an_identifier_requires_must_be_there() {
        check(&[CONTENT], false);
        check(&[CONTENT, "(37)123"], false);
        check(&["(91)XXX", CONTENT, "(92)YYY(37)123(93)ZZZ", SSCC], true);
        check(&["(21)ABC123"], false);
        check(&["(21)ABC123", GTIN], true);
        check(&["(21)ABC123(8006)123456789012310510"], true);
        check(&[GTIN, "(250)ABC123"], false);
        check(&[GTIN, "(21)XYZ999(250)ABC123"], true);
        check(&["(10)A"], false);
        check(&[GTIN, "(10)A(17)280131(21)7(711)3400912345671"], true);
        check(&["(717)052-20220012345"], false);
        check(&[SSCC, "(4303)B"], false);
        check(&[SSCC, "(4302)A(4303)B"], true);
    }

    #[test]
    fn a_price_requires_a_measure_of_any_unit() {
        check(&[GTIN, "(3925)12599"], false);
        for measure in
            ["(30)123", "(3100)654321", "(3165)654321", "(3295)654321", "(3575)654321", "(3695)654321"]
        {
            check(&[GTIN, "(3925)12599", measure], true);
        }
        check(&[GTIN, "(3925)12599(3300)654321"], false);
    }

    #[test]
    fn a_signature_requires_a_key_with_its_serial() {
        check(&["(8030)DIGSIG"], false);
        check(&["(8030)DIGSIG", GTIN], false);
        check(&["(8030)DIGSIG", GTIN, "(21)ABC123"], true);
        check(&["(8030)DIGSIG(253)1231231231232"], false);
        check(&["(8030)DIGSIG(253)1231231231232ABC"], true);
        check(&["(8030)DIGSIG(8003)02112345678900"], false);
        check(&["(8030)DIGSIG(8010)123456(8011)1"], true);
        check(&[GTIN, "(21)A(8040)123456789012345(8041)123456789012345"], true);
        check(&[GTIN, "(21)A(8041)123456789012345"], false);
    }
}
