//! Whether another box works under this one's name: the broker said so, or no connection lasts. Pure.

/// A connection that lasted so long was a good one.
pub const LASTED_MS: u64 = 30_000;
/// So long after it a person is told that another box was here under this name: longer than both wait for their next turns.
pub const RIVAL_MS: u64 = 300_000;
/// What is said where the broker says it.
pub const RIVAL: &str = "another box works under this box's name, and the broker lets only one of them in: one of the two is a copy of \
                         the other. Call support; what is sold in both is kept and reaches the centre";
/// So many connections in a row that did not last: then somebody is told what that may mean. Not every broker says why.
pub const THROWN_OFF_MAX: u32 = 3;
/// What is said of it.
const THROWN_OFF: &str = "the centre's broker takes this box in and drops it again within seconds, again and again: another box may work \
                          under this box's name, or the line is bad. What is sold is kept. Call support";

/// Another box under this name, as far as one can tell.
#[derive(Debug, Default)]
pub struct Rival {
    /// Connections in a row that did not last.
    thrown_off: u32,
    told: Option<Told>,
}

/// What a person is told, and until when.
#[derive(Debug)]
struct Told {
    words: &'static str,
    until_ms: u64,
}

impl Rival {
    /// The broker let somebody else in under this name. What is new is handed back, to be raised as an alarm.
    pub fn came(&mut self, now_ms: u64) -> Option<&'static str> {
        self.tell(now_ms, RIVAL)
    }

    /// A connection that was up for `lasted_ms` ended. What is new is handed back, to be raised as an alarm.
    pub fn connection_ended(&mut self, now_ms: u64, lasted_ms: u64) -> Option<&'static str> {
        self.thrown_off = if lasted_ms >= LASTED_MS { 0 } else { self.thrown_off.saturating_add(1) };
        self.seems_there(now_ms)
    }

    /// While no connection lasts it is told again and again.
    pub fn seems_there(&mut self, now_ms: u64) -> Option<&'static str> {
        (self.thrown_off >= THROWN_OFF_MAX).then(|| self.tell(now_ms, THROWN_OFF))?
    }

    /// For a while; what is certain is not made less so.
    fn tell(&mut self, now_ms: u64, words: &'static str) -> Option<&'static str> {
        let until_ms = now_ms + RIVAL_MS;
        match &mut self.told {
            Some(told) => {
                told.until_ms = until_ms;
                told.words = if told.words == RIVAL { RIVAL } else { words };
                None
            }
            None => {
                self.told = Some(Told { words, until_ms });
                Some(words)
            }
        }
    }

    /// Lets go of what was told long enough.
    pub fn tick(&mut self, now_ms: u64) {
        self.told.take_if(|told| now_ms >= told.until_ms);
    }

    /// What is told now.
    pub fn words(&self) -> Option<&'static str> {
        self.told.as_ref().map(|told| told.words)
    }

    /// Until when.
    pub fn until_ms(&self) -> Option<u64> {
        self.told.as_ref().map(|told| told.until_ms)
    }
}
