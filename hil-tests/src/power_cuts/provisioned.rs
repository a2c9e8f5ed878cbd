//! A box that is enrolled at a centre that does not answer, with a catalogue that this centre signed: what lies in its folder
//! before its first start.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use argon2::{Argon2, PasswordHasher as _};
use aws_lc_rs::rand::SystemRandom;
use pestle_agent::snapshot::{kept, verify::Proof};
use pestle_domain::{
    catalogue::{Product, Storage, Supply},
    enrolment::Identity,
    gs1::Gtin,
    money::{BasisPoints, Currency, Money},
    signature::{Hash, SigningKey, VerifyingKey},
    snapshot::{BranchProfile, SNAPSHOT_FORM, Snapshot, statement},
    staff::{Member, Role},
    units::UnixMillis,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData as _};

use crate::world::Person;

/// Who sells.
pub const SELLER: Person = Person { id: "max", name: "Max", role: "manager", pin: "9753" };

/// What is sold: the digits before the check digit, the price in cents.
const ARTICLES: [(&[u8], &str, i64); 3] = [
    (b"0952012300001", "ibuprofen-200", 499),
    (b"0952012300002", "paracetamol-500", 325),
    (b"0952012300003", "thermometer", 1_290),
];

/// Packs of each article on the shelf at the beginning.
pub const OPENING: i64 = 1_000_000;

/// An article as it is typed, and as the books call it.
#[derive(Debug, Clone)]
pub struct Article {
    /// Its GTIN.
    pub code: String,
    /// The product's id.
    pub product: String,
}

/// All that is sold.
///
/// # Errors
/// A GTIN is none.
pub fn articles() -> Result<Vec<Article>> {
    let article = |(digits, product, _): &(&[u8], &str, i64)| {
        let gtin = Gtin::with_check_digit(digits).ok().context("no GTIN")?;
        Ok(Article { code: gtin.short().to_string(), product: (*product).to_owned() })
    };
    ARTICLES.iter().map(article).collect()
}

/// The opening stock as `pestle-agent stock-open` reads it.
///
/// # Errors
/// A GTIN is none.
pub fn opening_stock() -> Result<String> {
    let lines =
        articles()?.into_iter().map(|article| format!("{},LOT1,2030-07-31,{OPENING}\n", article.code));
    Ok(format!("gtin,lot,expiry,quantity\n{}", lines.collect::<String>()))
}

/// Writes it into `folder`.
///
/// # Errors
/// The disk refuses.
pub fn provision(folder: &Path) -> Result<()> {
    let identity = folder.join("identity");
    fs::create_dir_all(&identity)?;
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, &authority_key);
    let key = KeyPair::generate()?;
    let certificate = |name: &str| -> Result<String> {
        Ok(CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &issuer)?.pem())
    };
    let who = Identity {
        tenant: "acme".parse().ok().context("a name")?,
        branch: "north".parse().ok().context("a name")?,
        device: "box-1".parse().ok().context("a name")?,
        term: 1,
        https: "https://127.0.0.1:1".into(),
        mqtt: "127.0.0.1:1".into(),
        centre_keys: vec![VerifyingKey::from_point(authority_key.der_bytes()).ok().context("a key")?],
        first_epoch: 1,
        earlier: vec![],
    };
    for (name, text) in [
        ("device.key.pem", key.serialize_pem()),
        ("device.cert.pem", certificate("box-1")?),
        ("web.cert.pem", certificate("localhost")?),
        ("ca.pem", ca.pem()),
        ("identity.json", serde_json::to_string(&who)?),
    ] {
        fs::write(identity.join(name), text)?;
    }
    let centre = SigningKey::from_pkcs8(authority_key.serialized_der()).ok().context("a key")?;
    let snapshot = snapshot(&who)?;
    let body = serde_json::to_vec(&snapshot)?;
    let hash = Hash::of(&body);
    let said = statement(&snapshot.tenant, &snapshot.branch, snapshot.version, &hash);
    let signature = centre.sign(&said, &SystemRandom::new()).ok().context("no signature")?;
    let (version, key) = (snapshot.version, centre.id().clone());
    let proof = Proof { version, hash, key, signature, etag: String::new() };
    kept::keep(&folder.join("snapshot"), &proof, &body)?;
    Ok(())
}

fn snapshot(who: &Identity) -> Result<Snapshot> {
    // Weaker than what the centre makes, so that hundreds of sign-ins do not take minutes; the verifier says so itself.
    let cheap = argon2::Params::new(8, 1, 1, None).ok().context("argon2's parameters")?;
    let hasher = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, cheap);
    let verifier = hasher.hash_password_with_salt(SELLER.pin.as_bytes(), b"saltsaltsaltsalt");
    let verifier = verifier.ok().context("argon2")?.to_string();
    let product = |(digits, id, cents): &(&[u8], &str, i64)| -> Result<Product> {
        Ok(Product {
            id: id.parse().ok().context("a product's id")?,
            gtins: vec![Gtin::with_check_digit(digits).ok().context("no GTIN")?],
            name: (*id).into(),
            price: Money::new(*cents, Currency::EUR),
            tax: BasisPoints(1_900),
            supply: Supply::General,
            storage: Storage::Ambient,
        })
    };
    Ok(Snapshot {
        form: SNAPSHOT_FORM,
        tenant: who.tenant.clone(),
        branch: who.branch.clone(),
        version: 1,
        made_at: UnixMillis(0),
        profile: BranchProfile {
            name: "North".into(),
            address: vec![],
            tax_number: "".into(),
            currency: Currency::EUR,
            time_zone: "Europe/Berlin".into(),
            cut_over_minutes: 0,
            receipt_header: vec![],
            receipt_footer: vec![],
        },
        products: ARTICLES.iter().map(product).collect::<Result<_>>()?,
        recalls: vec![],
        orders: None,
        staff: vec![Member {
            id: SELLER.id.parse().ok().context("a name")?,
            name: SELLER.name.into(),
            role: Role::Manager,
            pin_verifier: verifier.into(),
            valid_until: None,
        }],
    })
}
