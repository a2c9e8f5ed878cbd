//! What a person who decides has to know, in words; and what needs no person. Pure.

use pestle_domain::{
    appeal::{Appeal, CONTESTED_MAX, Contested, Parting, Torn, VALUES_MAX},
    ids::{BranchId, DeviceId},
};
use time::{Duration, OffsetDateTime};

use crate::ingest::rules::{Sender, describe};

/// A box that has not asked for so long is not there any more, or its contradiction has ended: eight of its intervals.
pub const HEARD_WITHIN: Duration = Duration::minutes(2);
/// Longest text of a box's own that is kept, in characters.
const TEXT_MAX: usize = 200;

/// What a person may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It is the branch's box, and goes on in a new epoch.
    GoOn,
    /// It is a second box, and gets a name of its own.
    OwnName,
}

impl Choice {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GoOn => "go_on",
            Self::OwnName => "own_name",
        }
    }
}

impl std::str::FromStr for Choice {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::GoOn, Self::OwnName].into_iter().find(|choice| choice.as_str() == text).ok_or(())
    }
}

/// Why an appeal is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is about somebody else's records.
    #[error("the stream {0} is not one of this box's")]
    NotOwn(String),
    /// More than any box says.
    #[error("an appeal names 1 to {CONTESTED_MAX} streams, with at most {VALUES_MAX} chain values each")]
    Size,
}

/// Checks that an appeal is about the sender's own records, and of a size that a page can show.
///
/// # Errors
/// [`NotTaken`].
pub fn check(sender: &Sender, appeal: &Appeal) -> Result<(), NotTaken> {
    let contested = &appeal.contested;
    let sized = (1..=CONTESTED_MAX).contains(&contested.len())
        && contested.iter().all(|one| one.values.len() <= VALUES_MAX);
    if !sized {
        return Err(NotTaken::Size);
    }
    match contested.iter().find(|one| !sender.writes(&one.stream)) {
        Some(one) => Err(NotTaken::NotOwn(describe(&one.stream))),
        None => Ok(()),
    }
}

/// An appeal as it is kept: texts of a bound length, without characters that no database holds.
pub fn kept(mut appeal: Appeal) -> Appeal {
    let place = &mut appeal.place;
    for text in
        [&mut place.host, &mut place.address, &mut place.pages, &mut place.machine, &mut place.data_dir]
    {
        *text = text.replace('\0', "\u{FFFD}").chars().take(TEXT_MAX).collect::<String>().into();
    }
    appeal
}

/// Whether a person's decision is there already: the box has been given a name of its own since, and all that is refused was
/// recorded in this branch under another one. Enrolling it was the decision.
pub fn is_decided_by_enrolment(sender: &Sender, appeal: &Appeal) -> bool {
    appeal
        .contested
        .iter()
        .all(|one| one.stream.device != sender.device && one.stream.branch == sender.branch)
}

/// The branch for which a box must be enrolled so that its records can be carried over, where that is not its own: facts are booked
/// in the branch in which they happened.
pub fn belongs_elsewhere<'a>(own: &BranchId, appeal: &'a Appeal) -> Option<&'a BranchId> {
    appeal.contested.iter().map(|one| &one.stream.branch).find(|branch| *branch != own)
}

/// What is different, in a sentence.
pub fn difference(contested: &Contested, centre: u64, parting: Parting) -> String {
    let Contested { stream, head, waiting, .. } = contested;
    let (lane, epoch) = (stream.lane.as_str(), stream.epoch);
    if let Some(Torn { from, to }) = contested.torn {
        let last = head.seq;
        return format!(
            "{lane}, epoch {epoch}: the box cannot read facts {from} to {to} any more, and the centre has them not; what lies behind them, \
             to {last}, cannot join before the box records it once more. {waiting} facts of the box wait"
        );
    }
    let same = match parting.same_to {
        0 => "they are nowhere known to be the same".to_owned(),
        same => format!("they are the same up to fact {same}"),
    };
    let differs = match parting.differs_at {
        Some(seq) if seq == parting.same_to + 1 => format!(" and differ from fact {seq} on"),
        Some(seq) => format!(" and differ at fact {seq}"),
        None => String::new(),
    };
    format!(
        "{lane}, epoch {epoch}: the box ends with fact {}, the centre with {centre}; {same}{differs}. {waiting} facts of the box wait",
        head.seq
    )
}

/// Whether no other history is in question: some of what the box has cannot be read any more, and that is all.
pub fn is_torn_alone(appeal: &Appeal) -> bool {
    !appeal.contested.is_empty() && appeal.contested.iter().all(|one| one.torn.is_some())
}

/// What each choice does, in a sentence.
pub fn consequence(choice: Choice, device: &DeviceId) -> String {
    match choice {
        Choice::GoOn => format!(
            "It goes on as {device} in a new epoch, and records all that it still has once more: the centre knows by each fact's \
             id what it has, and takes the rest. Nothing counts twice. If another box of this name still runs, that one is refused next, \
             and asks here too"
        ),
        Choice::OwnName => "A technician enrols it anew at its place; then it carries over what it has under the new name, by \
                            itself. The box with the newest name gets the branch's orders: if the other one is to stay the branch's, \
                            enrol that one again behind it, or switch this one off once nothing waits in it"
            .to_owned(),
    }
}

/// What a technician types.
pub fn step(gateway: &str, data_dir: &str, code: Option<&str>) -> String {
    let code = code.unwrap_or("<claim code>");
    format!("pestle-provision enrol --replace --gateway {gateway} --data-dir {data_dir} --code {code}")
}

/// Whether a box still asks.
pub fn is_heard(last_at: OffsetDateTime, now: OffsetDateTime) -> bool {
    now - last_at < HEARD_WITHIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::rules::Predecessor;
    use pestle_domain::{
        appeal::BoxPlace,
        ids::{AppealId, StoreId},
        journal::{Head, Lane, Stream},
        signature::Hash,
        units::UnixMillis,
    };
    use uuid::Uuid;

    fn stream(branch: &str, device: &str, term: u32) -> Stream {
        Stream {
            tenant: "acme".parse().unwrap(),
            branch: branch.parse().unwrap(),
            term,
            device: device.parse().unwrap(),
            lane: Lane::Ledger,
            epoch: 3,
        }
    }

    fn contested(stream: Stream) -> Contested {
        Contested {
            stream,
            head: Head { seq: 90, hash: Hash::of(b"ninety") },
            store: StoreId(Uuid::nil()),
            first_at: UnixMillis(1),
            last_at: UnixMillis(2),
            waiting: 12,
            values: vec![],
            torn: None,
        }
    }

    fn appeal(streams: Vec<Stream>) -> Appeal {
        let place = BoxPlace {
            host: "till\0".into(),
            address: "x".repeat(900).into(),
            pages: "".into(),
            machine: "".into(),
            data_dir: "/var/lib/pestle".into(),
            running_since: UnixMillis(0),
        };
        Appeal {
            appeal: AppealId(Uuid::nil()),
            place,
            highest_epoch: 3,
            contested: streams.into_iter().map(contested).collect(),
        }
    }

    fn sender(branch: &str, device: &str, term: u32, earlier: &[(&str, &str, u32)]) -> Sender {
        Sender {
            tenant: "acme".parse().unwrap(),
            branch: branch.parse().unwrap(),
            device: device.parse().unwrap(),
            term,
            keys: vec![],
            revoked: false,
            earlier: earlier
                .iter()
                .map(|(branch, device, term)| Predecessor {
                    branch: branch.parse().unwrap(),
                    device: device.parse().unwrap(),
                    term: *term,
                })
                .collect(),
        }
    }

    #[test]
    fn an_appeal_is_about_the_box_s_own_records_and_of_a_size_that_a_page_shows() {
        let own = sender("north", "north-1", 1, &[]);
        assert_eq!(check(&own, &appeal(vec![stream("north", "north-1", 1)])), Ok(()));
        assert!(matches!(
            check(&own, &appeal(vec![stream("north", "north-2", 1)])),
            Err(NotTaken::NotOwn(_))
        ));
        assert_eq!(check(&own, &appeal(vec![])), Err(NotTaken::Size));
        let many = vec![stream("north", "north-1", 1); CONTESTED_MAX + 1];
        assert_eq!(check(&own, &appeal(many)), Err(NotTaken::Size));
        let place = kept(appeal(vec![])).place;
        assert_eq!((&*place.host, place.address.chars().count()), ("till\u{FFFD}", TEXT_MAX));
    }

    #[test]
    fn a_box_that_was_given_a_name_of_its_own_needs_no_second_decision_and_one_of_another_branch_does() {
        let renamed = sender("north", "north-2", 2, &[("north", "north-1", 1)]);
        let before = appeal(vec![stream("north", "north-1", 1)]);
        assert!(is_decided_by_enrolment(&renamed, &before));
        assert!(!is_decided_by_enrolment(&sender("north", "north-1", 1, &[]), &before), "its own name");
        let both = appeal(vec![stream("north", "north-1", 1), stream("north", "north-2", 2)]);
        assert!(!is_decided_by_enrolment(&renamed, &both), "something else is wrong too");
        let moved = sender("south", "south-2", 2, &[("north", "north-1", 1)]);
        assert!(!is_decided_by_enrolment(&moved, &before));
        assert_eq!(belongs_elsewhere(&moved.branch, &before).unwrap().as_str(), "north");
        assert_eq!(belongs_elsewhere(&renamed.branch, &before), None);
    }

    #[test]
    fn the_words_say_which_range_differs_and_what_each_choice_does() {
        let said = |same_to, differs_at| {
            difference(&contested(stream("north", "north-1", 1)), 80, Parting { same_to, differs_at })
        };
        assert_eq!(
            said(40, Some(41)),
            "ledger, epoch 3: the box ends with fact 90, the centre with 80; they are the same up to fact 40 and differ from \
             fact 41 on. 12 facts of the box wait"
        );
        assert!(said(36, Some(68)).contains("same up to fact 36 and differ at fact 68"));
        assert!(said(0, None).contains("nowhere known to be the same."));
        let mut torn = appeal(vec![stream("north", "north-1", 1)]);
        assert!(!is_torn_alone(&torn));
        torn.contested[0].torn = Some(Torn { from: 82, to: 83 });
        assert!(is_torn_alone(&torn));
        assert_eq!(
            difference(&torn.contested[0], 81, Parting { same_to: 80, differs_at: None }),
            "ledger, epoch 3: the box cannot read facts 82 to 83 any more, and the centre has them not; what lies behind them, to 90, \
             cannot join before the box records it once more. 12 facts of the box wait"
        );
        assert!(consequence(Choice::GoOn, &"north-1".parse().unwrap()).contains("Nothing counts twice"));
        let step = step("https://centre:8443", "/var/lib/pestle", Some("ABCD"));
        assert!(
            step.ends_with("--replace --gateway https://centre:8443 --data-dir /var/lib/pestle --code ABCD")
        );
        for choice in [Choice::GoOn, Choice::OwnName] {
            assert_eq!(choice.as_str().parse(), Ok(choice));
        }
        assert_eq!("both".parse::<Choice>(), Err(()));
    }
}
