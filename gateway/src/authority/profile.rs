//! What each kind of certificate holds (RFC 5280). Pure but for random serial numbers:
//! time comes in, keys and signatures are the caller's.

use std::net::IpAddr;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
    SerialNumber, string::Ia5String,
};
use time::{Duration, OffsetDateTime};

use super::identity::PeerIdentity;
use pestle_domain::ids::DeviceId;

/// The authority outlives its boxes.
const ROOT_DAYS: i64 = 20 * 365;
/// Server and client certificates: more than three times the 90 days that a branch may be without the centre, and
/// below the 825 days beyond which some browsers refuse.
pub const LEAF_DAYS: i64 = 730;
/// Clocks of boxes that were just unpacked may be behind.
const BACKDATED: Duration = Duration::hours(24);

/// The authority's own.
pub fn root(now: OffsetDateTime) -> CertificateParams {
    let mut params = base("Pestle centre", now, ROOT_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// For our HTTPS and MQTT ports.
///
/// # Errors
/// A name that no certificate can carry.
pub fn server(names: &[String], now: OffsetDateTime) -> Result<CertificateParams, rcgen::Error> {
    let mut params = base(names.first().map_or("localhost", String::as_str), now, LEAF_DAYS);
    params.subject_alt_names = names.iter().map(|name| san(name)).collect::<Result<_, _>>()?;
    leaf(&mut params, ExtendedKeyUsagePurpose::ServerAuth);
    Ok(params)
}

/// For a link to the centre.
///
/// # Errors
/// A name that no certificate can carry.
pub fn client(identity: &PeerIdentity, now: OffsetDateTime) -> Result<CertificateParams, rcgen::Error> {
    let mut params = base(identity.common_name(), now, LEAF_DAYS);
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(identity.to_string())?)];
    leaf(&mut params, ExtendedKeyUsagePurpose::ClientAuth);
    Ok(params)
}

/// For the pages that a box serves in its branch: its stable name, and loopback, which is always the box itself.
///
/// # Errors
/// A name that no certificate can carry.
pub fn box_pages(device: &DeviceId, now: OffsetDateTime) -> Result<CertificateParams, rcgen::Error> {
    let name = format!("{device}.local");
    let mut params = base(&name, now, LEAF_DAYS);
    params.subject_alt_names = vec![san(&name)?, san("localhost")?, san("127.0.0.1")?];
    leaf(&mut params, ExtendedKeyUsagePurpose::ServerAuth);
    Ok(params)
}

/// All names, sorted, as text.
pub fn names_of(params: &CertificateParams) -> Vec<String> {
    let mut names: Vec<String> = params
        .subject_alt_names
        .iter()
        .map(|name| match name {
            SanType::DnsName(name) | SanType::URI(name) | SanType::Rfc822Name(name) => {
                name.as_str().to_owned()
            }
            SanType::IpAddress(address) => address.to_string(),
            other => format!("{other:?}"),
        })
        .collect();
    names.sort();
    names
}

fn san(name: &str) -> Result<SanType, rcgen::Error> {
    match name.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => Ok(SanType::DnsName(Ia5String::try_from(name.to_owned())?)),
    }
}

fn base(common_name: &str, now: OffsetDateTime, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = now - BACKDATED;
    params.not_after = now + Duration::days(days);
    // Left to itself the library derives the serial from the key, and a box has two certificates with one key.
    let mut serial = [0u8; 16];
    if SystemRandom::new().fill(&mut serial).is_ok() {
        serial[0] &= 0x7f;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
    }
    params
}

fn leaf(params: &mut CertificateParams, purpose: ExtendedKeyUsagePurpose) {
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
}
