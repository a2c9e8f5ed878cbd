//! Vectors that are to stay as they are: published examples, GS1's own test cases, and packs as pharmacies see them
//! (under GS1's demonstration prefix 952).

use super::ai::Ai;
use super::decode;
use super::element::Elements;
use super::samples;
use super::table::TABLE;

/// Decodes a line; expects the elements in brackets, or the offset of the error.
fn check(text: &str, expected: Result<&str, u64>) {
    let json: serde_json::Value = serde_json::from_str(&decode::line(text.as_bytes())).expect("JSON");
    let found = match json["ok"].as_bool() {
        Some(true) => Ok(json["elements"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|element| {
                format!(
                    "({}){}",
                    element["ai"].as_str().unwrap_or("?"),
                    element["value"].as_str().unwrap_or("?")
                )
            })
            .collect::<String>()),
        _ => Err(json["at"].as_u64().unwrap_or(u64::MAX)),
    };
    assert_eq!(found, expected.map(String::from), "{text} gave {json}");
}

#[test]
fn every_application_identifier_builds_and_parses_alike() {
    for spec in TABLE {
        for name in [spec.first, spec.last] {
            let ai: Ai = name.parse().expect("it is in the table");
            for long in [false, true] {
                let value = samples::value(ai, long);
                let mut elements = Elements::new();
                elements.push(name, &value).unwrap_or_else(|error| panic!("({name}){value}: {error}"));
                if name != "99" {
                    elements.push("99", "END").expect("a good element");
                }
                assert_eq!(
                    Elements::parse(elements.to_element_string().as_bytes()),
                    Ok(elements.clone()),
                    "{name}"
                );
                assert_eq!(Elements::parse_bracketed(&elements.to_bracketed()), Ok(elements), "{name}");
                let (min, max) = ai.spec().length();
                assert!((min..=max).contains(&value.len()), "({name}){value}");
            }
        }
    }
}

#[test]
fn a_value_longer_or_shorter_than_its_format_is_refused_for_every_identifier() {
    for spec in TABLE {
        let ai: Ai = spec.first.parse().expect("it is in the table");
        let longer = format!("{}1", samples::value(ai, true));
        let longer = format!("{longer}{}", "1".repeat((spec.length().1 + 1).saturating_sub(longer.len())));
        assert!(Elements::new().push(spec.first, &longer).is_err(), "({ai}){longer}");
        let (min, _) = spec.length();
        let shorter = &samples::value(ai, false)[..min - 1];
        assert!(Elements::new().push(spec.first, shorter).is_err(), "({ai}){shorter}");
        assert!(Elements::new().push(spec.first, "\u{e9}").is_err(), "({ai})");
    }
}

#[test]
fn medicines_as_they_are_scanned() {
    check(
        "]d201095201234567881728013110LOT42^21SN0001",
        Ok("(01)09520123456788(17)280131(10)LOT42(21)SN0001"),
    );
    check(
        "]d20109520123456788211A2B3C^10LOT-42^17280100",
        Ok("(01)09520123456788(21)1A2B3C(10)LOT-42(17)280100"),
    );
    check("]d2010952012345678821X^7103752864^17280131", Ok("(01)09520123456788(21)X(710)3752864(17)280131"));
    check(
        "]d2010952012345678821X^7123847568^10B^17280131",
        Ok("(01)09520123456788(21)X(712)3847568(10)B(17)280131"),
    );
    check("]d20109520123456788716A012345676^10B", Ok("(01)09520123456788(716)A012345676(10)B"));
    check("]d20109520123456788717052-20220012345", Ok("(01)09520123456788(717)052-20220012345"));
    check("010952012345678870032812312359^10A", Ok("(01)09520123456788(7003)2812312359(10)A"));
    check("010952012345678810A^70041234", Ok("(01)09520123456788(10)A(7004)1234"));
    check("010952012345678810A^7230EMBABT", Ok("(01)09520123456788(10)A(7230)EMBABT"));
    check("0109520123456788421276", Err(16));
}

#[test]
fn cartons_and_pallets() {
    check("00952012345678912345", Ok("(00)952012345678912345"));
    check(
        "0095201234567891234502095201234567883725^10ABC123",
        Ok("(00)952012345678912345(02)09520123456788(37)25(10)ABC123"),
    );
    check("02095201234567883725", Err(16));
    check("0209520123456788", Err(0));
    check("3725", Err(0));
    check("]C10195201234567881310300019539220299", Err(3));
    check("]C1019520123456788031030001953922299", Ok("(01)95201234567880(3103)000195(3922)299"));
    check("]C14109520123456788", Ok("(410)9520123456788"));
    check("]C1402", Err(3));
}

#[test]
fn gs1s_own_cases_for_raw_element_strings() {
    let gtin = "0112345678901231";
    for text in [
        "^991234",
        "^0112345678901231^",
        "^0112345678901231991234",
        "^0112345678901231^991234",
        "^01123456789012312421",
        "^0112345678901231242123456^10ABC123",
        "^0112345678901231242123456^",
        "^800112341234512398^0112345678901231",
        "^01123456789012317007211225211231",
        "^01123456789012317007211225",
        "^800302112345678900ABC",
        "^800302112345678900",
        "^800302112345678900ABCDEFGHIJKLMNOP",
        "^01123456789012317230121234567890123456789012345678",
        "^01123456789012317230123",
    ] {
        assert!(decode::line(text.as_bytes()).contains("\"ok\":true"), "{text}");
    }
    for tail in ["528", "528528", "528528528", "528528528528", "528528528528528"] {
        assert!(decode::line(format!("^{gtin}423{tail}").as_bytes()).contains("\"ok\":true"), "{tail}");
    }
    for text in [
        "",
        "^",
        "^891234",
        "^99~ABC",
        "^99ABC~",
        "^01A2345678901231",
        "^011234567890123A",
        "^0112345678901234",
    ] {
        check(text, Err(0).map_err(|at: u64| at + u64::from(text.len() > 1)));
    }
    check("^011234567890123", Err(1));
    check("^01123456789012312", Err(17));
    check("^011234567890123^", Err(1));
    check("^01123456789012345^", Err(1));
    check("^2421234567", Err(1));
    check("^8111123", Err(1));
    check("^811112345", Err(1));
    check("^80011234123451239", Err(1));
    check("^8001123412345123981", Err(1));
    check("^70072112252", Err(1));
    check("^70072112252212311", Err(1));
    check("^800302112345678901ABC", Err(1));
    check("^800302112345678900ABCDEFGHIJKLMNOPQ", Err(1));
    check("^72301212345678901234567890123456789", Err(1));
    check("^723012", Err(1));
    for tail in ["", "5", "52", "5285", "52852", "5285285285285285", "528528528528528528"] {
        check(&format!("^{gtin}423{tail}"), Err(17));
    }
}

#[test]
fn gs1s_own_cases_for_content() {
    for text in [
        "(00)A23456789012345675",
        "(10) ",
        "(8010)123456_",
        "(8030)ABC:123",
        "(8030)123=",
        "(00)123456789012345670",
        "(8013)123456ABXX",
        "(8013)A",
        "(401)123",
        "(7023)12A4",
        "(7040)1AB=",
        "(8001)12340000012311",
        "(8003)112345678901281234567890123456",
        "(8011)023456789012",
        "(4321)2",
        "(8001)12341234512321",
        "(426)987",
        "(7030)987ABC",
        "(4307)AA",
        "(3910)9870",
        "(8007)FR1234",
        "(8007)FR12_45678901234",
        "(8007)AB12345678901234",
        "(8007)FR12345678901234",
        "(4326)201300",
        "(4326)201200",
        "(4324)2012252400",
        "(4324)2012252360",
        "(8008)201225230060",
        "(8026)123456789012310099",
        "(8026)123456789012310100",
        "(8026)123456789012310302",
        "(4300)ABC%0g",
        "(4309)18000000010000000000",
        "(4309)00000000003600000001",
        "(4330)000000X",
        "(7252)5",
        "(7258)111",
        "(7258)0/3",
        "(7258)2/1",
        "(01)95012345678902(3103)000123",
    ] {
        check(text, Err(1));
    }
    check("(01)95012345678903(11)131313", Err(19));
    check("(01)95012345678903(3103)000123", Ok("(01)95012345678903(3103)000123"));
}

#[test]
fn digital_links_of_the_standard() {
    let link = |rest: &str| format!("https://id.gs1.org{rest}");
    check(&link("/01/09520123456788"), Ok("(01)09520123456788"));
    check(&link("/01/09520123456788/22/2A"), Ok("(01)09520123456788(22)2A"));
    check(
        &link("/01/09520123456788/10/ABC1/21/12345?17=180426"),
        Ok("(01)09520123456788(10)ABC1(21)12345(17)180426"),
    );
    check(
        &link("/01/09520123456788?3103=000195&3922=0299&17=201225"),
        Ok("(01)09520123456788(3103)000195(3922)0299(17)201225"),
    );
    check(&link("/00/952012345678912345"), Ok("(00)952012345678912345"));
    check(&link("/01/9520123456788"), Err(19));
    check(&link("/01/09520123456788?10=ABC123"), Err(37));
    check("]Q1https://example.com/01/09520123456788", Ok("(01)09520123456788"));
}
