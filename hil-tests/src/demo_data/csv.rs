//! The demo's articles, recalls, people and opening stock in the files that the product's commands take.

use pestle_domain::catalogue::{Storage, Supply};

use super::{Article, BRANCHES, LotState, articles};
use crate::world::PEOPLE;

/// The demo's recalls were issued on that day.
const RECALLED_ON: &str = "2025-01-15";

/// A file of `hil-tests/data/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name there.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// All files.
pub fn files() -> Vec<File> {
    let all = articles();
    let file = |name: &str, text| File { name: name.to_owned(), text };
    let mut files = vec![
        file("catalogue.csv", catalogue(&all)),
        file("recalls.csv", recalls(&all)),
        file("staff.csv", staff()),
    ];
    for (index, branch) in BRANCHES.iter().enumerate() {
        files.push(file(&format!("opening-stock-{branch}.csv"), opening_stock(&all, index)));
    }
    files
}

/// The content of one file.
pub fn file(name: &str) -> String {
    files().into_iter().find(|file| file.name == name).map(|file| file.text).unwrap_or_default()
}

/// What `pestle-gateway admin catalogue-import` takes.
fn catalogue(articles: &[Article]) -> String {
    let mut text = "id,gtins,name,price,currency,tax_percent,supply,storage\n".to_owned();
    for article in articles {
        let supply = match article.supply {
            Supply::General => "general",
            Supply::Pharmacy => "pharmacy",
            Supply::Prescription => "prescription",
            Supply::Controlled => "controlled",
        };
        let storage = match article.storage {
            Storage::Ambient => "ambient",
            Storage::Cold => "cold",
        };
        text += &format!(
            "{},{},{},{}.{:02},EUR,{},{supply},{storage}\n",
            article.id,
            article.gtin,
            quoted(&article.name),
            article.price_cents / 100,
            article.price_cents % 100,
            article.tax / 100,
        );
    }
    text
}

/// What `pestle-gateway admin recall-import` takes.
fn recalls(articles: &[Article]) -> String {
    let mut text = "reference,product,lot,reason,issued\n".to_owned();
    for (article, number) in articles.iter().zip(1..) {
        for lot in article.lots.iter().filter(|lot| lot.state == LotState::Recalled) {
            text += &format!(
                "R-{number:04},{},{},\"The maker found fragments in this lot: set packs aside\",{RECALLED_ON}\n",
                article.id, lot.lot
            );
        }
    }
    text
}

/// What `pestle-gateway admin staff-import` takes.
fn staff() -> String {
    let mut text = "id,name,role,pin,branches,valid_until\n".to_owned();
    for person in PEOPLE {
        text += &format!("{},{},{},{},,\n", person.id, person.name, person.role, person.pin);
    }
    text
}

/// What `pestle-agent stock-open` takes.
fn opening_stock(articles: &[Article], branch: usize) -> String {
    let mut text = "gtin,lot,expiry,quantity\n".to_owned();
    for article in articles {
        for lot in article.lots.iter().filter(|lot| lot.quantity[branch] > 0) {
            text += &format!("{},{},{},{}\n", article.gtin, lot.lot, lot.expiry, lot.quantity[branch]);
        }
    }
    text
}

/// RFC 4180: in quotes where a comma or a quote stands in it.
fn quoted(text: &str) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
