//! Who keeps what is bound: durably, before anything follows from it.

use async_trait::async_trait;

use super::binding::Binding;
use crate::device::DeviceName;

/// Keeps bindings. The keeper of names waits for it before it lets a driver open what was bound.
#[async_trait]
pub trait Memory: Send + Sync + std::fmt::Debug {
    /// Keeps what stands behind each of these names, all or nothing. When it returns, nothing that was known of another
    /// device of that name is believed any more.
    ///
    /// # Errors
    /// Why it cannot be kept, for a person.
    async fn keep(&self, bound: &[(DeviceName, Binding)]) -> Result<(), String>;
}

/// Keeps nothing: each start binds anew.
#[derive(Debug)]
pub(super) struct Forgets;

#[async_trait]
impl Memory for Forgets {
    async fn keep(&self, _bound: &[(DeviceName, Binding)]) -> Result<(), String> {
        Ok(())
    }
}
