//! What the chain sells, as the centre keeps it and every branch has it.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    fact::Lot,
    gs1::Gtin,
    ids::ProductId,
    money::{BasisPoints, Money},
    units::Day,
};

/// One article.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The chain's own number.
    pub id: ProductId,
    /// All pack numbers that mean this article; at least one.
    pub gtins: Vec<Gtin>,
    /// Short enough for a receipt: medicine, strength, form, pack.
    pub name: Box<str>,
    /// Of one pack, tax included.
    pub price: Money,
    /// The rate inside the price.
    pub tax: BasisPoints,
    /// Who may have it.
    pub supply: Supply,
    /// How it is kept.
    pub storage: Storage,
}

/// Who may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supply {
    /// Anybody.
    General,
    /// Anybody, sold by or under a pharmacist.
    Pharmacy,
    /// On prescription alone: dispensed, never sold at the counter.
    Prescription,
    /// A controlled drug: on prescription, with the register.
    Controlled,
}

impl Supply {
    /// Whether a counter sale may carry it.
    pub fn sold_at_counter(self) -> bool {
        matches!(self, Self::General | Self::Pharmacy)
    }
}

/// How it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// At room temperature.
    Ambient,
    /// In the fridge, 2 to 8 °C.
    Cold,
}

/// Packs that must not be sold or dispensed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    /// The authority's or the maker's number.
    pub reference: Box<str>,
    /// The article.
    pub product: ProductId,
    /// The lot; `None` recalls every lot.
    pub lot: Option<Lot>,
    /// In words for the counter.
    pub reason: Box<str>,
    /// Since when.
    pub issued: Day,
}

/// The catalogue in memory, found by pack number or by article. Clones share the articles.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    articles: Arc<Articles>,
    recalls: HashMap<ProductId, Vec<Recall>>,
}

#[derive(Debug, Default)]
struct Articles {
    products: Vec<Product>,
    by_gtin: HashMap<Gtin, usize>,
    by_id: HashMap<ProductId, usize>,
}

impl Catalogue {
    /// Indexes what a snapshot carries. Where two articles claim one GTIN the first keeps it; the centre's import
    /// refuses such a catalogue.
    pub fn new(products: Vec<Product>, recalls: Vec<Recall>) -> Self {
        let mut by_gtin = HashMap::with_capacity(products.len());
        let mut by_id = HashMap::with_capacity(products.len());
        for (index, product) in products.iter().enumerate() {
            by_id.insert(product.id.clone(), index);
            for gtin in &product.gtins {
                by_gtin.entry(*gtin).or_insert(index);
            }
        }
        let articles = Arc::new(Articles { products, by_gtin, by_id });
        Self { articles, recalls: by_product(recalls) }
    }

    /// The same articles with other recalls.
    #[must_use]
    pub fn with_recalls(&self, recalls: Vec<Recall>) -> Self {
        Self { articles: self.articles.clone(), recalls: by_product(recalls) }
    }

    /// The article of a pack number.
    pub fn by_gtin(&self, gtin: Gtin) -> Option<&Product> {
        self.articles.by_gtin.get(&gtin).map(|&index| &self.articles.products[index])
    }

    /// The article.
    pub fn get(&self, id: &ProductId) -> Option<&Product> {
        self.articles.by_id.get(id).map(|&index| &self.articles.products[index])
    }

    /// All articles.
    pub fn products(&self) -> &[Product] {
        &self.articles.products
    }

    /// All recalls, in no order of articles.
    pub fn recalls(&self) -> impl Iterator<Item = &Recall> {
        self.recalls.values().flatten()
    }

    /// The recall that hits this lot of this article. A pack of which no lot is known is hit by a recall of the
    /// whole article alone: whether one of its lots is recalled is asked by [`Catalogue::has_recalled_lots`].
    pub fn recall(&self, product: &ProductId, lot: Option<&str>) -> Option<&Recall> {
        self.recalls.get(product)?.iter().find(|recall| match (&recall.lot, lot) {
            (None, _) => true,
            (Some(recalled), Some(lot)) => **recalled == *lot,
            (Some(_), None) => false,
        })
    }

    /// Whether some lot of this article is recalled, so that a pack of it needs its lot to be known.
    pub fn has_recalled_lots(&self, product: &ProductId) -> bool {
        self.recalls.get(product).is_some_and(|recalls| !recalls.is_empty())
    }

    /// Up to `most` articles whose name has every word of `text`, whichever case.
    pub fn search(&self, text: &str, most: usize) -> Vec<&Product> {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        if words.is_empty() {
            return Vec::new();
        }
        let hit = |product: &&Product| {
            let name = product.name.to_lowercase();
            words.iter().all(|word| name.contains(word.as_str()))
        };
        self.articles.products.iter().filter(hit).take(most).collect()
    }
}

fn by_product(recalls: Vec<Recall>) -> HashMap<ProductId, Vec<Recall>> {
    let mut by_product: HashMap<ProductId, Vec<Recall>> = HashMap::new();
    for recall in recalls {
        by_product.entry(recall.product.clone()).or_default().push(recall);
    }
    by_product
}
