//! What is tried on each rig, one at a time, each from the same beginning.

mod factory;
mod faults;
mod fences;
mod network;
mod selling;
mod setting_up;
mod system;
mod typing;

use std::{collections::BTreeSet, pin::Pin, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use pestle_domain::ids::ActId;
use uuid::Uuid;

use super::{Ability, PrinterKind, Rig, ScannerKind};
use crate::{
    counter::{Counter, Print, Receipt, Till},
    power_cuts::provisioned::{self, Article, SELLER},
    waiting::until,
};

/// Longest that a page may take to show what happened; the machine may be busy, and a virtual one is slow.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

/// The campaigns of power cuts and of recorded writes in short; `pestle-rig` makes as many as one wants.
const CUTS: usize = 2;
const POINTS: usize = 200;

type Trying<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// A case.
#[derive(Clone, Copy)]
pub struct Case {
    /// The sentence that it proves.
    pub name: &'static str,
    /// What it asks of a rig.
    pub needs: &'static [Ability],
    /// Tries it.
    pub run: for<'a> fn(&'a mut dyn Rig) -> Trying<'a>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Case {
    /// Tries it on a rig that was reset, and leaves the rig so. One on which it fails must not be used for another case.
    ///
    /// # Errors
    /// What is wrong, or what it leaves behind that the next one would find.
    pub async fn attempt(&self, rig: &mut dyn Rig) -> Result<()> {
        (self.run)(rig).await?;
        for till in self.tills() {
            put_away(&*rig, till).await.with_context(|| format!("what the case has left at {till}"))?;
        }
        for ability in self.needs {
            if let Ability::Printer(printer) = ability {
                rig.devices().nothing_more(*printer).await.context("a paper that no sale has asked for")?;
            }
        }
        rig.reset().await.context("the rig cannot be reset after the case")
    }

    /// Where it sells: where its devices are, or at the first till.
    fn tills(&self) -> BTreeSet<&'static str> {
        let till = |ability: &Ability| match ability {
            Ability::Scanner(scanner) => Some(scanner.till()),
            Ability::Printer(printer) => Some(printer.till()),
            _ => None,
        };
        self.needs.iter().filter_map(till).chain(["till-1"]).collect()
    }
}

/// All cases, in the order in which they are tried.
pub const CASES: &[Case] = &[
    Case {
        name: "a_pack_scanned_by_a_keyboard_mode_scanner_is_sold_with_a_receipt",
        needs: &[Ability::Scanner(ScannerKind::Keyboard), Ability::Printer(PrinterKind::Serial)],
        run: |rig| Box::pin(selling::by_keyboard(rig)),
    },
    Case {
        name: "a_pack_scanned_by_a_serial_scanner_is_sold_with_a_receipt",
        needs: &[Ability::Scanner(ScannerKind::Serial), Ability::Printer(PrinterKind::Serial)],
        run: |rig| Box::pin(selling::scanned(rig, ScannerKind::Serial, PrinterKind::Serial)),
    },
    Case {
        name: "a_pack_scanned_by_a_usb_serial_scanner_is_sold_with_a_receipt_from_a_usb_printer",
        needs: &[Ability::Scanner(ScannerKind::CdcAcm), Ability::Printer(PrinterKind::Usb)],
        run: |rig| Box::pin(selling::scanned(rig, ScannerKind::CdcAcm, PrinterKind::Usb)),
    },
    Case {
        name: "a_sale_at_the_second_till_is_printed_by_the_printer_on_the_network",
        needs: &[Ability::Printer(PrinterKind::Network), Ability::Printer(PrinterKind::Serial)],
        run: |rig| Box::pin(selling::on_the_network(rig)),
    },
    Case {
        name: "lot_and_serial_of_a_pack_are_read_through_the_group_separator",
        needs: &[Ability::Scanner(ScannerKind::Serial), Ability::Printer(PrinterKind::Serial)],
        run: |rig| Box::pin(selling::with_lot_and_serial(rig, ScannerKind::Serial)),
    },
    Case {
        name: "a_scanner_that_types_is_proved_by_the_sheet_and_then_its_lots_and_serials_are_read",
        needs: &[Ability::Scanner(ScannerKind::Keyboard), Ability::Printer(PrinterKind::Serial)],
        run: |rig| Box::pin(selling::proved_by_the_sheet(rig)),
    },
    Case {
        name: "a_receipt_waits_for_paper_says_why_and_comes_out_once",
        needs: &[Ability::Printer(PrinterKind::Serial)],
        run: |rig| Box::pin(faults::paper_out(rig, PrinterKind::Serial)),
    },
    Case {
        name: "a_receipt_of_a_usb_printer_waits_for_paper_says_why_and_comes_out_once",
        needs: &[Ability::Printer(PrinterKind::Usb)],
        run: |rig| Box::pin(faults::paper_out(rig, PrinterKind::Usb)),
    },
    Case {
        name: "a_receipt_whose_paper_ends_in_the_middle_goes_on_by_itself_and_comes_out_once",
        needs: &[Ability::Printer(PrinterKind::Serial), Ability::PaperEnding],
        run: |rig| Box::pin(faults::paper_ending(rig)),
    },
    Case {
        name: "a_receipt_waits_for_a_usb_printer_that_was_unplugged_says_why_and_comes_out_once",
        needs: &[Ability::Printer(PrinterKind::Usb), Ability::Plugs],
        run: |rig| Box::pin(faults::printer_unplugged(rig)),
    },
    Case {
        name: "a_usb_printer_pulled_in_mid_job_asks_and_its_receipt_is_on_paper_once",
        needs: &[Ability::Printer(PrinterKind::Usb), Ability::Plugs, Ability::PaperEnding],
        run: |rig| Box::pin(faults::pulled_in_mid_job(rig)),
    },
    Case {
        name: "a_scanner_that_was_unplugged_scans_again_when_it_is_back",
        needs: &[Ability::Scanner(ScannerKind::Serial), Ability::Plugs],
        run: |rig| Box::pin(faults::scanner_unplugged(rig, ScannerKind::Serial)),
    },
    Case {
        name: "a_scanner_that_types_and_was_unplugged_scans_again_when_it_is_back",
        needs: &[Ability::Scanner(ScannerKind::Keyboard), Ability::Plugs],
        run: |rig| Box::pin(faults::scanner_unplugged(rig, ScannerKind::Keyboard)),
    },
    Case {
        name: "what_a_person_types_on_a_keyboard_beside_the_scanner_is_no_scan_and_no_key_stops_the_box",
        needs: &[Ability::Keyboard, Ability::System, Ability::Scanner(ScannerKind::Keyboard)],
        run: |rig| Box::pin(typing::beside_the_scanner(rig)),
    },
    Case {
        name: "a_usb_serial_scanner_that_was_unplugged_scans_again_when_it_is_back",
        needs: &[Ability::Scanner(ScannerKind::CdcAcm), Ability::Plugs],
        run: |rig| Box::pin(faults::scanner_unplugged(rig, ScannerKind::CdcAcm)),
    },
    Case {
        name: "the_fridge_is_shown_and_a_silent_sensor_is_a_reason",
        needs: &[Ability::Sensors],
        run: |rig| Box::pin(faults::fridge(rig)),
    },
    Case {
        name: "without_the_network_scans_and_receipts_go_on_and_what_waits_for_it_comes_out_once",
        needs: &[
            Ability::NetworkCable,
            Ability::Scanner(ScannerKind::Serial),
            Ability::Printer(PrinterKind::Serial),
            Ability::Printer(PrinterKind::Network),
        ],
        run: |rig| Box::pin(network::cable_pulled(rig)),
    },
    Case {
        name: "a_stick_sets_the_box_up_and_one_that_is_wrong_changes_nothing",
        needs: &[Ability::Stick, Ability::Sensors],
        run: |rig| Box::pin(setting_up::by_stick(rig)),
    },
    Case {
        name: "what_a_stick_has_brought_is_in_its_place_after_a_cut_if_it_counted_and_not_if_it_did_not",
        needs: &[Ability::Stick, Ability::System, Ability::Power],
        run: |rig| Box::pin(setting_up::cut_off(rig)),
    },
    Case {
        name: "a_box_from_the_factory_is_enrolled_by_a_stick_sells_and_the_centre_has_it",
        needs: &[
            Ability::Factory,
            Ability::Stick,
            Ability::Power,
            Ability::Scanner(ScannerKind::Serial),
            Ability::Printer(PrinterKind::Serial),
        ],
        run: |rig| Box::pin(factory::enrolled(rig)),
    },
    Case {
        name: "a_firewall_that_does_not_start_is_said_by_the_box_while_it_sells_on",
        needs: &[Ability::System, Ability::Printer(PrinterKind::Serial)],
        run: |rig| Box::pin(system::firewall(rig)),
    },
    Case {
        name: "the_agent_runs_within_its_fences_on_a_root_that_nobody_writes_to",
        needs: &[Ability::System],
        run: |rig| Box::pin(fences::around_the_agent(rig)),
    },
    Case {
        name: "an_agent_that_hangs_is_started_again_and_nothing_that_was_told_is_lost",
        needs: &[Ability::System, Ability::Printer(PrinterKind::Serial)],
        run: |rig| Box::pin(system::hang(rig)),
    },
    Case {
        name: "a_cut_with_an_empty_battery_leaves_the_end_of_the_log_and_a_clock_that_does_not_fall_back",
        needs: &[Ability::System, Ability::Power],
        run: |rig| Box::pin(fences::clock_and_log(rig)),
    },
    Case {
        name: "sales_that_were_told_are_there_once_after_the_power_went",
        needs: &[Ability::Power],
        run: |rig| Box::pin(faults::power(rig)),
    },
    Case {
        name: "sales_and_their_papers_are_there_once_after_cuts_at_random_moments",
        needs: &[Ability::Power, Ability::Disk],
        run: |rig| Box::pin(rig.cut_power_while_selling(CUTS)),
    },
    Case {
        name: "what_was_told_is_found_wherever_the_writes_to_the_disk_are_cut_off",
        needs: &[Ability::Disk],
        run: |rig| Box::pin(rig.cut_off_writes(POINTS)),
    },
];

/// Somebody at a till that is open, with nothing on the counter.
async fn at_till(rig: &dyn Rig, till: &str) -> Result<Counter> {
    let counter = rig.counter(till)?;
    counter.sign_in(&SELLER).await?;
    if counter.look().await?.phase == "closed" {
        counter.open_till(act(), "100.00").await?;
    }
    if counter.look().await?.phase == "change" {
        counter.dismiss().await?;
    }
    while let Some(line) =
        counter.look().await?.basket.and_then(|basket| basket.lines.first().map(|line| line.line))
    {
        counter.void(line).await?;
    }
    Ok(counter)
}

/// Nothing lies on the counter, nobody has been told anything that is left, and no print has not ended. One of which nobody knows, as after
/// a power cut, is taken for printed: what came out of the printers is nobody's any more.
async fn put_away(rig: &dyn Rig, till: &str) -> Result<()> {
    let counter = at_till(rig, till).await?;
    if !counter.look().await?.refusals.is_empty() {
        counter.dismiss().await?;
    }
    let ended = until("the prints to end", SHOWN_WITHIN, || async {
        let shown = counter.look().await.map_err(|error| error.to_string())?;
        for print in shown.prints.iter().filter(|print| print.state == "unknown") {
            let answered = counter.answer_print(print.job, "came_out").await;
            answered.map_err(|error| error.to_string())?;
        }
        if shown.prints.is_empty() { Ok(()) } else { Err(format!("{:?}", shown.prints)) }
    });
    ended.await?;
    let shown = counter.look().await?;
    let lies_there = shown.basket.as_ref().is_some_and(|basket| !basket.lines.is_empty());
    ensure!(!lies_there && shown.refusals.is_empty(), "{till} is not clear: {shown:?}");
    Ok(())
}

/// One of the articles on the shelf.
fn article(number: usize) -> Result<Article> {
    provisioned::articles()?.into_iter().nth(number).context("the shelf has no such article")
}

/// A device of that name is there and well, or it is not.
fn device(name: &'static str, well: bool) -> impl FnMut(&Till) -> bool {
    move |till| till.devices.iter().any(|device| device.name == name && device.detail.is_none() == well)
}

/// A device of that name is not well, and what is said of it has these words.
fn device_says(name: &'static str, words: &'static str) -> impl FnMut(&Till) -> bool {
    let says = move |detail: &String| detail.contains(words);
    move |till| {
        till.devices.iter().any(|device| device.name == name && device.detail.as_ref().is_some_and(says))
    }
}

/// A print waits or is in doubt, and its reason has these words.
fn print_says(words: &'static str) -> impl FnMut(&Till) -> bool {
    move |till| till.prints.iter().any(|print| says(print, words))
}

fn says(print: &Print, words: &str) -> bool {
    print.reason.as_ref().is_some_and(|reason| reason.contains(words))
}

/// Sells one of the articles, and says which receipt was told, as it stands on the paper.
async fn sell(counter: &Counter, number: usize) -> Result<Receipt> {
    counter.scan(&article(number)?.code).await?;
    let receipt = pay(counter).await?;
    counter.dismiss().await?;
    Ok(receipt)
}

fn act() -> ActId {
    ActId(Uuid::now_v7())
}

/// Waits until the till shows it.
async fn shown(counter: &Counter, what: &str, mut is: impl FnMut(&Till) -> bool) -> Result<Till> {
    let look = || async {
        match counter.look().await {
            Ok(till) => Ok(till),
            Err(error) => Err(error.to_string()),
        }
    };
    let deadline = tokio::time::Instant::now() + SHOWN_WITHIN;
    loop {
        let seen = look().await;
        match seen {
            Ok(till) if is(&till) => return Ok(till),
            other if tokio::time::Instant::now() > deadline => {
                bail!("{what} was not shown in time: {other:?}")
            }
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Pays the basket, and says which receipt it was told.
async fn pay(counter: &Counter) -> Result<Receipt> {
    let shown = counter.look().await?;
    let Some(basket) = shown.basket else { bail!("there is no basket to pay: {shown:?}") };
    counter.pay(basket.act, "500.00").await?;
    match counter.look().await?.last_sale {
        Some(sale) => Ok(sale.receipt),
        None => bail!("the sale is not on the page"),
    }
}
