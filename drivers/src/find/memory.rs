//! Who keeps what is bound: durably, before anything follows from it.

use std::{future::Future, pin::Pin};

use super::binding::Binding;
use crate::device::DeviceName;

/// What keeping comes to.
pub type Kept<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Keeps bindings. The keeper of names waits for it before it lets a driver open what was bound.
pub trait Memory: Send + Sync + std::fmt::Debug {
    /// Keeps what stands behind each of these names, all or nothing. When it returns, nothing that was known of another
    /// device of that name is believed any more.
    ///
    /// # Errors
    /// Why it cannot be kept, for a person.
    fn keep<'a>(&'a self, bound: &'a [(DeviceName, Binding)]) -> Kept<'a>;
}

/// Keeps nothing: each start binds anew.
#[derive(Debug)]
pub(super) struct Forgets;

impl Memory for Forgets {
    fn keep<'a>(&'a self, _bound: &'a [(DeviceName, Binding)]) -> Kept<'a> {
        Box::pin(std::future::ready(Ok(())))
    }
}
