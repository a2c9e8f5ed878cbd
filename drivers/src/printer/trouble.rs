//! What keeps a label or page printer from printing, and what it would like to have soon, in words that a person can
//! act on. What a receipt printer says stands in [`super::status`].

/// Why a label printer that answers would not print now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LabelTrouble {
    /// The print head is up.
    #[error("the label printer's head is open: close it until it clicks on both sides")]
    HeadOpen,
    /// No labels, or their gap was not found.
    #[error(
        "the label printer finds no labels: put in a roll; if one is in, the gap was not found: calibrate it"
    )]
    NoLabels,
    /// No ribbon, or it tore.
    #[error("the label printer is out of ribbon: put in a new one")]
    RibbonOut,
    /// Somebody pressed PAUSE, or it paused after an error.
    #[error("the label printer is paused: press its PAUSE button")]
    Paused,
    /// A printed label sticks out, and the sensor waits until it is taken.
    #[error("the label printer waits until the last label is taken: take it off")]
    TakeLabel,
    /// It cools down by itself.
    #[error("the label printer's head is too hot; it goes on by itself in a minute")]
    HeadTooHot,
    /// The cutter is stuck.
    #[error("the label printer's cutter is jammed: switch it off, clear the cutter, switch it on")]
    Cutter,
    /// It prints what it is sent as numbers.
    #[error("the label printer is in its diagnostic mode: switch it off and on")]
    Diagnostic,
    /// An error that has no name here.
    #[error(
        "the label printer reports a fault: look at its lamps, switch it off and on; if it stays, replace it"
    )]
    Fault,
}

/// Why an office printer that answers would not print now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageTrouble {
    /// No paper.
    #[error("the office printer is out of paper: fill its tray")]
    PaperOut,
    /// Paper of another size is in it.
    #[error(
        "the office printer asks for other paper: put in the size that it shows, or confirm it at the printer"
    )]
    PaperWanted,
    /// Paper is stuck.
    #[error("paper is jammed in the office printer: open it, take the paper out, close it")]
    Jam,
    /// A door or cover is open.
    #[error("the office printer is open: close its doors")]
    DoorOpen,
    /// A tray is out.
    #[error("the office printer's paper tray is out: push it in")]
    TrayOut,
    /// No toner or ink.
    #[error("the office printer has no more toner or ink: put in a new cartridge")]
    TonerOut,
    /// The output tray is full.
    #[error("the office printer's output tray is full: take the pages")]
    OutputFull,
    /// It was paused, there or by its web page.
    #[error("the office printer is paused: let it go on at its panel")]
    Paused,
    /// It takes no jobs.
    #[error("the office printer takes no jobs: look at its panel, and let it accept jobs again")]
    TakesNoJobs,
    /// It is going down, or is not connected to its mechanism.
    #[error("the office printer is shutting down or offline: switch it on")]
    Offline,
    /// It stopped and gave a reason that has no words here; the reason is in the log.
    #[error("the office printer has stopped: look at its panel")]
    Other,
}

/// What a printer that prints would like to have soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// The roll ends soon.
    #[error("the labels are nearly used up: have a new roll ready")]
    LabelsLow,
    /// It lost count of the gaps.
    #[error("the label printer asks to be calibrated")]
    NeedsCalibration,
    /// Prints get pale.
    #[error("the label printer's head is dirty: clean it")]
    CleanHead,
    /// Prints stay pale.
    #[error("the label printer's head is worn out: have it replaced")]
    ReplaceHead,
    /// Its memory was lost.
    #[error("the label printer has lost its settings: calibrate it")]
    SettingsLost,
    /// It warms up while it prints.
    #[error("the label printer is cold: its first labels may be pale")]
    HeadCold,
    /// The tray is nearly empty.
    #[error("the office printer is low on paper: fill its tray")]
    PaperLow,
    /// The cartridge is nearly empty.
    #[error("the office printer is low on toner or ink: have a cartridge ready")]
    TonerLow,
    /// The output tray is nearly full.
    #[error("the office printer's output tray is nearly full: take the pages")]
    OutputNearlyFull,
    /// A warning that has no words here.
    #[error("the office printer shows a warning: look at its panel")]
    Other,
}
