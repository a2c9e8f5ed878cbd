//! Signatures under what was committed.

use pestle_domain::{
    journal::{Acknowledgement, Head, Stream},
    signature::SignatureError,
    wire::orders::{Header, Span},
};

use crate::{app::App, authority::signer::Signer};

/// Signs what the database has committed.
pub trait Seal: Send + Sync {
    /// Signs that `stream` is committed up to `head`.
    ///
    /// # Errors
    /// [`SignatureError::NoRandom`].
    fn acknowledge(
        &self,
        incarnation: u64,
        stream: Stream,
        head: Head,
    ) -> Result<Acknowledgement, SignatureError>;

    /// Signs a run of orders.
    ///
    /// # Errors
    /// [`SignatureError::NoRandom`].
    fn orders(&self, span: Span) -> Result<Header, SignatureError>;
}

impl Seal for Signer {
    fn acknowledge(
        &self,
        incarnation: u64,
        stream: Stream,
        head: Head,
    ) -> Result<Acknowledgement, SignatureError> {
        Acknowledgement::sign(incarnation, stream, head, self.current(), self.random())
    }

    fn orders(&self, span: Span) -> Result<Header, SignatureError> {
        span.sign(self.current(), self.random())
    }
}

impl Seal for App {
    fn acknowledge(
        &self,
        incarnation: u64,
        stream: Stream,
        head: Head,
    ) -> Result<Acknowledgement, SignatureError> {
        self.authority.signer().acknowledge(incarnation, stream, head)
    }

    fn orders(&self, span: Span) -> Result<Header, SignatureError> {
        self.authority.signer().orders(span)
    }
}

/// One signature per stream and head, however many batches it answers.
pub(super) struct Seals<'a> {
    seal: &'a dyn Seal,
    last: Option<Acknowledgement>,
}

impl<'a> Seals<'a> {
    pub(super) fn new(seal: &'a dyn Seal) -> Self {
        Self { seal, last: None }
    }

    pub(super) fn acknowledge(
        &mut self,
        incarnation: u64,
        stream: &Stream,
        head: Head,
    ) -> Result<Acknowledgement, SignatureError> {
        match &self.last {
            Some(last) if last.stream == *stream && last.head == head && last.incarnation == incarnation => {
                Ok(last.clone())
            }
            _ => {
                let made = self.seal.acknowledge(incarnation, stream.clone(), head)?;
                self.last = Some(made.clone());
                Ok(made)
            }
        }
    }
}
