//! A fact as the one line of JSON that is kept, hashed and sent, and an act as it is made.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Actor, Fact, FactBody, Part, Stamp};
use crate::ids::{ActId, FactId};

/// The version of the envelope that this code writes.
pub const ENVELOPE_VERSION: u16 = 1;

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum FactError {
    /// Not the JSON of an envelope.
    #[error("the line is no fact")]
    Envelope(#[source] serde_json::Error),
    /// A known kind, with data that it cannot have.
    #[error("the data does not fit its kind {kind}")]
    Data {
        /// The kind.
        kind: String,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// Lines of a batch are separated by line ends.
    #[error("the line contains a line end")]
    LineEnd,
}

/// A line whose envelope was read and whose data was not yet.
#[derive(Debug, Deserialize, Serialize)]
pub struct Envelope<'a> {
    /// Version of the envelope.
    pub v: u16,
    /// See [`Fact::id`].
    pub id: FactId,
    /// See [`Fact::act`].
    pub act: ActId,
    /// See [`Fact::part`].
    pub of: Part,
    /// See [`Fact::actor`].
    pub actor: Actor,
    /// See [`Fact::at`].
    pub at: Stamp,
    /// Names the form of the data.
    #[serde(borrow)]
    pub kind: std::borrow::Cow<'a, str>,
    /// By kind.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope of a line.
    ///
    /// # Errors
    /// [`FactError::Envelope`], or [`FactError::LineEnd`].
    pub fn parse(line: &'a [u8]) -> Result<Self, FactError> {
        if line.contains(&b'\n') {
            return Err(FactError::LineEnd);
        }
        serde_json::from_slice(line).map_err(FactError::Envelope)
    }

    /// Reads the data: `None` where the envelope or the kind is newer than this version (*unfolded*).
    ///
    /// # Errors
    /// [`FactError::Data`] when the kind is known and its data is not what it must be.
    pub fn body(&self) -> Result<Option<FactBody>, FactError> {
        if self.v > ENVELOPE_VERSION {
            return Ok(None);
        }
        FactBody::parse(&self.kind, self.data.get())
            .transpose()
            .map_err(|source| FactError::Data { kind: self.kind.clone().into_owned(), source })
    }
}

impl Fact {
    /// The line that is kept, hashed and sent; without a line end.
    ///
    /// # Errors
    /// Only where JSON cannot say it, which no field of ours allows.
    pub fn to_line(&self) -> Result<Vec<u8>, serde_json::Error> {
        let data = RawValue::from_string(self.body.data_json()?)?;
        serde_json::to_vec(&Envelope {
            v: ENVELOPE_VERSION,
            id: self.id,
            act: self.act,
            of: self.part,
            actor: self.actor.clone(),
            at: self.at.clone(),
            kind: self.body.kind().into(),
            data: &data,
        })
    }

    /// Reads a line back.
    ///
    /// # Errors
    /// [`FactError`]; a kind that this version does not know is `Ok(None)`.
    pub fn from_line(line: &[u8]) -> Result<Option<Self>, FactError> {
        let envelope = Envelope::parse(line)?;
        let Some(body) = envelope.body()? else { return Ok(None) };
        let Envelope { id, act, of, actor, at, .. } = envelope;
        Ok(Some(Self { id, act, part: of, actor, at, body }))
    }
}

/// What a person did in one go, before it has a place in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// The page makes it, so that a repeat is recognised.
    pub id: ActId,
    /// One to a few facts, in order, each with this act's id and its part.
    pub facts: Vec<Fact>,
}

impl Act {
    /// Puts `bodies` into one act; `ids` gives each fact its id.
    pub fn new(
        id: ActId,
        actor: &Actor,
        at: &Stamp,
        bodies: Vec<FactBody>,
        mut ids: impl FnMut() -> FactId,
    ) -> Self {
        let count = u16::try_from(bodies.len()).unwrap_or(u16::MAX);
        let facts = (1..=count)
            .zip(bodies)
            .map(|(index, body)| Fact {
                id: ids(),
                act: id,
                part: Part(index, count),
                actor: actor.clone(),
                at: at.clone(),
                body,
            })
            .collect();
        Self { id, facts }
    }
}
