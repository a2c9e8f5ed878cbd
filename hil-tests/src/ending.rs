//! Ctrl-C and SIGTERM, heard by one task for the whole program, at whatever moment they come.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether this program was told to end. Once told, it stays told.
#[derive(Debug, Clone)]
pub struct Ending(watch::Receiver<bool>);

impl Ending {
    /// Listens from now on. To be called once, before anything is started.
    ///
    /// # Errors
    /// When the system does not let us listen.
    pub fn by_signals() -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (told, ending) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            told.send_replace(true);
            // Whoever looks later must find it.
            told.closed().await;
        });
        Ok(Self(ending))
    }

    /// Does `work`, unless the program is told to end before it is done, or was told already: then `work` is dropped.
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut told = self.0.clone();
        tokio::select! {
            biased;
            Ok(_) = told.wait_for(|told| *told) => None,
            done = work => Some(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_that_came_between_two_works_ends_the_second() {
        let (told, ending) = watch::channel(false);
        let ending = Ending(ending);
        assert_eq!(ending.unless(async { 1 }).await, Some(1));
        told.send_replace(true);
        assert_eq!(ending.unless(async { 2 }).await, None);
        assert_eq!(ending.unless(std::future::pending::<()>()).await, None);
    }
}
