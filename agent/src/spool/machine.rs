//! One printer's queue. Pure: the shell prints, the counter writes the facts.
//!
//! ```text
//! Queued ──► Sent ──► Printed
//!   ▲         ├─────► CannotTell (a printer without a way back)
//!   ▲         ├─────► NotPrinted ──(the printer is ready)──► Sent
//!   │         └─────► Unknown ──(a person: "it came out")──► Printed
//!   └──── COPY ◄──────────┘    (a person: "print a copy")
//! ```
//!
//! A job is sent once. Only where nothing of it reached the printer is it sent again by itself.

use pestle_domain::ids::{ActId, TillId};
use serde::Serialize;

/// Jobs that one printer's queue keeps: more than a day's receipts of a busy till. Past it the oldest that was not printed
/// is let go, and said so. It bounds what the books keep of papers, too: each of those has a job.
pub const JOBS_MAX: usize = 1_000;

/// A job of this run of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

/// Something to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// The act whose document it is.
    pub document: ActId,
    /// Where it belongs, and is asked about.
    pub till: TillId,
    /// Whose it was, where that till is not set up any more and another answers for it.
    pub former_till: Option<TillId>,
    /// For people: "Receipt 1042".
    pub title: String,
    /// Printed once before, or perhaps: it says COPY.
    pub copy: bool,
    /// The drawer opens with it; only ever at the first attempt.
    pub drawer: bool,
    /// How far it is.
    pub state: State,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    // Queued => Sent | NotPrinted
    /// Waits for its turn.
    Queued,
    // Sent => (gone) | NotPrinted | Unknown
    /// The driver has it.
    Sent,
    // NotPrinted => Sent | Queued
    /// Nothing of it reached the printer; it goes by itself once the printer is ready.
    NotPrinted {
        /// Why, and what to do.
        reason: String,
    },
    // Unknown => (gone) | Queued as COPY
    /// A person looks at the paper and says.
    Unknown {
        /// What was seen last.
        reason: String,
        /// The printer may tell later under this name.
        process: Option<[u8; 4]>,
    },
}

impl Job {
    /// For a sentence: its title, and whose it was where that till is gone.
    pub fn called(&self) -> String {
        match &self.former_till {
            Some(former) => format!("{} of {former}", self.title),
            None => self.title.clone(),
        }
    }
}

impl State {
    /// As it stands in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::NotPrinted { .. } => "not_printed",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// What was seen, where there is something to say.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Queued | Self::Sent => None,
            Self::NotPrinted { reason } | Self::Unknown { reason, .. } => Some(reason),
        }
    }
}

/// What became of a job that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// On paper.
    Printed,
    /// Nothing of it reached the printer.
    NotPrinted {
        /// Why.
        reason: String,
        /// Whether the drawer was kicked all the same.
        drawer_kicked: bool,
    },
    /// Nobody knows.
    Unknown {
        /// Why.
        reason: String,
        /// The printer may tell later under this name.
        process: Option<[u8; 4]>,
    },
    /// It was sent to a printer that never says what became of it. Nobody is asked about each receipt.
    CannotTell,
}

/// What became of a drawer that was told to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrawerEnd {
    /// Its sensor saw it open, or it was open.
    Open,
    /// It was kicked, and has no sensor.
    Unseen,
    /// It was not kicked, or its sensor did not see it open.
    NotOpened,
}

/// A person's word on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The paper is there.
    CameOut,
    /// Print it, marked COPY.
    PrintCopy,
    /// Nobody needs it any more.
    GiveUp,
}

/// What the shell and the counter are to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Give it to the driver.
    Send(Job),
    /// Open the drawer alone: the printer would not print, but the money is here.
    KickDrawer,
    /// Record `print.completed`, or `print.reprinted` for a copy.
    Completed(Job),
    /// Record `print.unknown`.
    Unknown(Job, String),
    /// Record that it went to a printer that cannot say what became of it.
    CannotTell(Job),
    /// Record that a person gave it up.
    GivenUp(Job),
    /// Record that it was given up because the queue is full, and say so.
    LetGo(Job),
}

/// Jobs of one printer are numbered from here on behind those of the printer before it: a till has several printers, and a
/// person's word on a job names its number alone. No run of the agent prints so many.
const NUMBERS: u64 = 1_000_000_000;

/// One printer's queue.
#[derive(Debug, Clone)]
pub struct Spool {
    jobs: Vec<Job>,
    ready: Result<(), String>,
    next: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self { jobs: Vec::new(), ready: Err("the printer has not been looked at yet".into()), next: 1 }
    }
}

impl Spool {
    /// The queue of the how-manieth printer of the box, from 0.
    pub fn of(printer: u32) -> Self {
        Self { next: u64::from(printer) * NUMBERS + 1, ..Self::default() }
    }

    /// All jobs that have not ended, in their order.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// Whether the next job costs the oldest.
    pub fn is_full(&self) -> bool {
        self.jobs.len() >= JOBS_MAX
    }

    /// Takes a new job.
    pub fn enqueue(
        &mut self,
        document: ActId,
        till: TillId,
        title: String,
        copy: bool,
        drawer: bool,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.is_full()
            && let Some(least) = self.least_wanted()
        {
            effects.push(Effect::LetGo(self.jobs.remove(least)));
        }
        let id = JobId(self.next);
        self.next += 1;
        let (former_till, state) = (None, State::Queued);
        self.jobs.push(Job { id, document, till, former_till, title, copy, drawer, state });
        effects.extend(self.pump());
        effects
    }

    /// The oldest of which nobody knows whether it is on paper, since it may be; else the oldest that is on none.
    fn least_wanted(&self) -> Option<usize> {
        let doubt = self.jobs.iter().position(|job| matches!(job.state, State::Unknown { .. }));
        doubt.or_else(|| self.jobs.iter().position(|job| job.state != State::Sent))
    }

    /// Lets go of what is more than the queue keeps, so many at once, the least wanted first. What is enqueued is never more;
    /// what a start finds is, where the configuration has changed and one queue has the papers of two.
    pub fn let_excess_go(&mut self, at_once: usize) -> Vec<Effect> {
        let excess = self.jobs.len().saturating_sub(JOBS_MAX).min(at_once);
        let one = |_| self.least_wanted().map(|least| Effect::LetGo(self.jobs.remove(least)));
        (0..excess).filter_map(one).collect()
    }

    /// Takes a job whose end the box did not live to see. It may be on paper. `former_till` is whose it was where `till` only
    /// answers for it.
    pub fn recover(&mut self, document: ActId, till: TillId, former_till: Option<TillId>, title: String) {
        let reason = "the box stopped before the printer had answered: look whether the paper is there, and \
                      whether the drawer opened"
            .into();
        let state = State::Unknown { reason, process: None };
        let id = JobId(self.next);
        self.next += 1;
        self.jobs.push(Job { id, document, till, former_till, title, copy: false, drawer: false, state });
    }

    /// The printer's own word on whether it would print.
    pub fn printer_is(&mut self, ready: Result<(), String>) -> Vec<Effect> {
        if ready.is_ok() {
            // What kept them is mended: they come one after the other, and that may take minutes.
            for job in self.jobs.iter_mut().filter(|job| matches!(job.state, State::NotPrinted { .. })) {
                job.state = State::Queued;
            }
        }
        self.ready = ready;
        self.pump()
    }

    /// A job that was sent has ended.
    pub fn ended(&mut self, id: JobId, ended: Ended) -> Vec<Effect> {
        let Some(index) = self.jobs.iter().position(|job| job.id == id && job.state == State::Sent) else {
            return Vec::new();
        };
        let mut effects = Vec::new();
        match ended {
            Ended::Printed => effects.push(Effect::Completed(self.jobs.remove(index))),
            Ended::CannotTell => effects.push(Effect::CannotTell(self.jobs.remove(index))),
            Ended::NotPrinted { reason, drawer_kicked } => {
                let job = &mut self.jobs[index];
                if job.drawer && !drawer_kicked {
                    effects.push(Effect::KickDrawer);
                }
                job.drawer = false;
                job.state = State::NotPrinted { reason: reason.clone() };
                // What it said last is older than this answer: wait until it says that it is ready.
                self.ready = Err(reason);
            }
            Ended::Unknown { reason, process } => {
                let job = &mut self.jobs[index];
                job.drawer = false;
                job.state = State::Unknown { reason: reason.clone(), process };
                effects.push(Effect::Unknown(job.clone(), reason));
            }
        }
        effects.extend(self.pump());
        effects
    }

    /// A job whose end was unknown is on paper after all.
    pub fn finished_late(&mut self, told: [u8; 4]) -> Vec<Effect> {
        let late = |job: &Job| matches!(&job.state, State::Unknown { process, .. } if *process == Some(told));
        let index = self.jobs.iter().position(late);
        index.map(|index| Effect::Completed(self.jobs.remove(index))).into_iter().collect()
    }

    /// A person's word on a job; `None` when there is no such job, or it is being printed at this moment.
    pub fn word(&mut self, id: JobId, word: Word) -> Option<Vec<Effect>> {
        let index = self.jobs.iter().position(|job| job.id == id && job.state != State::Sent)?;
        let unknown = matches!(self.jobs[index].state, State::Unknown { .. });
        match word {
            Word::CameOut if unknown => Some(vec![Effect::Completed(self.jobs.remove(index))]),
            Word::PrintCopy if unknown => {
                let mut job = self.jobs.remove(index);
                job.copy = true;
                job.state = State::Queued;
                self.jobs.push(job);
                Some(self.pump())
            }
            Word::GiveUp => {
                let mut effects = vec![Effect::GivenUp(self.jobs.remove(index))];
                effects.extend(self.pump());
                Some(effects)
            }
            Word::CameOut | Word::PrintCopy => None,
        }
    }

    /// Sends the first job that waits, if the printer is free and ready; else says on the job why not.
    fn pump(&mut self) -> Vec<Effect> {
        if self.jobs.iter().any(|job| job.state == State::Sent) {
            return Vec::new();
        }
        let mut effects = Vec::new();
        for job in &mut self.jobs {
            match (&job.state, &self.ready) {
                (State::Queued | State::NotPrinted { .. }, Ok(())) => {
                    job.state = State::Sent;
                    effects.push(Effect::Send(job.clone()));
                    break;
                }
                (State::Queued | State::NotPrinted { .. }, Err(reason)) => {
                    job.state = State::NotPrinted { reason: reason.clone() };
                    if std::mem::take(&mut job.drawer) {
                        effects.push(Effect::KickDrawer);
                    }
                }
                (State::Sent | State::Unknown { .. }, _) => {}
            }
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(byte: u8) -> ActId {
        ActId(uuid::Uuid::from_bytes([byte; 16]))
    }
    fn ready() -> Spool {
        let mut spool = Spool::default();
        spool.printer_is(Ok(()));
        spool
    }
    fn enqueue(spool: &mut Spool, byte: u8, drawer: bool) -> Vec<Effect> {
        spool.enqueue(act(byte), "till-1".parse().unwrap(), format!("Receipt {byte}"), false, drawer)
    }
    fn sent(effects: &[Effect]) -> Vec<(u64, bool, bool)> {
        let one = |effect: &Effect| match effect {
            Effect::Send(job) => Some((job.id.0, job.copy, job.drawer)),
            _ => None,
        };
        effects.iter().filter_map(one).collect()
    }
    fn out_of_paper(kicked: bool) -> Ended {
        Ended::NotPrinted { reason: "out of paper".into(), drawer_kicked: kicked }
    }

    #[test]
    fn jobs_are_sent_one_after_the_other() {
        let mut spool = ready();
        assert_eq!(sent(&enqueue(&mut spool, 1, true)), [(1, false, true)]);
        assert_eq!(sent(&enqueue(&mut spool, 2, true)), []);
        let effects = spool.ended(JobId(1), Ended::Printed);
        assert!(matches!(&effects[0], Effect::Completed(job) if job.document == act(1)));
        assert_eq!(sent(&effects), [(2, false, true)]);
        assert_eq!(spool.ended(JobId(1), Ended::Printed), []);
    }

    #[test]
    fn a_job_that_did_not_reach_the_printer_goes_by_itself_and_the_drawer_opens_once() {
        let mut spool = ready();
        enqueue(&mut spool, 1, true);
        assert_eq!(spool.ended(JobId(1), out_of_paper(false)), [Effect::KickDrawer]);
        assert_eq!(spool.jobs()[0].state.reason(), Some("out of paper"));
        assert_eq!(spool.printer_is(Err("out of paper".into())), []);
        assert_eq!(sent(&spool.printer_is(Ok(()))), [(1, false, false)]);
        assert_eq!(spool.ended(JobId(1), out_of_paper(false)), [], "never twice for one sale");
    }

    #[test]
    fn the_drawer_opens_even_when_the_printer_is_out_of_paper() {
        let mut spool = ready();
        spool.printer_is(Err("out of paper".into()));
        assert_eq!(enqueue(&mut spool, 1, true), [Effect::KickDrawer]);
        assert_eq!(sent(&spool.printer_is(Ok(()))), [(1, false, false)]);
    }

    #[test]
    fn once_the_printer_is_mended_nothing_is_said_to_wait_for_that() {
        let mut spool = Spool::default();
        spool.printer_is(Err("out of paper".into()));
        (1..=3).for_each(|byte| drop(enqueue(&mut spool, byte, false)));
        assert!(spool.jobs().iter().all(|job| job.state.reason() == Some("out of paper")));
        assert_eq!(sent(&spool.printer_is(Ok(()))), [(1, false, false)]);
        let states: Vec<_> = spool.jobs().iter().map(|job| job.state.as_str()).collect();
        assert_eq!(states, ["sent", "queued", "queued"]);
    }

    #[test]
    fn an_unknown_job_asks_a_person_and_comes_again_only_as_a_copy() {
        let mut spool = ready();
        enqueue(&mut spool, 1, true);
        let unknown = Ended::Unknown { reason: "vanished".into(), process: Some(*b"0001") };
        let effects = spool.ended(JobId(1), unknown);
        assert!(matches!(&effects[..], [Effect::Unknown(_, why)] if why == "vanished"));
        assert_eq!(sent(&spool.printer_is(Ok(()))), []);
        assert_eq!(sent(&enqueue(&mut spool, 2, false)), [(2, false, false)], "others are not held up");
        assert_eq!(sent(&spool.word(JobId(1), Word::PrintCopy).unwrap()), []);
        assert_eq!(sent(&spool.ended(JobId(2), Ended::Printed)), [(1, true, false)]);
    }

    #[test]
    fn a_late_confirmation_or_a_person_ends_an_unknown_job() {
        for late in [true, false] {
            let mut spool = ready();
            enqueue(&mut spool, 1, false);
            spool.ended(JobId(1), Ended::Unknown { reason: String::new(), process: Some(*b"0001") });
            assert_eq!(spool.finished_late(*b"0002"), []);
            let effects = if late {
                spool.finished_late(*b"0001")
            } else {
                spool.word(JobId(1), Word::CameOut).unwrap()
            };
            assert!(matches!(&effects[..], [Effect::Completed(_)]));
            assert!(spool.jobs().is_empty());
            assert_eq!(spool.word(JobId(1), Word::CameOut), None);
        }
    }

    #[test]
    fn a_printer_that_cannot_answer_holds_up_nobody_and_asks_nobody() {
        let mut spool = ready();
        enqueue(&mut spool, 1, true);
        enqueue(&mut spool, 2, false);
        let effects = spool.ended(JobId(1), Ended::CannotTell);
        assert!(matches!(&effects[0], Effect::CannotTell(job) if job.document == act(1)));
        assert_eq!(sent(&effects), [(2, false, false)]);
        assert_eq!(spool.jobs().len(), 1);
    }

    #[test]
    fn after_a_crash_a_job_is_never_printed_without_a_person() {
        let mut spool = Spool::default();
        spool.recover(act(1), "till-1".parse().unwrap(), None, "Receipt 1".into());
        assert_eq!(spool.printer_is(Ok(())), []);
        assert_eq!(sent(&spool.word(JobId(1), Word::PrintCopy).unwrap()), [(1, true, false)]);
    }

    #[test]
    fn a_queue_that_is_full_lets_its_oldest_go_and_says_so() {
        let mut spool = Spool::default();
        for _ in 0..JOBS_MAX {
            assert_eq!(enqueue(&mut spool, 1, false), []);
        }
        assert!(matches!(&enqueue(&mut spool, 2, false)[..], [Effect::LetGo(job)] if job.id == JobId(1)));
        assert_eq!(spool.jobs().len(), JOBS_MAX);
        spool.recover(act(3), "till-1".parse().unwrap(), None, "Receipt 3".into());
        let effects = enqueue(&mut spool, 4, false);
        assert!(matches!(&effects[..], [Effect::LetGo(job)] if job.document == act(3)), "it may be on paper");
    }

    #[test]
    fn what_a_start_finds_beyond_what_a_queue_keeps_is_let_go_in_turns() {
        let mut spool = Spool::default();
        let number = |number: usize| ActId(uuid::Uuid::from_u128(u128::try_from(number).unwrap()));
        for document in 0..JOBS_MAX + 3 {
            spool.recover(number(document), "till-1".parse().unwrap(), None, String::new());
        }
        let mut gone = || {
            let document = |effect| match effect {
                Effect::LetGo(job) => Some(job.document),
                _ => None,
            };
            spool.let_excess_go(2).into_iter().filter_map(document).collect::<Vec<_>>()
        };
        assert_eq!([gone(), gone(), gone()], [vec![number(0), number(1)], vec![number(2)], vec![]]);
        assert_eq!(spool.jobs().len(), JOBS_MAX);
    }
}
