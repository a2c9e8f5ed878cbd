//! What is tried on each rig, one at a time, each from the same beginning.

mod faults;
mod selling;

use std::{pin::Pin, time::Duration};

use anyhow::{Result, bail};
use pestle_domain::ids::ActId;
use uuid::Uuid;

use super::{Ability, Rig};
use crate::{
    counter::{Counter, Till},
    power_cuts::provisioned::SELLER,
};

/// Longest that a page may take to show what happened; the machine may be busy, and a virtual one is slow.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

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

/// All cases, in the order in which they are tried.
pub const CASES: &[Case] = &[
    Case {
        name: "a_pack_scanned_by_a_keyboard_mode_scanner_is_sold_with_a_receipt",
        needs: &[Ability::KeyboardScanner, Ability::SerialPrinter],
        run: |rig| Box::pin(selling::by_keyboard(rig)),
    },
    Case {
        name: "a_pack_scanned_by_a_serial_scanner_is_sold_with_a_receipt",
        needs: &[Ability::SerialScanner, Ability::SerialPrinter],
        run: |rig| Box::pin(selling::by_serial_line(rig)),
    },
    Case {
        name: "a_sale_at_the_second_till_is_printed_by_the_printer_on_the_network",
        needs: &[Ability::NetworkPrinter],
        run: |rig| Box::pin(selling::on_the_network(rig)),
    },
    Case {
        name: "lot_and_serial_of_a_pack_are_read_through_the_group_separator",
        needs: &[Ability::SerialScanner],
        run: |rig| Box::pin(selling::with_lot_and_serial(rig)),
    },
    Case {
        name: "a_receipt_waits_for_paper_says_why_and_comes_out_once",
        needs: &[Ability::SerialPrinter],
        run: |rig| Box::pin(faults::paper_out(rig)),
    },
    Case {
        name: "a_scanner_that_was_unplugged_scans_again_when_it_is_back",
        needs: &[Ability::SerialScanner, Ability::Plugs],
        run: |rig| Box::pin(faults::scanner_unplugged(rig)),
    },
    Case {
        name: "the_fridge_is_shown_and_a_silent_sensor_is_a_reason",
        needs: &[Ability::Sensors],
        run: |rig| Box::pin(faults::fridge(rig)),
    },
    Case {
        name: "sales_that_were_told_are_there_once_after_the_power_went",
        needs: &[Ability::Power],
        run: |rig| Box::pin(faults::power(rig)),
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
async fn pay(counter: &Counter) -> Result<u64> {
    let shown = counter.look().await?;
    let Some(basket) = shown.basket else { bail!("there is no basket to pay: {shown:?}") };
    counter.pay(basket.act, "500.00").await?;
    match counter.look().await?.last_sale {
        Some(sale) => Ok(sale.receipt.number),
        None => bail!("the sale is not on the page"),
    }
}
