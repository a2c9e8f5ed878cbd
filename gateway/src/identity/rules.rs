//! What a user may look like, and how long their sign-in counts.

use time::OffsetDateTime;

/// Shortest password (NIST SP 800-63B asks for 8; we ask for a little more and for no special characters).
pub const PASSWORD_LENGTH_MIN: usize = 10;
/// Longest password: beyond this, hashing it is somebody's way to keep us busy.
pub const PASSWORD_LENGTH_MAX: usize = 200;
/// Longest login.
pub const LOGIN_LENGTH_MAX: usize = 120;

/// Why a user cannot be made so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUser {
    /// Too short or too long.
    #[error("a password has {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters: choose another")]
    PasswordLength,
    /// The login stands in it.
    #[error("the password contains the login name: choose another")]
    PasswordIsLogin,
    /// Not usable.
    #[error(
        "a login has 3 to {LOGIN_LENGTH_MAX} characters without spaces, such as anna or anna@example.org"
    )]
    Login,
}

/// The login as it is stored and compared: trimmed, lower case.
///
/// # Errors
/// [`BadUser::Login`].
pub fn login(text: &str) -> Result<String, BadUser> {
    let login = text.trim().to_lowercase();
    let length = login.chars().count();
    let good = (3..=LOGIN_LENGTH_MAX).contains(&length)
        && !login.chars().any(|character| character.is_whitespace() || character.is_control());
    if good { Ok(login) } else { Err(BadUser::Login) }
}

/// Whether this password may be set for this login.
///
/// # Errors
/// [`BadUser`], saying why not.
pub fn check_password(login: &str, password: &str) -> Result<(), BadUser> {
    if !(PASSWORD_LENGTH_MIN..=PASSWORD_LENGTH_MAX).contains(&password.chars().count()) {
        return Err(BadUser::PasswordLength);
    }
    if password.to_lowercase().contains(login) {
        return Err(BadUser::PasswordIsLogin);
    }
    Ok(())
}

/// Whether a token that was made at `made_at_ms` (since 1970) still stands for a user whose sign-ins count from
/// `valid_from` on.
pub fn still_stands(made_at_ms: i128, valid_from: OffsetDateTime) -> bool {
    made_at_ms >= valid_from.unix_timestamp_nanos().div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_compared_without_case_and_margins() {
        assert_eq!(login(" Anna@Example.org "), Ok("anna@example.org".to_owned()));
        for bad in ["", "ab", "a b c", "a\u{7}bc"] {
            assert_eq!(login(bad), Err(BadUser::Login), "{bad:?}");
        }
    }

    #[test]
    fn what_was_given_before_a_change_does_not_outlive_it() {
        let change = time::macros::datetime!(2026-11-21 12:00:00.000_5 UTC);
        let at = i128::from(change.unix_timestamp()) * 1_000;
        assert!(!still_stands(at - 1, change));
        assert!(still_stands(at, change), "given in the same millisecond, after it");
    }

    #[test]
    fn weak_passwords_are_refused() {
        assert_eq!(check_password("anna", "mortar-and-pestle"), Ok(()));
        assert_eq!(check_password("anna", "short"), Err(BadUser::PasswordLength));
        assert_eq!(check_password("anna", "my-name-is-ANNA"), Err(BadUser::PasswordIsLogin));
    }
}
