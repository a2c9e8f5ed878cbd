//! GS1 Digital Link URIs, uncompressed: `https://any.domain/01/09520123456788/10/A1?17=280131`.
//!
//! Source: GS1 Digital Link Standard: URI Syntax. Like GS1's engine in its default settings: the words of release 1.0
//! (`/gtin/…`) are refused with the number to write instead; a GTIN in the path has 14 digits (in the query, 8, 12 or
//! 13 are padded); the scheme is all lower or all upper case; `%` that introduces no hexadecimal digits stands for
//! itself; a fragment is ignored; `+` means a space in the query alone, and no value may hold one.

use super::ai::{Ai, LinkRole};
use super::element::{Element, Elements};
use super::error::Gs1Error;
use super::gtin::Gtin;

/// The stem that GS1 resolves itself.
pub const CANONICAL_STEM: &str = "https://id.gs1.org";

/// What a Digital Link URI says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigitalLink {
    /// Scheme, domain and what stands before the key.
    pub stem: String,
    /// The key, its qualifiers, and the attributes of the query, in the URI's order.
    pub elements: Elements,
    /// Parameters of the query that are no application identifiers, as they stand.
    pub other_parameters: Vec<String>,
}

/// Whether the data begin as a web address does.
pub fn looks_like_uri(data: &[u8]) -> bool {
    scheme_length(data).is_some()
}

fn scheme_length(data: &[u8]) -> Option<usize> {
    ["https://", "HTTPS://", "http://", "HTTP://"]
        .iter()
        .find(|scheme| data.starts_with(scheme.as_bytes()))
        .map(|scheme| scheme.len())
}

impl DigitalLink {
    /// Reads a URI.
    ///
    /// # Errors
    /// What is wrong with the URI, or with the first element; [`Gs1Error::NoKey`] if it is a web address like any other.
    pub fn parse(uri: &str) -> Result<Self, Gs1Error> {
        parse_at(uri.as_bytes(), 0)
    }

    /// The key: the first element.
    pub fn key(&self) -> Option<&Element> {
        self.elements.iter().next()
    }
}

/// Writes the canonical URI, `https://id.gs1.org/…`: the first element that is a key, its qualifiers in their order,
/// the rest in the query, values of predefined length first.
///
/// # Errors
/// No element is a key, or one may not stand in a URI.
pub fn build(elements: &Elements) -> Result<String, Gs1Error> {
    let alternatives = |element: &Element| match element.ai.spec().link {
        LinkRole::Key { qualifiers } => Some(qualifiers.split('|')),
        _ => None,
    };
    let (key, alternatives) = elements
        .iter()
        .find_map(|element| alternatives(element).map(|found| (element, found)))
        .ok_or(Gs1Error::NoKeyToLink { at: 0 })?;
    // Of the alternatives the one that takes most of what could not stand in the query, then most of all.
    let taken = |list: &str| {
        let present = || list.split(',').filter_map(|ai| elements.iter().find(|element| element.ai == ai));
        let path_only = present().filter(|element| element.ai.spec().link == LinkRole::NoAttribute);
        (path_only.count(), present().count())
    };
    let mut qualifiers = "";
    for list in alternatives {
        if taken(list) > taken(qualifiers) {
            qualifiers = list;
        }
    }
    let mut uri = format!("{CANONICAL_STEM}/{}/{}", key.ai, escaped(&key.value));
    for ai in qualifiers.split(',') {
        if let Some(value) = elements.get(ai) {
            uri.push_str(&format!("/{ai}/{}", escaped(value)));
        }
    }
    let in_path = |ai: Ai| ai == key.ai || qualifiers.split(',').any(|qualifier| ai == qualifier);
    let mut separator = '?';
    let mut written: Vec<Ai> = Vec::new();
    for element in elements.in_build_order().filter(|element| !in_path(element.ai)) {
        if written.contains(&element.ai) {
            continue;
        }
        check_attribute(element.ai, element.at())?;
        uri.push_str(&format!("{separator}{}={}", element.ai, escaped(&element.value)));
        separator = '&';
        written.push(element.ai);
    }
    Ok(uri)
}

/// Reads a URI that begins `base` bytes into the scan.
pub(super) fn parse_at(uri: &[u8], base: usize) -> Result<DigitalLink, Gs1Error> {
    if let Some(at) = uri.iter().position(|byte| !is_uri_character(*byte)) {
        return Err(Gs1Error::UriCharacter { at: base + at, found: uri[at] });
    }
    let domain = scheme_length(uri).ok_or(Gs1Error::NoDomain { at: base })?;
    let path = match uri[domain..].iter().position(|byte| *byte == b'/') {
        Some(len) if len > 0 => domain + len,
        _ => return Err(Gs1Error::NoDomain { at: base + domain }),
    };
    if let Some(at) = uri[domain..path].iter().position(|byte| b"_~?#@!$&'()*+,;=%".contains(byte)) {
        return Err(Gs1Error::UriCharacter { at: base + domain + at, found: uri[domain + at] });
    }
    let end = position(uri, path, b'#').unwrap_or(uri.len());
    let query = position(&uri[..end], path, b'?');
    let path_end = query.unwrap_or(end);

    let pairs = path_pairs(uri, path, path_end, base)?;
    let mut link = DigitalLink {
        stem: String::from_utf8_lossy(&uri[..pairs[0].at - 1]).into_owned(),
        elements: Elements::new(),
        other_parameters: Vec::new(),
    };
    for pair in &pairs {
        let at = base + pair.at;
        link.elements.push_whole(pair.ai, &unescaped(pair.value, false), at)?;
    }
    check_qualifiers(&link.elements)?;
    if let Some(query) = query {
        read_query(&mut link, &uri[..end], query + 1, base)?;
    }
    Ok(link)
}

/// An identifier and its value, still escaped, as they stand in the path.
struct Pair<'a> {
    at: usize,
    ai: Ai,
    value: &'a [u8],
}

/// Reads `/AI/value` pairs from the path's end back to the one that is a key. A URI has one key, so the last is it.
fn path_pairs(uri: &[u8], path: usize, path_end: usize, base: usize) -> Result<Vec<Pair<'_>>, Gs1Error> {
    let no_key = Gs1Error::NoKey { at: base + path };
    let mut pairs = Vec::new();
    let mut end = path_end;
    loop {
        let slash =
            |before: usize| uri[path..before].iter().rposition(|byte| *byte == b'/').map(|at| path + at);
        let Some(value_slash) = slash(end) else { return Err(no_key) };
        let Some(ai_slash) = slash(value_slash) else { return Err(no_key) };
        let (name, value) = (&uri[ai_slash + 1..value_slash], &uri[value_slash + 1..end]);
        let at = ai_slash + 1;
        let Some(ai) = Ai::at_start(name).filter(|ai| ai.len() == name.len()) else {
            return Err(convenience_alpha(name, value, base + at).unwrap_or(no_key));
        };
        pairs.push(Pair { at, ai, value });
        if matches!(ai.spec().link, LinkRole::Key { .. }) {
            pairs.reverse();
            return Ok(pairs);
        }
        end = ai_slash;
    }
}

/// The words for primary keys in release 1.0 of the standard.
const CONVENIENCE_ALPHAS: &[(&str, &str)] = &[
    ("cpid", "8010"),
    ("gcn", "255"),
    ("gdti", "253"),
    ("giai", "8004"),
    ("ginc", "401"),
    ("gln", "414"),
    ("gmn", "8013"),
    ("grai", "8003"),
    ("gsin", "402"),
    ("gsrn", "8018"),
    ("gsrnp", "8017"),
    ("gtin", "01"),
    ("itip", "8006"),
    ("party", "417"),
    ("payTo", "415"),
    ("sscc", "00"),
];

/// The error for `/gtin/…` and its like, if the value makes it likely that a key is meant.
fn convenience_alpha(name: &[u8], value: &[u8], at: usize) -> Option<Gs1Error> {
    let (word, ai) = CONVENIENCE_ALPHAS.iter().find(|(word, _)| word.as_bytes() == name)?;
    let ai: Ai = ai.parse().ok()?;
    let valid = Elements::new().push_whole(ai, &unescaped(value, false), at).is_ok()
        || (*word == "gtin" && Gtin::from_digits(value).is_ok());
    valid.then_some(Gs1Error::ConvenienceAlpha { at, word, ai })
}

/// Checks that the path is a key with some of its qualifiers in their order.
fn check_qualifiers(path: &Elements) -> Result<(), Gs1Error> {
    match first_misplaced(&path.iter().map(|element| element.ai).collect::<Vec<_>>()) {
        None => Ok(()),
        Some(misplaced) => match path.iter().nth(misplaced) {
            Some(element) => Err(Gs1Error::KeyQualifier { at: element.at(), ai: element.ai }),
            None => Ok(()),
        },
    }
}

/// Where a path stops being a key with qualifiers in order; `None` if it is one.
fn first_misplaced(path: &[Ai]) -> Option<usize> {
    let (key, rest) = path.split_first()?;
    let LinkRole::Key { qualifiers } = key.spec().link else { return Some(0) };
    let matched = qualifiers.split('|').map(|list| {
        let mut list = list.split(',');
        rest.iter().take_while(|ai| list.any(|qualifier| **ai == qualifier)).count()
    });
    let matched = matched.max().unwrap_or(0);
    (matched < rest.len()).then_some(matched + 1)
}

fn read_query(link: &mut DigitalLink, uri: &[u8], start: usize, base: usize) -> Result<(), Gs1Error> {
    let path: Vec<Ai> = link.elements.iter().map(|element| element.ai).collect();
    let mut pos = start;
    for parameter in uri[start..].split(|byte| *byte == b'&') {
        let at = base + pos;
        pos += parameter.len() + 1;
        let equals = parameter.iter().position(|byte| *byte == b'=');
        let name = &parameter[..equals.unwrap_or(parameter.len())];
        let Some(equals) = equals.filter(|_| !name.is_empty() && name.iter().all(u8::is_ascii_digit)) else {
            if !parameter.is_empty() {
                link.other_parameters.push(String::from_utf8_lossy(parameter).into_owned());
            }
            continue;
        };
        let ai = Ai::at_start(name)
            .filter(|ai| ai.len() == name.len())
            .ok_or_else(|| Gs1Error::unknown_ai(at, name))?;
        if link.elements.get(ai.as_str()).is_some() {
            return Err(Gs1Error::Duplicate { at, ai });
        }
        check_attribute(ai, at)?;
        let fits_in_path = (1..=path.len()).any(|place| {
            let mut longer = path.clone();
            longer.insert(place, ai);
            first_misplaced(&longer).is_none()
        });
        if fits_in_path {
            return Err(Gs1Error::BelongsInPath { at, ai });
        }
        let mut value = unescaped(&parameter[equals + 1..], true);
        if ai == "01" && matches!(value.len(), 8 | 12 | 13) {
            value.splice(0..0, std::iter::repeat_n(b'0', 14 - value.len()));
        }
        link.elements.push_whole(ai, &value, at)?;
    }
    Ok(())
}

fn check_attribute(ai: Ai, at: usize) -> Result<(), Gs1Error> {
    match ai.spec().link {
        LinkRole::Attribute | LinkRole::Key { .. } => Ok(()),
        LinkRole::NoAttribute => Err(Gs1Error::NotAnAttribute { at, ai }),
    }
}

fn position(uri: &[u8], from: usize, byte: u8) -> Option<usize> {
    uri[from..].iter().position(|found| *found == byte).map(|at| from + at)
}

/// Unreserved, reserved, and the percent sign (RFC 3986, 2.1 to 2.3).
fn is_uri_character(byte: u8) -> bool {
    is_unreserved(byte) || b":/?#[]@!$&'()*+,;=%".contains(&byte)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn unescaped(text: &[u8], in_query: bool) -> Vec<u8> {
    let mut value = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let hex = |digit: Option<&u8>| digit.and_then(|digit| char::from(*digit).to_digit(16));
        let escape = if *first == b'%' { hex(tail.first()).zip(hex(tail.get(1))) } else { None };
        if let Some(byte) = escape.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            value.push(byte);
            rest = &tail[2..];
            continue;
        }
        value.push(if in_query && *first == b'+' { b' ' } else { *first });
        rest = tail;
    }
    value
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if is_unreserved(byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "https://a/01/12312312312333";

    /// Reads a URI and writes its elements in brackets, or the error's offset.
    fn check(uri: &str, expected: Result<&str, usize>) {
        let found =
            DigitalLink::parse(uri).map(|link| link.elements.to_bracketed()).map_err(|error| error.at());
        assert_eq!(found, expected.map(String::from), "{uri}");
    }

    #[test]
    fn any_domain_and_stem_leads_to_the_key() {
        for domain in
            ["a", "xn--fsq.xn--0zwm56d", "a.", "a:65535", "192.0.2.1", "[2001:db8::1]", "a/stem", "a/00/faux"]
        {
            for scheme in ["https", "HTTPS", "http", "HTTP"] {
                check(&format!("{scheme}://{domain}/00/006141411234567890"), Ok("(00)006141411234567890"));
            }
        }
    }

    #[test]
    fn what_is_no_digital_link_is_refused() {
        check("", Err(0));
        check("ftp://a/01/12312312312333", Err(0));
        check("HtTp://a/b/00/006141411234567890", Err(0));
        check("http:///01/12312312312333", Err(7));
        check("http://a", Err(7));
        check("https://a/", Err(9));
        check("https://a/b/c", Err(9));
        check("https://00/006141411234567890", Err(10));
        check("https://$a/01/12312312312333", Err(8));
        check("https://[fe80::1%25lo]/01/12312312312333", Err(16));
        check("https://a/01/12312312312333 ", Err(27));
        check("https://a/stem/00/006141411234567890/", Err(9));
        check("https://a/01/12312312312333/89/ABC", Err(9));
    }

    #[test]
    fn qualifiers_stand_in_their_order() {
        check(&format!("{A}/22/TEST/10/ABC/21/XYZ"), Ok("(01)12312312312333(22)TEST(10)ABC(21)XYZ"));
        check(&format!("{A}/22/TEST/21/XYZ"), Ok("(01)12312312312333(22)TEST(21)XYZ"));
        check(&format!("{A}/235/TEST"), Ok("(01)12312312312333(235)TEST"));
        check("https://a/8018/123456789012345675/8019/123", Ok("(8018)123456789012345675(8019)123"));
        check("https://id.gs1.org/414/9520123456788/254/32a%2Fb", Ok("(414)9520123456788(254)32a/b"));
        check(&format!("{A}/10/ABC/22/TEST"), Err(35));
        check(&format!("{A}/10/ABC/235/X"), Err(35));
        check(&format!("{A}/17/280131"), Err(28));
    }

    #[test]
    fn attributes_stand_in_the_query() {
        check("https://a/stem/00/006141411234567890?", Ok("(00)006141411234567890"));
        check("https://a/401/12345678?99=ABC", Ok("(401)12345678(99)ABC"));
        check(&format!("{A}?&&&99=ABC&&98=XYZ&&#x?y"), Ok("(01)12312312312333(99)ABC(98)XYZ"));
        check(&format!("{A}?a=1&99=ABC&b&98=XYZ"), Ok("(01)12312312312333(99)ABC(98)XYZ"));
        check(&format!("{A}/22/ABC%2d123?98=XYZ%2f987"), Ok("(01)12312312312333(22)ABC-123(98)XYZ/987"));
        check(&format!("{A}/22/A+B"), Ok("(01)12312312312333(22)A+B"));
        check(
            "https://example.com/8004/9520614141234567?01=9520123456788",
            Ok("(8004)9520614141234567(01)09520123456788"),
        );
        check(&format!("{A}/235/XYZ?10=ABC"), Ok("(01)12312312312333(235)XYZ(10)ABC"));
    }

    #[test]
    fn a_query_that_does_not_belong_is_refused_where_it_stands() {
        check(&format!("{A}?99="), Err(28));
        check(&format!("{A}?99=ABC&999=faux"), Err(35));
        check(&format!("{A}?99=XYZ+987"), Err(28));
        check(&format!("{A}?10=ABC"), Err(28));
        check(&format!("{A}?21=ABC"), Err(28));
        check(&format!("{A}/10/A?10=A"), Err(33));
        check(&format!("{A}?99=XYZ&99=XYZ"), Err(35));
        check(&format!("{A}?8200=x"), Err(28));
        check(&format!("{A}/10/A%00B"), Err(28));
    }

    #[test]
    fn the_gtin_in_the_path_has_fourteen_digits() {
        check("https://a/01/2112345678900", Err(10));
        check("https://a/01/02345673", Err(10));
        check("https://id.gs1.org/01/09520123456789", Err(19));
    }

    #[test]
    fn the_words_of_the_first_release_are_named() {
        let error = DigitalLink::parse("https://a/gtin/12312312312333/ser/X").map(drop);
        // The serial's word hides the key's: to GS1's engine too this is no key at all.
        assert!(matches!(error, Err(Gs1Error::NoKey { .. })));
        let error =
            DigitalLink::parse("https://a/gtin/9520123456788").map(drop).map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("/01/")));
        check("https://shop.example/gtin/faq", Err(20));
    }

    #[test]
    fn building_writes_the_canonical_uri() {
        let build = |text: &str| {
            let elements = Elements::parse_bracketed(text).expect("good elements");
            build(&elements).map_err(|error| error.at())
        };
        assert_eq!(
            build("(17)180426(10)ABC1(01)09520123456788(21)12345"),
            Ok("https://id.gs1.org/01/09520123456788/10/ABC1/21/12345?17=180426".into())
        );
        assert_eq!(
            build("(01)09520123456788(22)2A/(3922)0299(3103)000195"),
            Ok("https://id.gs1.org/01/09520123456788/22/2A%2F?3103=000195&3922=0299".into())
        );
        assert_eq!(
            build("(01)09520123456788(235)X(10)A"),
            Ok("https://id.gs1.org/01/09520123456788/235/X?10=A".into())
        );
        assert_eq!(build("(10)A"), Err(0));
        assert_eq!(build("(01)09520123456788(8200)x"), Err(19));
    }

    #[test]
    fn reading_what_was_built_gives_the_elements() {
        for uri in [
            "https://id.gs1.org/01/09520123456788/10/ABC1/21/12345?17=180426",
            "https://id.gs1.org/00/952012345678912345?02=09520123456788&37=25&10=ABC123",
            "https://id.gs1.org/8010/1234%2FX/8011/7",
        ] {
            let link = DigitalLink::parse(uri).expect("a good URI");
            assert_eq!(build(&link.elements).as_deref(), Ok(uri));
        }
    }
}
