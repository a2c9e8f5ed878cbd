//! Who works at the centre: users, their passwords, and the tokens that they carry.
//!
//! In reading order: [`rules`] says what a password must be; [`token`] makes and reads tokens; [`password`] hashes;
//! [`store`] is the SQL; [`principal`] is the extractor that other modules ask for; [`api`] signs in and out.
//!
//! A token is a JWT signed with ES256 under a key of its own. It lasts [`token::LIFE`]; the console carries it in a cookie,
//! programs in `Authorization: Bearer`. Signing out ends a token at this gateway at once; another gateway
//! believes it until it is over. The console asks the database how a user stands whenever it shows a page, and while
//! one is open: who was disabled, or has a new password, is out at once there, and everywhere when the token is over.

pub mod api;
pub mod password;
pub mod principal;
pub mod rules;
pub mod store;
pub mod token;

use std::net::IpAddr;

pub use principal::Principal;

use crate::limits::{Limits, Rule};

/// Tries per login from one network: five at once, then one per minute. Whoever tries somebody's login from elsewhere
/// uses up their own tries, and does not shut its owner out.
const PER_LOGIN_THERE: Rule = Rule { burst: 5, refill_ms: 60_000 };
/// Tries per login from everywhere: only a guesser with dozens of networks meets it. With ten characters of password
/// 17,000 tries a day are for ever.
const PER_LOGIN: Rule = Rule { burst: 200, refill_ms: 5_000 };
/// Tries per network: a branch's people may sit behind one address.
const PER_NETWORK: Rule = Rule { burst: 30, refill_ms: 4_000 };

/// What signing in needs.
#[derive(Debug)]
pub struct Identity {
    /// Makes and reads tokens.
    pub tokens: token::Tokens,
    /// Hashes, a few at a time.
    pub hasher: password::Hasher,
    per_login_there: Limits<(String, IpAddr)>,
    per_login: Limits<String>,
    per_network: Limits<IpAddr>,
}

impl Identity {
    /// With a key for tokens.
    pub fn new(tokens: token::Tokens) -> Self {
        Self {
            tokens,
            hasher: password::Hasher::default(),
            per_login_there: Limits::new(PER_LOGIN_THERE),
            per_login: Limits::new(PER_LOGIN),
            per_network: Limits::new(PER_NETWORK),
        }
    }
}
