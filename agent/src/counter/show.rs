//! Turns the machine's state into what a till's page shows. Pure.

use pestle_domain::{ids::TillId, money::Money, staff::Permission};

use super::{
    machine::{Branch, Now},
    papers::DocumentKind,
    records::{Paper, Printable},
    settings::TillSettings,
    view::{
        BasketView, ClosingView, LineView, PRINTS_APART, PRINTS_SHOWN, Person, Phase, PrintGroup, PrintView,
        QuestionView, SaleView, SessionView, TillView, suggestions,
    },
};
use crate::spool::machine::{Job, Spool};

impl Branch {
    /// What the page of a till shows now; `None` for a till that is not configured.
    pub fn view(&self, now: &Now<'_>, till: &TillId) -> Option<TillView> {
        let settings = self.settings.tills.iter().find(|one| one.id == *till)?;
        let live = self.tills.get(till)?;
        let book = self.books.till(till);
        let shop = self.shop.as_deref();
        let session = book.and_then(|book| book.till.session().ok()).map(|session| SessionView {
            id: session.id,
            float: session.float,
            sales: session.sales,
            opened_on: book.and_then(|book| book.sums.as_ref()).map(|sums| sums.opened_on),
            stale: self.stale_session(now, till),
        });
        let basket = self.basket_view(till);
        let phase = match () {
            () if shop.is_none() => Phase::NoCatalogue,
            () if live.signed_in.is_none() => Phase::SignIn,
            () if session.is_none() => Phase::Closed,
            () if live.busy.is_some() && basket.is_some() => Phase::Paying,
            () if basket.is_some() || live.question.is_some() => Phase::Selling,
            () if live.just_sold => Phase::Change,
            () => Phase::Ready,
        };
        let Prints { prints, print_groups, print_rest } = self.prints(till);
        let refusals = [live.unseen.as_slice(), &live.refusals].concat();
        Some(TillView {
            till: till.clone(),
            till_name: settings.name.clone(),
            branch: shop.map_or_else(String::new, |shop| shop.profile.name.to_string()),
            currency: shop.map(|shop| shop.profile.currency),
            business_date: self.today(now),
            date_doubted: self.date_wanted(now),
            phase,
            signed_in: live.signed_in.as_ref().map(|one| Person {
                staff: one.staff.clone(),
                name: one.name.clone(),
                role: one.role,
                may_close: one.role.may(Permission::CloseTill),
                may_open_drawer: one.role.may(Permission::OpenDrawer),
                may_move_cash: one.role.may(Permission::MoveCash),
            }),
            session,
            basket,
            question: live.question.as_ref().map(|question| QuestionView {
                gtin: question.pack.gtin,
                name: question.name.clone(),
                choices: question.choices.clone(),
            }),
            last_sale: self.last_sale(till, settings.printer.is_some()),
            last_closing: book.and_then(|book| book.last_closing.as_ref()).map(|record| ClosingView {
                act: record.act,
                counted: record.closed.counted,
                expected: record.closed.expected,
                variance: record.closed.variance,
                sales: record.closed.sales,
                at: record.at,
            }),
            prints,
            print_groups,
            print_rest,
            full_printers: self.full_printers(settings),
            notice: live.notice.clone(),
            refusals,
            link: self.link.clone(),
            devices: self.devices.values().cloned().collect(),
            readings: self.readings.values().cloned().collect(),
            cold: self.cold_view(now),
            devices_ask: self.devices_ask.clone(),
            station: live.signed_in.as_ref().map(|one| one.station.clone()),
            farewell: live.farewell.clone(),
        })
    }

    fn basket_view(&self, till: &TillId) -> Option<BasketView> {
        let basket = self.basket(till)?;
        let catalogue = self.shop.as_deref().map(|shop| &shop.catalogue);
        let lines: Vec<LineView> = basket
            .lines()
            .iter()
            .map(|line| {
                let price =
                    catalogue.and_then(|catalogue| catalogue.get(&line.product)).map(|product| product.price);
                let lot = line.lot.as_ref().map(|known| known.lot.clone());
                LineView {
                    line: line.id,
                    product: line.product.clone(),
                    gtin: line.gtin,
                    name: line.name.clone(),
                    quantity: line.quantity,
                    unit_price: line.unit_price,
                    // A line that cannot be priced is refused when it is paid.
                    amount: line.amount().unwrap_or(line.unit_price),
                    price_changed: price.is_some_and(|price| price != line.unit_price),
                    lot: lot.clone(),
                    provenance: line.lot.as_ref().map(|known| known.provenance),
                    expiry: line.expiry,
                    serials: line.serials.clone(),
                    on_hand: self.books.ledger.on_hand(&line.product),
                    recalled: catalogue
                        .and_then(|catalogue| catalogue.recall(&line.product, lot.as_deref()))
                        .map(|recall| recall.reference.clone()),
                }
            })
            .collect();
        let total = basket.total().unwrap_or(Money::zero(basket.currency));
        let packs = lines.iter().map(|line| line.quantity).sum();
        Some(BasketView { act: basket.act, lines, packs, total, suggestions: suggestions(total) })
    }

    fn last_sale(&self, till: &TillId, has_printer: bool) -> Option<SaleView> {
        let book = self.books.till(till)?;
        let record = book.last_sale.as_ref()?;
        let jobs = self.jobs_of(till);
        let job = jobs.iter().find(|job| job.document == record.act);
        let print = match (book.paper, job) {
            _ if !has_printer => "none",
            // A copy on top of it is another story.
            (Paper::Printed, _) => "printed",
            (_, Some(job)) => job.state.as_str(),
            (Paper::Copied, None) => "copied",
            (Paper::Unknown, None) => "unknown",
            (Paper::CannotTell, None) => "cannot_tell",
            (Paper::GivenUp, None) => "given_up",
            // The fact is on its way to the disk.
            (Paper::Open, None) => "sent",
        };
        Some(SaleView {
            act: record.act,
            receipt: record.sale.receipt.clone(),
            total: record.sale.total,
            tendered: record.sale.tendered,
            change: record.sale.change,
            at: record.at,
            print,
        })
    }

    /// The prints of a till that have not ended, and those of them that are told of together. Of many alike no page could
    /// show each, and nobody would answer for each.
    fn prints(&self, till: &TillId) -> Prints {
        let (mut prints, mut print_groups, mut print_rest) = (Vec::new(), Vec::new(), Vec::new());
        for (printer, spool) in &self.spools {
            let mut alike: Vec<PrintGroup> = Vec::new();
            for job in spool.jobs().iter().filter(|job| job.till == *till) {
                let print = self.print_view(printer, job);
                let known = alike.iter().position(|group| group.holds(&print));
                let index = known.unwrap_or_else(|| {
                    alike.push(PrintGroup {
                        printer: printer.clone(),
                        kind: print.kind,
                        state: print.state,
                        reason: print.reason.clone(),
                        jobs: Vec::new(),
                        first: job.title.clone(),
                        last: String::new(),
                        former_till: job.former_till.clone(),
                    });
                    alike.len() - 1
                });
                let group = &mut alike[index];
                group.jobs.push(job.id);
                group.last.clone_from(&job.title);
                if group.jobs.len() <= PRINTS_SHOWN {
                    prints.push(print);
                }
            }
            let by_itself = |group: &PrintGroup| group.kind == Some(DocumentKind::DispensingLabel);
            let (apart, together): (Vec<_>, Vec<_>) = alike.into_iter().partition(by_itself);
            print_rest.extend(apart.into_iter().filter(|group| group.more() > 0));
            print_groups.extend(together.into_iter().filter(|group| group.jobs.len() > PRINTS_APART));
        }
        Prints { prints, print_groups, print_rest }
    }

    fn print_view(&self, printer: &str, job: &Job) -> PrintView {
        PrintView {
            job: job.id,
            document: job.document,
            title: job.title.clone(),
            printer: printer.to_owned(),
            state: job.state.as_str(),
            reason: job.state.reason().map(str::to_owned),
            copy: job.copy,
            kind: self.printable(&job.document).map(Printable::kind),
            former_till: job.former_till.clone(),
        }
    }

    fn full_printers(&self, settings: &TillSettings) -> Vec<String> {
        let full = |printer: &&String| {
            let its_own = settings.printers().any(|one| one == printer.as_str());
            its_own && self.spools.get(*printer).is_some_and(Spool::is_full)
        };
        self.spools.keys().filter(full).cloned().collect()
    }
}

/// The prints of a till, as its page tells of them.
struct Prints {
    prints: Vec<PrintView>,
    print_groups: Vec<PrintGroup>,
    print_rest: Vec<PrintGroup>,
}
