//! The proof that this box was another one before: the old key names the new one, so that the centre takes what the old
//! one recorded and could not send.

use std::{fs, path::Path};

use aws_lc_rs::rand::SystemRandom;
use pestle_domain::{
    enrolment::Succession,
    signature::{SigningKey, VerifyingKey},
};
use rcgen::KeyPair;

use crate::identity_folder::{self, IDENTITY, KEY};

/// Names `new` as the successor of the identity in `data_dir`; `None` where there is none that can be read: such a box
/// can prove nothing, and its new life does not depend on it.
pub fn prove(data_dir: &Path, new: &KeyPair) -> Option<Succession> {
    let who = identity_folder::read(data_dir).ok()?;
    let pem = fs::read_to_string(data_dir.join(IDENTITY).join(KEY)).ok()?;
    let old = SigningKey::from_pkcs8(&KeyPair::from_pem(&pem).ok()?.serialize_der()).ok()?;
    let new = VerifyingKey::from_point(new.public_key_raw()).ok()?;
    Succession::sign(who.device, &old, &new, &SystemRandom::new()).ok()
}
