//! Asks the centre, again and again, while it has another history than this box or can never have all of this box's, and begins what a person decided.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use pestle_domain::{
    appeal::{APPEAL_PATH, BoxPlace, Ruling, Torn},
    causes::with_causes,
    ids::AppealId,
};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    carry::{check_number, highest_epoch},
    plan::{Plan, Stage},
    statement::{self, Told},
};
use crate::{
    centre::Centre,
    counter::{
        handle::Counter,
        machine::Event,
        view::{DeviceState, DeviceView},
    },
    journal::Journal,
    relay::{LinkState, lane::StreamKey},
};

/// How often it asks: a person who has decided sees it done within this.
const ASK_EVERY: Duration = Duration::from_secs(15);
/// What is asked about, in errors.
const ABOUT: &str = "a contradiction";
/// Largest answer: some words.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// What it needs.
#[derive(Debug)]
pub struct AppealParts {
    /// One per lane.
    pub journals: Vec<Journal>,
    /// What the link knows.
    pub link: watch::Receiver<LinkState>,
    /// Who is asked.
    pub centre: Centre,
    /// Where this box stands.
    pub place: BoxPlace,
    /// Everything that the box keeps.
    pub data_dir: PathBuf,
    /// Who is told.
    pub counter: Counter,
    /// Why the last carrying over did not come about.
    pub trouble: Option<String>,
    /// Cancelled when the agent is to begin again.
    pub begin_again: CancellationToken,
}

/// Streams, and where they are torn.
type ToDecide = BTreeMap<StreamKey, Option<Torn>>;

/// What somebody has to decide.
fn question(to_decide: &ToDecide) -> &'static str {
    if to_decide.values().all(Option::is_some) {
        "some of what the centre lacks cannot be read any more, and what was recorded behind it reaches the centre once somebody \
         there decides that this box goes on"
    } else {
        "somebody at the centre has to decide which box is the branch's"
    }
}

/// Runs until `stop`.
pub async fn run(parts: AppealParts, stop: CancellationToken) {
    let mut task = Task {
        appeal: AppealId(Uuid::new_v4()),
        link: parts.link.clone(),
        parts,
        told: Told::default(),
        address: None,
        shown: None,
    };
    loop {
        let to_decide = task.link.borrow_and_update().to_decide();
        let pause = if to_decide.is_empty() {
            task.show(None).await;
            None
        } else {
            let said = tokio::select! {
                said = task.ask(&to_decide) => said,
                () = stop.cancelled() => return,
            };
            task.show(Some(said)).await;
            Some(ASK_EVERY)
        };
        tokio::select! {
            Ok(()) = task.link.changed(), if pause.is_none() => {}
            () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            () = stop.cancelled() => return,
        }
    }
}

struct Task {
    appeal: AppealId,
    link: watch::Receiver<LinkState>,
    parts: AppealParts,
    told: Told,
    /// This box's own address on the way to the centre, once it was there.
    address: Option<Box<str>>,
    shown: Option<String>,
}

impl Task {
    /// Asks once; what is to be said of it at the tills.
    async fn ask(&mut self, to_decide: &ToDecide) -> String {
        let place = self.place().await;
        let said = match self.ruling(place.clone(), to_decide).await {
            Err(why) => format!("the centre cannot be asked what to do ({why}); it is asked again"),
            Ok(Ruling::Waiting) => {
                let trouble = self.parts.trouble.as_ref().map_or_else(String::new, |why| format!(" {why}."));
                format!(
                    "{}: this one is {} at {}, data in {}.{trouble}",
                    question(to_decide),
                    place.host,
                    place.address,
                    place.data_dir
                )
            }
            Ok(Ruling::OwnName { branch, device }) => format!(
                "it was decided that this is a second box beside {device}: a technician gives it a name of its own with \
                 pestle-provision enrol --replace, for the branch {branch}. What it sold is kept and reaches the centre then"
            ),
            Ok(Ruling::GoOn { epoch }) => match self.begin(epoch).await {
                Ok(()) => {
                    format!("it was decided that this box goes on: it begins again now, in epoch {epoch}")
                }
                Err(why) => {
                    // The same question would have the same answer.
                    self.appeal = AppealId(Uuid::new_v4());
                    self.parts.trouble = Some(why.clone());
                    why
                }
            },
        };
        if self.shown.as_ref() != Some(&said) {
            tracing::warn!(appeal = %self.appeal, "a contradiction with the centre: {said}");
        }
        said
    }

    async fn place(&mut self) -> BoxPlace {
        if self.address.is_none() {
            let address = self.parts.centre.own_address(ABOUT).await;
            self.address = address.ok().map(|address| address.ip().to_string().into());
        }
        BoxPlace { address: self.address.clone().unwrap_or_default(), ..self.parts.place.clone() }
    }

    async fn ruling(&mut self, place: BoxPlace, to_decide: &ToDecide) -> Result<Ruling, String> {
        let (journals, to_decide) = (self.parts.journals.clone(), to_decide.clone());
        let (appeal, mut told) = (self.appeal, std::mem::take(&mut self.told));
        let stated = tokio::task::spawn_blocking(move || {
            let stated = statement::appeal(appeal, place, &journals, &to_decide, &mut told);
            (stated, told)
        });
        let (stated, told) = stated.await.map_err(|error| error.to_string())?;
        self.told = told;
        let stated = stated.map_err(|error| with_causes(&error))?;
        let asked = self.parts.centre.post(ABOUT, APPEAL_PATH, &stated, ANSWER_BYTES_MAX);
        asked.await.map_err(|error| with_causes(&error))
    }

    /// Writes the plan down and has the agent begin again: from here on every start goes on with it.
    async fn begin(&self, epoch: u32) -> Result<(), String> {
        let journals: Vec<&Journal> = self.parts.journals.iter().collect();
        check_number(epoch, highest_epoch(&journals)).map_err(|error| with_causes(&error))?;
        let (plan, data_dir) = (Plan { epoch, stage: Stage::Build }, self.parts.data_dir.clone());
        let written = tokio::task::spawn_blocking(move || plan.write(&data_dir));
        written.await.map_err(|error| error.to_string())?.map_err(|error| with_causes(&error))?;
        self.parts.begin_again.cancel();
        Ok(())
    }

    async fn show(&mut self, said: Option<String>) {
        if self.shown == said {
            return;
        }
        let state = if said.is_some() { DeviceState::Trouble } else { DeviceState::Ok };
        let view = DeviceView {
            name: "centre's decision".into(),
            class: "appeal".into(),
            state,
            detail: said.clone(),
        };
        self.parts.counter.tell(Event::Device(view, None)).await;
        self.shown = said;
    }
}
