//! The whole table of application identifiers.
//!
//! Source: GS1 General Specifications, Release 26.0 (January 2026), section 3; components, content rules,
//! associations and Digital Link roles as in GS1's Barcode Syntax Dictionary of early 2026. Sorted by identifier.

use super::ai::{AiSpec, Charset, LinkRole, Part};
use super::content::Rule;

const fn part(charset: Charset, min: u8, max: u8) -> Part {
    Part { charset, min, max, optional: false, rules: &[] }
}

/// `Nn`: exactly so many digits.
const fn n(len: u8) -> Part {
    part(Charset::Numeric, len, len)
}

/// `N..n`: up to so many digits.
const fn n_to(max: u8) -> Part {
    part(Charset::Numeric, 1, max)
}

/// `Xn`: exactly so many characters of set 82.
const fn x(len: u8) -> Part {
    part(Charset::Set82, len, len)
}

/// `X..n`: up to so many characters of set 82.
const fn x_to(max: u8) -> Part {
    part(Charset::Set82, 1, max)
}

impl Part {
    const fn with(self, rules: &'static [Rule]) -> Self {
        Self { rules, ..self }
    }

    const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

impl AiSpec {
    const fn requires(self, requires: &'static str) -> Self {
        Self { requires, ..self }
    }

    const fn excludes(self, excludes: &'static str) -> Self {
        Self { excludes, ..self }
    }

    /// A Digital Link primary key with these qualifiers, which may be another key's attribute too.
    const fn key(self, qualifiers: &'static str) -> Self {
        Self { link: LinkRole::Key { qualifiers }, ..self }
    }

    const fn no_attribute(self) -> Self {
        Self { link: LinkRole::NoAttribute, ..self }
    }
}

const fn range(
    first: &'static str,
    last: &'static str,
    parts: &'static [Part],
    title: &'static str,
) -> AiSpec {
    AiSpec { first, last, parts, title, requires: "", excludes: "", link: LinkRole::Attribute }
}

const fn one(ai: &'static str, parts: &'static [Part], title: &'static str) -> AiSpec {
    range(ai, ai, parts, title)
}

const SSCC: &[Part] = &[n(18).with(&[Rule::CheckDigit])];
const GTIN: &[Part] = &[n(14).with(&[Rule::CheckDigit])];
const GLN: &[Part] = &[n(13).with(&[Rule::CheckDigit])];
const PIECE: &[Part] = &[n(14).with(&[Rule::CheckDigit]), n(4).with(&[Rule::PieceOfTotal])];
const DATE: &[Part] = &[n(6).with(&[Rule::DateOrMonth])];
const EXACT_DATE: &[Part] = &[n(6).with(&[Rule::Date])];
const N6: &[Part] = &[n(6)];
const AMOUNT: &[Part] = &[n_to(15)];
const CURRENCY_AMOUNT: &[Part] = &[n(3).with(&[Rule::Iso4217]), n_to(15)];
const X20: &[Part] = &[x_to(20)];
const X30: &[Part] = &[x_to(30)];
const X90: &[Part] = &[x_to(90)];
const KEY30: &[Part] = &[x_to(30).with(&[Rule::CompanyPrefix])];
const TEXT35: &[Part] = &[x_to(35).with(&[Rule::PercentEncoded])];
const TEXT40: &[Part] = &[x_to(40).with(&[Rule::PercentEncoded])];
const TEXT70: &[Part] = &[x_to(70).with(&[Rule::PercentEncoded])];
const TEXT90: &[Part] = &[x_to(90).with(&[Rule::PercentEncoded])];
const COUNTRY: &[Part] = &[n(3).with(&[Rule::Iso3166])];
const MORE_COUNTRY: Part = n(3).with(&[Rule::Iso3166]).optional();
const COUNTRIES: &[Part] =
    &[n(3).with(&[Rule::Iso3166]), MORE_COUNTRY, MORE_COUNTRY, MORE_COUNTRY, MORE_COUNTRY];
const COUNTRY2: &[Part] = &[x(2).with(&[Rule::Iso3166Alpha2])];
const FLAG: &[Part] = &[n(1).with(&[Rule::YesNo])];
const DATE_TIME: &[Part] = &[n(6).with(&[Rule::DateOrMonth]), n(4).with(&[Rule::HourMinute])];
const TEMPERATURE: &[Part] = &[n(6), x(1).with(&[Rule::Hyphen]).optional()];
const PROCESSOR: &[Part] = &[n(3).with(&[Rule::Iso3166Or999]), x_to(27)];

const ROLL: &[Part] = &[
    n(4).with(&[Rule::NonZero]),
    n(5).with(&[Rule::NonZero]),
    n(3).with(&[Rule::NonZero]),
    n(1).with(&[Rule::Winding]),
    n(1),
];
const GRAI: &[Part] = &[n(1).with(&[Rule::Zero]), n(13).with(&[Rule::CheckDigit]), x_to(16).optional()];
const PRODUCTION_TIME: &[Part] = &[
    n(6).with(&[Rule::Date]),
    n(2).with(&[Rule::Hour]),
    n(2).with(&[Rule::Minute]).optional(),
    n(2).with(&[Rule::Second]).optional(),
];

/// Every application identifier, sorted.
pub static TABLE: &[AiSpec] = &[
    // Logistic units, trade items and their attributes.
    one("00", SSCC, "SSCC").key(""),
    one("01", GTIN, "GTIN").excludes("255,37").key("22,10,21|235"),
    one("02", GTIN, "CONTENT").requires("37").excludes("01,03"),
    one("03", GTIN, "MTO GTIN").excludes("01,02,37,235").no_attribute(),
    one("10", X20, "BATCH/LOT").requires("01,02,03,8006,8026"),
    one("11", DATE, "PROD DATE").requires("01,02,03,8006,8026"),
    one("12", DATE, "DUE DATE").requires("8020"),
    one("13", DATE, "PACK DATE").requires("01,02,03,8006,8026"),
    one("15", DATE, "BEST BEFORE or BEST BY").requires("01,02,03,8006,8026"),
    one("16", DATE, "SELL BY").requires("01,02,03,8006,8026"),
    one("17", DATE, "USE BY or EXPIRY").requires("01,02,03,255,8006,8026"),
    one("20", &[n(2)], "VARIANT").requires("01,02,03,8006,8026"),
    one("21", X20, "SERIAL").requires("01,03,8006").excludes("235").no_attribute(),
    one("22", X20, "CPV").requires("01").no_attribute(),
    one("235", &[x_to(28)], "TPX").requires("01").no_attribute(),
    one("240", X30, "ADDITIONAL ID").requires("01,02,03,8006,8026"),
    one("241", X30, "CUST. PART No.").requires("01,02,03,8006,8026"),
    one("242", &[n_to(6)], "MTO VARIANT").requires("01,02,8006,8026"),
    one("243", X20, "PCN").requires("01,03"),
    one("250", X30, "SECONDARY SERIAL").requires("01+21,03+21,8006+21"),
    one("251", X30, "REF. TO SOURCE").requires("01,03,8006"),
    one("253", &[n(13).with(&[Rule::CheckDigit]), x_to(17).optional()], "GDTI").key(""),
    one("254", X20, "GLN EXTENSION COMPONENT").requires("414").no_attribute(),
    one("255", &[n(13).with(&[Rule::CheckDigit]), n_to(12).optional()], "GCN")
        .excludes("01,02,415,8006,8020,8026")
        .key(""),
    one("30", &[n_to(8)], "VAR. COUNT").requires("01,02"),
    // Measures: the last digit is the number of decimals.
    range("3100", "3105", N6, "NET WEIGHT (kg)").requires("01,02").excludes("310n"),
    range("3110", "3115", N6, "LENGTH (m)").requires("01,02").excludes("311n"),
    range("3120", "3125", N6, "WIDTH (m)").requires("01,02").excludes("312n"),
    range("3130", "3135", N6, "HEIGHT (m)").requires("01,02").excludes("313n"),
    range("3140", "3145", N6, "AREA (m²)").requires("01,02").excludes("314n"),
    range("3150", "3155", N6, "NET VOLUME (l)").requires("01,02").excludes("315n"),
    range("3160", "3165", N6, "NET VOLUME (m³)").requires("01,02").excludes("316n"),
    range("3200", "3205", N6, "NET WEIGHT (lb)").requires("01,02").excludes("320n"),
    range("3210", "3215", N6, "LENGTH (in)").requires("01,02").excludes("321n"),
    range("3220", "3225", N6, "LENGTH (ft)").requires("01,02").excludes("322n"),
    range("3230", "3235", N6, "LENGTH (yd)").requires("01,02").excludes("323n"),
    range("3240", "3245", N6, "WIDTH (in)").requires("01,02").excludes("324n"),
    range("3250", "3255", N6, "WIDTH (ft)").requires("01,02").excludes("325n"),
    range("3260", "3265", N6, "WIDTH (yd)").requires("01,02").excludes("326n"),
    range("3270", "3275", N6, "HEIGHT (in)").requires("01,02").excludes("327n"),
    range("3280", "3285", N6, "HEIGHT (ft)").requires("01,02").excludes("328n"),
    range("3290", "3295", N6, "HEIGHT (yd)").requires("01,02").excludes("329n"),
    range("3300", "3305", N6, "GROSS WEIGHT (kg)").requires("00,01").excludes("330n"),
    range("3310", "3315", N6, "LENGTH (m), log").requires("00,01").excludes("331n"),
    range("3320", "3325", N6, "WIDTH (m), log").requires("00,01").excludes("332n"),
    range("3330", "3335", N6, "HEIGHT (m), log").requires("00,01").excludes("333n"),
    range("3340", "3345", N6, "AREA (m²), log").requires("00,01").excludes("334n"),
    range("3350", "3355", N6, "VOLUME (l), log").requires("00,01").excludes("335n"),
    range("3360", "3365", N6, "VOLUME (m³), log").requires("00,01").excludes("336n"),
    range("3370", "3375", N6, "KG PER m²").requires("01").excludes("337n"),
    range("3400", "3405", N6, "GROSS WEIGHT (lb)").requires("00,01").excludes("340n"),
    range("3410", "3415", N6, "LENGTH (in), log").requires("00,01").excludes("341n"),
    range("3420", "3425", N6, "LENGTH (ft), log").requires("00,01").excludes("342n"),
    range("3430", "3435", N6, "LENGTH (yd), log").requires("00,01").excludes("343n"),
    range("3440", "3445", N6, "WIDTH (in), log").requires("00,01").excludes("344n"),
    range("3450", "3455", N6, "WIDTH (ft), log").requires("00,01").excludes("345n"),
    range("3460", "3465", N6, "WIDTH (yd), log").requires("00,01").excludes("346n"),
    range("3470", "3475", N6, "HEIGHT (in), log").requires("00,01").excludes("347n"),
    range("3480", "3485", N6, "HEIGHT (ft), log").requires("00,01").excludes("348n"),
    range("3490", "3495", N6, "HEIGHT (yd), log").requires("00,01").excludes("349n"),
    range("3500", "3505", N6, "AREA (in²)").requires("01,02").excludes("350n"),
    range("3510", "3515", N6, "AREA (ft²)").requires("01,02").excludes("351n"),
    range("3520", "3525", N6, "AREA (yd²)").requires("01,02").excludes("352n"),
    range("3530", "3535", N6, "AREA (in²), log").requires("00,01").excludes("353n"),
    range("3540", "3545", N6, "AREA (ft²), log").requires("00,01").excludes("354n"),
    range("3550", "3555", N6, "AREA (yd²), log").requires("00,01").excludes("355n"),
    range("3560", "3565", N6, "NET WEIGHT (tr oz)").requires("01,02").excludes("356n"),
    range("3570", "3575", N6, "NET VOLUME (oz)").requires("01,02").excludes("357n"),
    range("3600", "3605", N6, "NET VOLUME (qt (US))").requires("01,02").excludes("360n"),
    range("3610", "3615", N6, "NET VOLUME (gal.)").requires("01,02").excludes("361n"),
    range("3620", "3625", N6, "VOLUME (qt (US)), log").requires("00,01").excludes("362n"),
    range("3630", "3635", N6, "VOLUME (gal (US)), log").requires("00,01").excludes("363n"),
    range("3640", "3645", N6, "NET VOLUME (in³)").requires("01,02").excludes("364n"),
    range("3650", "3655", N6, "NET VOLUME (ft³)").requires("01,02").excludes("365n"),
    range("3660", "3665", N6, "NET VOLUME (yd³)").requires("01,02").excludes("366n"),
    range("3670", "3675", N6, "VOLUME (in³), log").requires("00,01").excludes("367n"),
    range("3680", "3685", N6, "VOLUME (ft³), log").requires("00,01").excludes("368n"),
    range("3690", "3695", N6, "VOLUME (yd³), log").requires("00,01").excludes("369n"),
    // Counts and amounts.
    one("37", &[n_to(8)], "COUNT").requires("00+02,00+8026"),
    range("3900", "3909", AMOUNT, "AMOUNT").requires("255,8020").excludes("390n,391n,394n,8111"),
    range("3910", "3919", CURRENCY_AMOUNT, "AMOUNT").requires("8020").excludes("391n"),
    range("3920", "3929", AMOUNT, "PRICE")
        .requires("01+30,01+31nn,01+32nn,01+35nn,01+36nn")
        .excludes("392n,393n"),
    range("3930", "3939", CURRENCY_AMOUNT, "PRICE").requires("30,31nn,32nn,35nn,36nn").excludes("393n"),
    range("3940", "3943", &[n(4)], "PRCNT OFF").requires("255").excludes("394n,8111"),
    range("3950", "3955", N6, "PRICE/UoM").requires("30,31nn,32nn,35nn,36nn").excludes("392n,393n,395n,8005"),
    // Orders, shipments, places and countries.
    one("400", X30, "ORDER NUMBER"),
    one("401", KEY30, "GINC").key(""),
    one("402", &[n(17).with(&[Rule::CheckDigit])], "GSIN").key(""),
    one("403", X30, "ROUTE").requires("00"),
    one("410", GLN, "SHIP TO LOC"),
    one("411", GLN, "BILL TO"),
    one("412", GLN, "PURCHASE FROM"),
    one("413", GLN, "SHIP FOR LOC"),
    one("414", GLN, "LOC No.").key("254|7040"),
    one("415", GLN, "PAY TO").requires("8020").key("8020"),
    one("416", GLN, "PROD/SERV LOC"),
    one("417", GLN, "PARTY").key("7040"),
    one("420", X20, "SHIP TO POST").excludes("421"),
    one("421", &[n(3).with(&[Rule::Iso3166]), x_to(9)], "SHIP TO POST").excludes("4307"),
    one("422", COUNTRY, "ORIGIN").requires("01,02,03,8006,8026").excludes("426"),
    one("423", COUNTRIES, "COUNTRY - INITIAL PROCESS").requires("01,02,03").excludes("426"),
    one("424", COUNTRY, "COUNTRY - PROCESS").requires("01,02,03").excludes("426"),
    one("425", COUNTRIES, "COUNTRY - DISASSEMBLY").requires("01,02,03").excludes("426"),
    one("426", COUNTRY, "COUNTRY - FULL PROCESS").requires("01,02,03"),
    one("427", &[x_to(3)], "ORIGIN SUBDIVISION").requires("01+422,02+422,03+422"),
    // Transport: deliver to, return to, service, temperatures.
    one("4300", TEXT35, "SHIP TO COMP").requires("00"),
    one("4301", TEXT35, "SHIP TO NAME").requires("00"),
    one("4302", TEXT70, "SHIP TO ADD1").requires("00"),
    one("4303", TEXT70, "SHIP TO ADD2").requires("4302"),
    one("4304", TEXT70, "SHIP TO SUB").requires("00"),
    one("4305", TEXT70, "SHIP TO LOC").requires("00"),
    one("4306", TEXT70, "SHIP TO REG").requires("00"),
    one("4307", COUNTRY2, "SHIP TO COUNTRY").requires("00"),
    one("4308", X30, "SHIP TO PHONE").requires("00"),
    one("4309", &[n(10).with(&[Rule::Latitude]), n(10).with(&[Rule::Longitude])], "SHIP TO GEO")
        .requires("00"),
    one("4310", TEXT35, "RTN TO COMP").requires("00"),
    one("4311", TEXT35, "RTN TO NAME").requires("00"),
    one("4312", TEXT70, "RTN TO ADD1").requires("00"),
    one("4313", TEXT70, "RTN TO ADD2").requires("4312"),
    one("4314", TEXT70, "RTN TO SUB").requires("00"),
    one("4315", TEXT70, "RTN TO LOC").requires("00"),
    one("4316", TEXT70, "RTN TO REG").requires("00"),
    one("4317", COUNTRY2, "RTN TO COUNTRY").requires("00"),
    one("4318", X20, "RTN TO POST").requires("00"),
    one("4319", X30, "RTN TO PHONE").requires("00"),
    one("4320", TEXT35, "SRV DESCRIPTION").requires("00"),
    one("4321", FLAG, "DANGEROUS GOODS").requires("00"),
    one("4322", FLAG, "AUTH TO LEAVE").requires("00"),
    one("4323", FLAG, "SIG REQUIRED").requires("00"),
    one("4324", DATE_TIME, "NOT BEF DEL DT").requires("00"),
    one("4325", DATE_TIME, "NOT AFT DEL DT").requires("00"),
    one("4326", EXACT_DATE, "REL DATE").requires("00"),
    one("4330", TEMPERATURE, "MAX TEMP F.").requires("00").excludes("4331"),
    one("4331", TEMPERATURE, "MAX TEMP C.").requires("00").excludes("4330"),
    one("4332", TEMPERATURE, "MIN TEMP F.").requires("00").excludes("4333"),
    one("4333", TEMPERATURE, "MIN TEMP C.").requires("00").excludes("4332"),
    // Sector attributes: food, processing, refurbishment, healthcare.
    one("7001", &[n(13)], "NSN").requires("01,02,8006,8026"),
    one("7002", X30, "MEAT CUT").requires("01,02"),
    one("7003", &[n(6).with(&[Rule::Date]), n(4).with(&[Rule::HourMinute])], "EXPIRY TIME")
        .requires("01,02,03"),
    one("7004", &[n_to(4)], "ACTIVE POTENCY").requires("01+10,03+10"),
    one("7005", &[x_to(12)], "CATCH AREA").requires("01,02"),
    one("7006", EXACT_DATE, "FIRST FREEZE DATE").requires("01,02"),
    one("7007", &[n(6).with(&[Rule::Date]), n(6).with(&[Rule::Date]).optional()], "HARVEST DATE")
        .requires("01,02"),
    one("7008", &[x_to(3)], "AQUATIC SPECIES").requires("01,02"),
    one("7009", &[x_to(10)], "FISHING GEAR TYPE").requires("01,02"),
    one("7010", &[x_to(2)], "PROD METHOD").requires("01,02,03"),
    one("7011", &[n(6).with(&[Rule::Date]), n(4).with(&[Rule::HourMinute]).optional()], "TEST BY DATE")
        .requires("01,02,03"),
    one("7020", X20, "REFURB LOT").requires("01+416,03+416,8006+416"),
    one("7021", X20, "FUNC STAT").requires("01,03,8006"),
    one("7022", X20, "REV STAT").requires("01+7021,03+7021,8006+7021"),
    one("7023", KEY30, "GIAI - ASSEMBLY"),
    range("7030", "7039", PROCESSOR, "PROCESSOR # s").requires("01,02"),
    one("7040", &[n(1), x(1), x(1), x(1).with(&[Rule::ImporterIndex])], "UIC+EXT").no_attribute(),
    one("7041", &[x_to(4).with(&[Rule::PackageType])], "UFRGT UNIT TYPE").requires("00").no_attribute(),
    one("710", X20, "NHRN PZN").requires("01"),
    one("711", X20, "NHRN CIP").requires("01"),
    one("712", X20, "NHRN CN").requires("01"),
    one("713", X20, "NHRN DRN").requires("01"),
    one("714", X20, "NHRN AIM").requires("01"),
    one("715", X20, "NHRN NDC").requires("01"),
    one("716", X20, "NHRN AIC").requires("01"),
    one("717", X20, "NHRN SRN").requires("01"),
    range("7230", "7239", &[x(2), x_to(28)], "CERT # s").requires("01,8004"),
    one("7240", X20, "PROTOCOL").requires("01,8006").excludes("03"),
    one("7241", &[n(2).with(&[Rule::MediaType])], "AIDC MEDIA TYPE").requires("8017,8018"),
    one("7242", &[x_to(25)], "VCN").requires("8017,8018"),
    one("7250", &[n(8).with(&[Rule::LongDate])], "DOB").requires("8018").excludes("7251"),
    one("7251", &[n(8).with(&[Rule::LongDate]), n(4).with(&[Rule::HourMinute])], "DOB TIME")
        .requires("8018")
        .excludes("7250"),
    one("7252", &[n(1).with(&[Rule::Iso5218])], "BIO SEX").requires("8018"),
    one("7253", TEXT40, "FAMILY NAME").requires("8017,8018").excludes("7256,7259"),
    one("7254", TEXT40, "GIVEN NAME").requires("8017,8018").excludes("7256,7259"),
    one("7255", &[x_to(10)], "SUFFIX").requires("8017,8018").excludes("7256,7259"),
    one("7256", TEXT90, "FULL NAME").requires("8017,8018"),
    one("7257", TEXT70, "PERSON ADDR").requires("8018"),
    one("7258", &[x(3).with(&[Rule::PositionInSequence])], "BIRTH SEQUENCE").requires("8018+7259"),
    one("7259", TEXT40, "BABY").requires("8018").excludes("7256"),
    // Special applications.
    one("8001", ROLL, "DIMENSIONS").requires("01"),
    one("8002", X20, "CMT No."),
    one("8003", GRAI, "GRAI").key(""),
    one("8004", KEY30, "GIAI").key("7040"),
    one("8005", N6, "PRICE PER UNIT").requires("01,02"),
    one("8006", PIECE, "ITIP").excludes("01,03,37").key("22,10,21"),
    one("8007", &[x_to(34).with(&[Rule::Iban])], "IBAN").requires("415"),
    one("8008", PRODUCTION_TIME, "PROD TIME").requires("01,02,03"),
    one("8009", &[x_to(50)], "OPTSEN").requires("00,01,03"),
    one("8010", &[part(Charset::Set39, 1, 30).with(&[Rule::CompanyPrefix])], "CPID").key("8011"),
    one("8011", &[n_to(12).with(&[Rule::NoLeadingZero])], "CPID SERIAL").requires("8010").no_attribute(),
    one("8012", X20, "VERSION").requires("01,03,8006"),
    one("8013", &[x_to(25).with(&[Rule::CheckPair, Rule::CompanyPrefix])], "GMN").key(""),
    one("8014", &[x_to(25).with(&[Rule::CheckPair, Rule::CompanyPrefix, Rule::HasNonDigit])], "MUDI")
        .requires("01")
        .no_attribute(),
    one("8017", SSCC, "GSRN - PROVIDER").excludes("8018").key("8019"),
    one("8018", SSCC, "GSRN - RECIPIENT").excludes("8017").key("8019"),
    one("8019", &[n_to(10)], "SRIN").requires("8017,8018").no_attribute(),
    one("8020", &[x_to(25)], "REF No.").requires("415").no_attribute(),
    one("8026", PIECE, "ITIP CONTENT").requires("37").excludes("02,03,8006"),
    one("8030", &[part(Charset::Set64, 1, 90).with(&[Rule::Base64Padding])], "DIGSIG")
        .requires("00,01+21,03+21,253,255,8003,8004,8006+21,8010+8011,8017,8018"),
    one("8040", &[n(15)], "IMEI").requires("01+21").no_attribute(),
    one("8041", &[n(15)], "IMEI2").requires("01+21+8040").no_attribute(),
    one("8042", &[n(32)], "ESIM").requires("01+21+8040").no_attribute(),
    one("8043", &[n(18), n_to(2).optional()], "PSIM").requires("01+21+8040").no_attribute(),
    one("8110", &[x_to(70).with(&[Rule::Coupon])], "COUPON"),
    one("8111", &[n(4)], "POINTS").requires("255"),
    one("8112", &[x_to(70).with(&[Rule::PositiveOfferCoupon])], "COUPON"),
    one("8200", &[x_to(70)], "PRODUCT URL").requires("01").no_attribute(),
    one("90", X30, "INTERNAL"),
    range("91", "99", X90, "INTERNAL"),
];
