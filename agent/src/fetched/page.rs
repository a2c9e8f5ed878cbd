//! A page of facts as the centre sends it: verified against what the box itself knows, and read. Pure.

use pestle_domain::{
    fact::{BoxFactsFetched, Envelope, Fact, FactBody},
    journal::{Acknowledgement, Head, Parent, Stream},
    signature::{Hash, VerifyingKey},
    wire::facts::{Asked, Page, PageError},
};

use crate::{counter::earlier::EarlierAct, journal::Place};

/// Why a page is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// It is none, or not whole, or not the centre's.
    #[error("what the centre sent as earlier facts cannot be used")]
    Page(#[from] PageError),
    /// It names a key that is not the centre's.
    #[error("what the centre sent as earlier facts is signed with a key that is not the centre's")]
    ForeignKey,
    /// Of somebody else, or another life of the store, or another range.
    #[error("the centre sent other facts than were asked for")]
    OtherFacts,
    /// The box's own chain has another value there.
    #[error(
        "the centre has other facts than this box where epoch {epoch} has fact {seq}: two stores wrote under this box's name, or an old copy was put back. Nothing is taken from there; call support"
    )]
    Contradicts {
        /// Which life of the store.
        epoch: u32,
        /// Where.
        seq: u64,
    },
    /// A line is no fact.
    #[error("a fact of epoch {epoch} that the centre sent cannot be read")]
    Unreadable {
        /// Which life of the store.
        epoch: u32,
    },
}

/// What the box knows of its own chain: a value at a number of an epoch, if it has it.
pub type Known<'a> = &'a dyn Fn(u32, u64) -> Option<Hash>;

/// A page that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What it is, for the ledger; `None` where the centre has nothing there.
    pub fetched: Option<BoxFactsFetched>,
    /// Its acts, in order.
    pub acts: Vec<EarlierAct>,
    /// The last fact of that life of the store that the centre has.
    pub last: u64,
    /// The life before, where the page has an epoch's first fact.
    pub parent: Option<Parent>,
    /// In which life of the centre's database.
    pub incarnation: u64,
}

/// Verifies a page that was asked for and reads it. `own` says whether a stream may be this box's.
///
/// # Errors
/// [`NotTaken`].
pub fn take(
    message: &[u8],
    asked: &Asked,
    own: impl Fn(&Stream) -> bool,
    known: Known<'_>,
    centre: impl Fn(&Acknowledgement) -> Option<VerifyingKey>,
) -> Result<Taken, NotTaken> {
    let page = Page::parse(message)?;
    let header = &page.header;
    let acknowledgement = &header.acknowledgement;
    let stream = &acknowledgement.stream;
    let key = centre(acknowledgement).ok_or(NotTaken::ForeignKey)?;
    page.verify(&key)?;
    let as_asked = own(stream)
        && (stream.lane, stream.epoch) == (asked.lane, asked.epoch)
        && header.first == asked.from
        && (header.count == 0 || asked.to.is_none_or(|to| page.after().seq <= to));
    if !as_asked {
        return Err(NotTaken::OtherFacts);
    }
    let incarnation = acknowledgement.incarnation;
    // With no facts behind it the value before is nobody's word, but for the centre's own head.
    let before = if header.count > 0 { Some(page.before()) } else { None };
    for head in before.into_iter().chain([page.after()]) {
        let own = if head.seq == 0 { Some(Head::EMPTY.hash) } else { known(asked.epoch, head.seq) };
        if own.is_some_and(|own| own != head.hash) {
            return Err(NotTaken::Contradicts { epoch: asked.epoch, seq: head.seq });
        }
    }
    if header.count == 0 {
        return Ok(Taken { fetched: None, acts: Vec::new(), last: header.last, parent: None, incarnation });
    }
    let (acts, parent) = acts_of(&page)?;
    let after = page.after();
    let fetched = BoxFactsFetched { epoch: asked.epoch, from: header.first, to: after.seq, hash: after.hash };
    Ok(Taken { fetched: Some(fetched), acts, last: header.last, parent, incarnation })
}

/// Reads a page that was verified when it was kept: it is whole, and the one that a fact in the ledger names.
///
/// # Errors
/// [`NotTaken`].
pub fn read(message: &[u8], fetched: &BoxFactsFetched) -> Result<Vec<EarlierAct>, NotTaken> {
    let page = Page::parse(message)?;
    page.chain()?;
    let after = page.after();
    if (page.header.first, after.seq, after.hash) != (fetched.from, fetched.to, fetched.hash) {
        return Err(NotTaken::OtherFacts);
    }
    Ok(acts_of(&page)?.0)
}

fn acts_of(page: &Page<'_>) -> Result<(Vec<EarlierAct>, Option<Parent>), NotTaken> {
    let epoch = page.header.acknowledgement.stream.epoch;
    let unreadable = |_| NotTaken::Unreadable { epoch };
    let mut acts: Vec<EarlierAct> = Vec::new();
    let mut parent = None;
    for (index, line) in (0..).zip(&page.lines) {
        let seq = page.header.first.saturating_add(index);
        let begins = Envelope::parse(line).map_err(unreadable)?.of.0 <= 1;
        if begins || acts.is_empty() {
            let again = page.header.again.contains(&seq);
            acts.push(EarlierAct { first: Place { epoch, seq }, facts: Vec::new(), again });
        }
        // A kind that this version does not know changes no books of this version.
        let Some(fact) = Fact::from_line(line).map_err(unreadable)? else { continue };
        if let (1, FactBody::EpochOpened(opened)) = (seq, &fact.body) {
            parent.clone_from(&opened.parent);
        }
        if let Some(act) = acts.last_mut() {
            act.facts.push((seq, fact));
        }
    }
    Ok((acts, parent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
    };
    use pestle_domain::{
        journal::Lane,
        signature::SigningKey,
        wire::facts::{FACTS_VERSION, PageHeader, build},
    };

    use crate::journal::testing;

    struct Sent {
        key: SigningKey,
        stream: Stream,
        lines: Vec<Vec<u8>>,
    }

    impl Sent {
        fn new() -> Self {
            let document =
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
            let key = SigningKey::from_pkcs8(document.as_ref()).unwrap();
            let lines = (1..=4).flat_map(|number| {
                let act = testing::act(number, 2);
                act.facts.iter().map(|fact| fact.to_line().unwrap()).collect::<Vec<_>>()
            });
            Self { key, stream: testing::stream(), lines: lines.collect() }
        }

        fn head(&self, seq: u64) -> Head {
            let lines = self.lines[..usize::try_from(seq).unwrap()].iter().map(Vec::as_slice);
            Head::EMPTY.after_all(&self.stream, lines)
        }

        fn page(&self, first: u64, last: u64) -> Vec<u8> {
            let acknowledgement = Acknowledgement::sign(
                3,
                self.stream.clone(),
                self.head(last),
                &self.key,
                &SystemRandom::new(),
            );
            let header = PageHeader {
                facts: FACTS_VERSION,
                first,
                count: last + 1 - first,
                previous: self.head(first - 1).hash,
                last: 8,
                again: vec![5],
                acknowledgement: acknowledgement.unwrap(),
            };
            let (from, to) = (usize::try_from(first - 1).unwrap(), usize::try_from(last).unwrap());
            build(&header, self.lines[from..to].iter().map(Vec::as_slice)).unwrap()
        }

        fn asked(&self, from: u64, to: u64) -> Asked {
            Asked { lane: Lane::Ledger, epoch: self.stream.epoch, store: None, from, to: Some(to) }
        }

        fn take(&self, message: &[u8], asked: &Asked, known: Known<'_>) -> Result<Taken, NotTaken> {
            let own = self.key.public();
            let centre = |ack: &Acknowledgement| (ack.key == own.id()).then(|| own.clone());
            take(message, asked, |stream| *stream == self.stream, known, centre)
        }
    }

    #[test]
    fn a_page_is_taken_whole_and_read_again_as_it_was_kept() {
        let sent = Sent::new();
        let known = |_, seq| Some(sent.head(seq).hash);
        let message = sent.page(3, 6);
        let taken = sent.take(&message, &sent.asked(3, 6), &known).unwrap();
        let fetched = taken.fetched.clone().unwrap();
        assert_eq!((fetched.from, fetched.to, fetched.hash), (3, 6, sent.head(6).hash));
        assert_eq!((taken.last, taken.incarnation, taken.acts.len()), (8, 3, 2));
        let firsts: Vec<_> =
            taken.acts.iter().map(|act| (act.first.seq, act.facts.len(), act.again)).collect();
        assert_eq!(firsts, [(3, 2, false), (5, 2, true)]);
        assert_eq!(read(&message, &fetched).unwrap(), taken.acts);
        let other = BoxFactsFetched { hash: sent.head(5).hash, ..fetched };
        assert!(matches!(read(&message, &other), Err(NotTaken::OtherFacts)));
        // Nothing there is an answer too.
        let taken = sent.take(&sent.page(9, 8), &Asked { to: None, ..sent.asked(9, 9) }, &known).unwrap();
        assert_eq!((taken.fetched, taken.last), (None, 8));
    }

    #[test]
    fn a_page_with_another_byte_of_another_range_or_of_another_history_is_not_taken() {
        let sent = Sent::new();
        let nothing = |_, _| None;
        let message = sent.page(3, 6);
        let whole = sent.take(&message, &sent.asked(3, 6), &nothing).unwrap();
        let facts = |acts: &[EarlierAct]| acts.iter().map(|act| act.facts.clone()).collect::<Vec<_>>();
        for index in 0..message.len() {
            let mut changed = message.clone();
            changed[index] ^= 1;
            // What the chain does not cover says where else a fact stands, and how far the centre is; the facts are the same.
            if let Ok(taken) = sent.take(&changed, &sent.asked(3, 6), &nothing) {
                assert_eq!((taken.fetched, facts(&taken.acts)), (whole.fetched.clone(), facts(&whole.acts)));
            }
        }
        for asked in [sent.asked(3, 5), sent.asked(2, 6), Asked { epoch: 9, ..sent.asked(3, 6) }] {
            assert!(matches!(sent.take(&message, &asked, &nothing), Err(NotTaken::OtherFacts)), "{asked:?}");
        }
        for wrong in [2, 6] {
            let known = |_, seq| if seq == wrong { Some(sent.head(1).hash) } else { None };
            let error = sent.take(&message, &sent.asked(3, 6), &known).unwrap_err();
            assert!(matches!(error, NotTaken::Contradicts { seq, .. } if seq == wrong), "{error}");
        }
        let other = Sent::new();
        let error =
            take(&message, &sent.asked(3, 6), |_| true, &nothing, |_| Some(other.key.public().clone()));
        assert!(matches!(error, Err(NotTaken::Page(PageError::WrongSignature(_)))), "{error:?}");
        let error = take(&message, &sent.asked(3, 6), |_| true, &nothing, |_| None);
        assert!(matches!(error, Err(NotTaken::ForeignKey)));
    }
}
