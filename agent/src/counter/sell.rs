//! Baskets and their payment.

use pestle_domain::{
    fact::{Fact, FactBody, Lot, ReceiptNumber},
    gs1::Scan,
    ids::{ActId, ProductId, TillId},
    journal::Lane,
    sale::{Basket, LineId, Pack, Payment, Refusal, World, settle},
    staff::Permission,
    units::{Day, Quantity},
};

use super::{
    command::{Answer, CashWay, Refused, Said, Ticket, Why},
    live::{Asked, HELD_SCANS_MAX, LotQuestion, Scanned, Tone},
    machine::{Branch, Effect, Now},
    papers::DocumentKind,
    records::{Done, PrintIntent},
    shop::Shop,
    under_way::Purpose,
    view::shown,
};

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let why = match refusal {
            Refusal::NoSuchLine | Refusal::UnknownProduct => Why::NotFound,
            _ => Why::Validation,
        };
        Self::new(why, refusal.to_string())
    }
}

impl Branch {
    /// A scan at a till, from wherever. Its outcome is on the page: nobody waits for an answer.
    pub(super) fn scanned(
        &mut self,
        now: &mut Now<'_>,
        till: &TillId,
        scanned: Scanned,
        out: &mut Vec<Effect>,
    ) {
        let Some(live) = self.tills.get_mut(till) else { return };
        if live.busy.is_some() {
            if live.held.len() < HELD_SCANS_MAX {
                live.held.push(scanned);
            } else {
                let text =
                    "The sale is still being recorded, and this scan was not taken. Scan the pack again.";
                self.tell(till, Tone::Refused, text, out);
            }
            return;
        }
        if let Some(signed_in) = &mut live.signed_in {
            signed_in.last_ms = now.mono_ms;
        }
        if let Err(refused) = self.add_scanned(now, till, &scanned, out) {
            self.tell(till, Tone::Refused, refused.message, out);
        }
    }

    fn add_scanned(
        &mut self,
        now: &mut Now<'_>,
        till: &TillId,
        scanned: &Scanned,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        let scan = Scan::parse(&scanned.bytes).map_err(|error| {
            Refused::new(
                Why::Validation,
                format!(
                    "The barcode cannot be read: {error}. If that does not help, add the article by name."
                ),
            )
        })?;
        let gtin = scan.gtin().ok_or_else(|| {
            Refused::new(
                Why::Validation,
                "This code names no article. Scan the code that has the pack's number, or add it by name.",
            )
        })?;
        let pack = Pack {
            gtin,
            lot: scan.lot().map(Into::into),
            serial: scan.serial().map(Into::into),
            expiry: scan.expiry(self.today(now).0).map(Day),
            proved: scanned.proved,
        };
        self.add_pack(now, till, pack, None, out).map(|_said| ())
    }

    pub(super) fn add_by_hand(
        &mut self,
        now: &mut Now<'_>,
        till: &TillId,
        product: &ProductId,
        out: &mut Vec<Effect>,
    ) -> Result<Said, Refused> {
        self.not_busy(till)?;
        let shop = self.shop()?;
        let gtin = shop.catalogue.get(product).and_then(|product| product.gtins.first());
        let gtin = *gtin.ok_or(Refusal::UnknownProduct)?;
        let pack = Pack { gtin, lot: None, serial: None, expiry: None, proved: false };
        self.add_pack(now, till, pack, None, out)
    }

    /// Puts a pack into the till's basket, which begins with its first one. `lot` is what a person read.
    fn add_pack(
        &mut self,
        now: &mut Now<'_>,
        till: &TillId,
        pack: Pack,
        lot: Option<Lot>,
        out: &mut Vec<Effect>,
    ) -> Result<Said, Refused> {
        self.may_sell(till)?;
        self.date_known(now)?;
        let shop = self.shop()?;
        let kept = self.tills.get(till).and_then(|live| live.basket.clone());
        if kept.is_none() {
            self.has_room()?;
        }
        let mut basket = kept.unwrap_or_else(|| Basket::new(ActId((now.draw)()), shop.profile.currency));
        let added = self.with_world(now, &shop, |world| match lot {
            Some(lot) => basket.add_with_lot(pack.clone(), lot, world),
            None => basket.add(pack.clone(), world),
        });
        let Some(live) = self.tills.get_mut(till) else { return Err(Refusal::NoSuchLine.into()) };
        match added {
            Ok(id) => {
                let line = basket.lines().iter().find(|line| line.id == id);
                let text = line
                    .map_or_else(String::new, |line| format!("{} {}", line.name, shown(&line.unit_price)));
                live.basket = Some(basket);
                live.just_sold = false;
                live.question = None;
                live.say(Tone::Good, text.clone());
                out.push(Effect::Show(till.clone()));
                out.push(Effect::Keep(till.clone()));
                Ok(Said::words(text))
            }
            Err(Refusal::LotNeeded { name, choices }) => {
                let refusal = Refusal::LotNeeded { name: name.clone(), choices: choices.clone() };
                live.question = Some(LotQuestion { pack, name, choices });
                live.just_sold = false;
                live.say(Tone::Info, refusal.to_string());
                out.push(Effect::Show(till.clone()));
                Ok(Said::words(refusal.to_string()))
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    pub(super) fn set_quantity(
        &mut self,
        till: &TillId,
        line: LineId,
        quantity: Quantity,
        out: &mut Vec<Effect>,
    ) -> Result<Said, Refused> {
        let basket = self.open_basket(till)?;
        basket.set_quantity(line, quantity)?;
        out.push(Effect::Keep(till.clone()));
        Ok(Said::words(format!("Quantity {quantity}.")))
    }

    pub(super) fn void(
        &mut self,
        till: &TillId,
        line: LineId,
        out: &mut Vec<Effect>,
    ) -> Result<Said, Refused> {
        let basket = self.open_basket(till)?;
        let gone = basket.void(line)?;
        let empty = basket.lines().is_empty();
        let text = format!("{} was taken off.", gone.name);
        if let Some(live) = self.tills.get_mut(till) {
            live.say(Tone::Info, text.clone());
            if empty {
                live.basket = None;
            }
        }
        out.push(Effect::Keep(till.clone()));
        Ok(Said::words(text))
    }

    pub(super) fn void_all(&mut self, till: &TillId, out: &mut Vec<Effect>) -> Result<Said, Refused> {
        self.open_basket(till)?;
        if let Some(live) = self.tills.get_mut(till) {
            live.basket = None;
            live.question = None;
            live.say(Tone::Info, "The basket was emptied.");
        }
        out.push(Effect::Keep(till.clone()));
        Ok(Said::words("The basket was emptied."))
    }

    pub(super) fn choose_lot(
        &mut self,
        now: &mut Now<'_>,
        till: &TillId,
        line: Option<LineId>,
        lot: &str,
        out: &mut Vec<Effect>,
    ) -> Result<Said, Refused> {
        self.not_busy(till)?;
        let lot = Lot::from(lot.trim());
        if lot.is_empty() || lot.chars().count() > 20 {
            return Err(Refused::new(
                Why::Validation,
                "A lot has 1 to 20 characters. Type it as it stands on the pack.",
            ));
        }
        let Some(line) = line else {
            let question = self.tills.get_mut(till).and_then(|live| live.question.take());
            let question = question.ok_or_else(|| {
                Refused::new(Why::Conflict, "No pack is waiting for its lot. Scan it again.")
            })?;
            return self.add_pack(now, till, question.pack, Some(lot), out);
        };
        let shop = self.shop()?;
        let mut basket = self.open_basket(till)?.clone();
        self.with_world(now, &shop, |world| basket.choose_lot(line, lot.clone(), world))?;
        if let Some(live) = self.tills.get_mut(till) {
            live.basket = Some(basket);
        }
        out.push(Effect::Keep(till.clone()));
        Ok(Said::words(format!("Lot {lot} noted.")))
    }

    /// Takes the money: judged, appended, and answered once it is on the disk. The same act again is the same sale.
    pub(super) fn pay(
        &mut self,
        now: &mut Now<'_>,
        ticket: Ticket,
        till: &TillId,
        act: ActId,
        asked: Asked,
        out: &mut Vec<Effect>,
    ) -> Result<Option<Said>, Refused> {
        let Asked::Pay { total, tendered } = asked else { return Err(Refusal::Empty.into()) };
        if let Some(done) = self.books.done(act) {
            return repeated(&done, till, &asked).map(Some);
        }
        if self.is_on_its_way(till, act) {
            return self.begin(till, act, asked, ticket);
        }
        self.not_busy(till)?;
        self.date_known(now)?;
        let shop = self.shop()?;
        let (signed_in, session) = self.may_sell(till)?;
        let basket = self.open_basket(till)?.clone();
        let due = basket.total()?;
        if basket.act != act || due != total {
            let text = format!(
                "The basket has changed: it is now {}. Look at it, and take the money again.",
                shown(&due)
            );
            return Err(Refused::new(Why::Conflict, text));
        }
        let book = self.books.till(till);
        let number = book.map_or(1, |book| book.next_number(self.settings.epoch));
        let receipt = ReceiptNumber { till: till.clone(), epoch: self.settings.epoch, number };
        let payment = Payment { tendered, session, receipt, drawer: self.has_drawer(till) };
        let settlement = self.with_world(now, &shop, |world| settle(&basket, &payment, world))?;
        self.begin(till, act, asked, ticket)?;
        let intent = PrintIntent { print: self.prints_here(till, DocumentKind::Receipt) };
        self.append(
            now,
            act,
            Lane::Ledger,
            &signed_in,
            settlement.bodies,
            intent,
            Purpose::Till(till.clone()),
            out,
        );
        out.push(Effect::Show(till.clone()));
        Ok(None)
    }

    /// What follows from an act of the till that is on the disk.
    pub(super) fn booked(
        &mut self,
        now: &mut Now<'_>,
        till: &TillId,
        act: ActId,
        facts: &[Fact],
        out: &mut Vec<Effect>,
    ) -> Answer {
        let answer = match self.books.done(act) {
            Some(done) => said_of(&done),
            None => Said::words(""),
        };
        if let Some(live) = self.tills.get_mut(till) {
            if facts.iter().any(|fact| matches!(fact.body, FactBody::SaleCompleted(_))) {
                live.basket = None;
                live.question = None;
                live.refusals.clear();
                live.just_sold = true;
            }
            live.say(Tone::Good, answer.message.clone());
        }
        self.print_of(now, till, act, facts, out);
        Ok(answer)
    }

    fn is_on_its_way(&self, till: &TillId, act: ActId) -> bool {
        self.tills.get(till).and_then(|live| live.busy.as_ref()).is_some_and(|busy| busy.act == act)
    }

    fn not_busy(&self, till: &TillId) -> Result<(), Refused> {
        match self.tills.get(till).and_then(|live| live.busy.as_ref()) {
            None => Ok(()),
            Some(_) => Err(Refused::new(Why::Conflict, "The sale is being recorded. Try again in a moment.")),
        }
    }

    fn open_basket(&mut self, till: &TillId) -> Result<&mut Basket, Refused> {
        self.not_busy(till)?;
        let live = self.tills.get_mut(till);
        live.and_then(|live| live.basket.as_mut()).ok_or_else(|| Refusal::Empty.into())
    }

    fn may_sell(
        &self,
        till: &TillId,
    ) -> Result<(pestle_domain::fact::Actor, pestle_domain::ids::SessionId), Refused> {
        let signed_in = self.permitted(till, Permission::Sell)?;
        let book = self.books.till(till);
        let session = book.and_then(|book| book.till.session().ok()).ok_or_else(|| {
            Refused::new(Why::Conflict, "This till is closed. Count the drawer and open the till first.")
        })?;
        Ok((signed_in.actor(), session.id))
    }

    /// Judges by the world of this moment: the books, and what all tills have on its way to the disk.
    fn with_world<T>(&self, now: &Now<'_>, shop: &Shop, judge: impl FnOnce(&World<'_>) -> T) -> T {
        let under_way: Vec<&FactBody> =
            self.under_way.values().flat_map(|one| one.facts.iter().map(|fact| &fact.body)).collect();
        let leaving = |product: &ProductId, serial: &str| {
            under_way.iter().find_map(|body| match body {
                FactBody::StockSold(sold) => {
                    let hit = sold
                        .moves
                        .iter()
                        .any(|one| one.product == *product && one.serials.iter().any(|s| **s == *serial));
                    hit.then(|| sold.receipt.clone())
                }
                _ => None,
            })
        };
        let sold = |product: &ProductId, serial: &str| {
            self.books.sold(product, serial).or_else(|| leaving(product, serial))
        };
        judge(&World {
            catalogue: &shop.catalogue,
            ledger: &self.books.ledger,
            under_way: &under_way,
            today: self.today(now),
            sold: &sold,
        })
    }

    /// Puts kept baskets back, and says what became of each.
    pub(super) fn recover_baskets(&mut self, baskets: Vec<(TillId, Basket)>) {
        for (till, basket) in baskets {
            let done = self.books.done(basket.act);
            let has_drawer = self.has_drawer(&till);
            let Some(live) = self.tills.get_mut(&till) else { continue };
            match done {
                Some(done) => {
                    live.just_sold = true;
                    let drawer = match has_drawer {
                        true => " If the drawer did not open, open it with its key.",
                        false => "",
                    };
                    let said = said_of(&done).message;
                    live.say(Tone::Info, format!("{said} The box was restarted.{drawer}"));
                }
                None if basket.lines().is_empty() => {}
                None => {
                    live.say(Tone::Info, "The box was restarted. Not recorded yet: your basket is back.");
                    live.basket = Some(basket);
                }
            }
        }
    }
}

/// The answer to an act that was done before: the same again is the same; anything else under its name is a mistake.
pub(super) fn repeated(done: &Done, till: &TillId, asked: &Asked) -> Result<Said, Refused> {
    if done.answers(till, asked) {
        return Ok(said_of(done));
    }
    let text = format!(
        "This was recorded before, and as something else: {} What was typed now was not carried out.",
        said_of(done).message
    );
    Err(Refused::new(Why::Conflict, text))
}

/// The words for what an act came to; the same when it is asked again.
pub(super) fn said_of(done: &Done) -> Said {
    let message = match done {
        Done::Sold { receipt, change, .. } => {
            format!("Sale {} recorded. Change {}.", receipt.number, shown(change))
        }
        Done::Opened { .. } => "The till is open.".into(),
        Done::Closed { variance, .. } if variance.minor == 0 => {
            "The till is closed, and the count is right.".into()
        }
        Done::Closed { variance, .. } => {
            format!("The till is closed. The count differs by {}.", shown(variance))
        }
        Done::Moved { way: CashWay::In, amount, .. } => format!("{} put into the drawer.", shown(amount)),
        Done::Moved { way: CashWay::Out, amount, .. } => {
            format!("{} taken out of the drawer.", shown(amount))
        }
        Done::Patient { new: true, .. } => "The patient is registered.".into(),
        Done::Patient { new: false, .. } => "What is known of the patient is set right.".into(),
        Done::DrawerOpened { .. } => "The drawer was told to open.".into(),
    };
    Said { message, done: Some(done.clone()) }
}
