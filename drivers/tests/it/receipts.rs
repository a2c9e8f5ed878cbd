//! Receipts that tests and pictures share.

use pestle_domain::document::{Align, Block, Document, Fnc3, Size, Style, TableColumn};

fn with(title: &str, blocks: Vec<Block>) -> Document {
    Document { blocks, ..Document::new(title) }
}

fn text(text: &str) -> Block {
    Block::Text { text: text.into(), style: Style::default() }
}

fn centred(text: &str) -> Block {
    Block::Text { text: text.into(), style: Style { align: Align::Centre, ..Style::default() } }
}

fn columns(left: &str, right: &str) -> Block {
    Block::Columns { left: left.into(), right: right.into(), bold: false }
}

fn item(name: &str, quantity: Option<&str>, amount: &str, detail: &str) -> Block {
    Block::Item {
        name: name.into(),
        quantity: quantity.map(str::to_owned),
        amount: amount.into(),
        details: (!detail.is_empty()).then(|| detail.to_owned()).into_iter().collect(),
    }
}

fn total(label: &str, amount: &str, strong: bool) -> Block {
    Block::Total { label: label.into(), amount: amount.into(), strong }
}

/// An ordinary receipt of western Europe.
pub(crate) fn latin() -> Document {
    with(
        "Receipt 1042",
        vec![
            Block::Heading { text: "Old Town Pharmacy".into() },
            centred("1 North Street, Exampleton"),
            centred("VAT no. GB 123 4567 89"),
            Block::Feed { lines: 1 },
            text("Receipt till-1/1/1042"),
            columns("21 Nov 2026 10:14", "Served by Anna"),
            Block::Rule,
            item("Paracetamol 500 mg, 20 tablets", Some("2 × 1.60"), "3.20 A", ""),
            item("Amoxicillin 500 mg capsules, hard, 21", None, "12.40 B", "Lot A1, expires 12/2027"),
            item("Crème hydratante à l’urée 10 %, 200 ml", None, "9.95 A", ""),
            item("Žluťoučký sirup, 100 ml", None, "4.10 A", ""),
            Block::Rule,
            total("Total", "29.65 €", true),
            total("Cash", "30.00 €", false),
            total("Change", "0.35 €", false),
            Block::Feed { lines: 1 },
            columns("A VAT 20% in 17.25", "2.88"),
            columns("B VAT 0% in 12.40", "0.00"),
            Block::Feed { lines: 1 },
            centred("Thank you"),
            Block::Qr { data: "0192f0c1-7d3a-7000-8000-0123456789ab".into() },
            Block::Cut,
        ],
    )
}

/// Arabic, Hebrew, Chinese, Japanese, Cyrillic, Greek, Devanagari and Thai, in all sizes.
pub(crate) fn scripts() -> Document {
    let styled = |text: &str, style: Style| Block::Text { text: text.into(), style };
    with(
        "Receipt 1043",
        vec![
            Block::Heading { text: "Аптека 药房 صيدلية".into() },
            centred("Доставка лекарств, ул. Северная, 1"),
            Block::Rule,
            item("أموكسيسيلين ٥٠٠ ملغ، ٢١ كبسولة", Some("2 × 6.20"), "12.40 A", "يؤخذ بعد الطعام"),
            item("阿莫西林胶囊 500毫克 × 24粒", None, "9.95 A", "批号 A1，有效期至 2027年12月"),
            item("Амоксициллин 500 мг, 20 капсул", None, "7.10 A", "Серия Б2, годен до 12.2027"),
            item("एमोक्सिसिलिन ५०० मि.ग्रा. कैप्सूल", None, "6.30 A", "दिन में तीन बार"),
            item("אמוקסיצילין 500 מ״ג (20 כמוסות)", None, "8.00 A", ""),
            item("Αμοξικιλλίνη 500 mg, κάψουλες", None, "5.20 A", ""),
            item("อะม็อกซีซิลลิน 500 มก. น้ำเชื่อม", None, "4.40 A", ""),
            item("アモキシシリンカプセル", None, "3.30 A", ""),
            Block::Rule,
            total("Итого / المجموع / 合计", "56.65 €", true),
            styled("加粗 жирный عريض", Style { bold: true, ..Style::default() }),
            styled("Подчёркнуто 下划线", Style { underline: true, ..Style::default() }),
            styled("右 справа يمين", Style { align: Align::Right, ..Style::default() }),
            styled("大字 ШРИФТ", Style { size: Size::Double, align: Align::Centre, ..Style::default() }),
            Block::Cut,
        ],
    )
}

/// Every code, and a table.
pub(crate) fn symbols() -> Document {
    let column = |title: &str, width, align| TableColumn { title: title.into(), width, align };
    with(
        "Receipt 1044",
        vec![
            Block::Heading { text: "Codes".into() },
            Block::Table {
                columns: vec![
                    column("Kind", None, Align::Left),
                    column("Digits", Some(8), Align::Right),
                    column("Use", Some(10), Align::Centre),
                ],
                rows: vec![
                    vec!["EAN-13 of a pack as sold in a shop".into(), "13".into(), "sale".into()],
                    vec!["EAN-8".into(), "8".into(), "small".into()],
                ],
            },
            Block::Rule,
            Block::Qr { data: "0192f0c1-7d3a-7000-8000-0123456789ab".into() },
            Block::Ean13 { data: "9521234543213".into() },
            Block::Ean8 { data: "96385074".into() },
            Block::Code128 { data: "T1-{1042}".into() },
            Block::Gs1Barcode { data: "10A1\u{1d}217".into() },
            Block::ScannerCode { data: "B0010".into(), fnc3: Fnc3::First },
            Block::DataMatrix { data: "0109521234543213172612311021\u{1d}217".into() },
            Block::Cut,
        ],
    )
}
