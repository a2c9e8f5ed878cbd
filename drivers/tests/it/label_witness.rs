//! Labels as another program draws them: `zpl-renderer-js` draws our ZPL dot by dot as we drew it, and `zxing-cpp` reads the
//! codes in its picture. `hil-tests/setup.sh test` installs both; `drivers/tests/witness/labels/` pins their versions.

use std::{
    fs,
    io::{Cursor, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pestle_domain::document::{
    Block, Document, Style,
    dispensing_label::{DispensingCode, DispensingLabel, dispensing_label},
    shelf_label::{ShelfCode, ShelfLabel, shelf_label},
};
use pestle_drivers::printer::{
    bitmap::Bitmap,
    render::Artwork,
    zpl::{
        compose::{Face, compose},
        label,
        model::{LabelStock, ZplModels},
    },
};

const ELEMENTS: &str = "010952123454321310A1\u{1d}21DISP00004711";

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/witness/labels")
}

fn installed(what: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let path = target.join("witness/labels").join(what);
    assert!(path.exists(), "{} is missing: run hil-tests/setup.sh test", path.display());
    path
}

/// What the other program draws; one PNG a label.
fn drawn_elsewhere(zpl: &[u8], size: (u16, u16), dots_per_mm: u16) -> Vec<Vec<u8>> {
    let numbers = [size.0, size.1, dots_per_mm].map(|number| number.to_string());
    let mut node = Command::new("node")
        .arg(scripts().join("draw_zpl.cjs"))
        .args(numbers)
        .env("NODE_PATH", installed("node_modules"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("setup.sh test installs Node");
    node.stdin.take().unwrap().write_all(zpl).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(|line| BASE64.decode(line).unwrap()).collect()
}

/// The black dots of a PNG, in its own width.
fn dots(png: &[u8]) -> (usize, Vec<bool>) {
    let mut decoder = png::Decoder::new(Cursor::new(png));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut bytes).unwrap();
    let samples = frame.color_type.samples();
    let black = bytes[..frame.buffer_size()].chunks(samples).map(|dot| dot[0] < 128).collect();
    (usize::try_from(frame.width).unwrap(), black)
}

/// The other program puts a label in the middle of its paper where the two are not equally wide.
fn check_same(ours: &Bitmap, png: &[u8]) {
    let (width, theirs) = dots(png);
    let left = (width - ours.width()) / 2;
    let high = theirs.len() / width;
    assert!(high >= ours.height());
    for y in 0..high {
        for x in 0..width {
            let ours = x >= left && ours.get(x - left, y);
            assert_eq!(theirs[y * width + x], ours, "dot {x}, {y}");
        }
    }
}

fn check(document: &Document, size: (u16, u16), model: &str) -> Vec<Vec<u8>> {
    let model = ZplModels::built_in().unwrap().get(model).unwrap().clone();
    let stock = LabelStock::new(format!("{}x{}", size.0, size.1).parse().unwrap());
    let dots = |mm: u16| usize::from(model.dots_for(mm * 10));
    let face = Face { width: dots(size.0), height: dots(size.1), dpi: model.dpi };
    let ours = compose(document, face, &Artwork::default()).unwrap().pictures;
    let zpl: Vec<u8> = ours.iter().flat_map(|picture| label::format(picture, &stock)).collect();
    // A picture of 12 dots a millimetre is written in less than a tenth of its digits.
    assert!(zpl.len() * 3 < ours.len() * face.width * face.height / 4, "{} bytes", zpl.len());
    let theirs = drawn_elsewhere(&zpl, size, model.dpi.div_ceil(25));
    assert_eq!(theirs.len(), ours.len());
    ours.iter().zip(&theirs).for_each(|(ours, theirs)| check_same(ours, theirs));
    theirs
}

fn dispensing(code: DispensingCode) -> Document {
    let label = DispensingLabel {
        patient: "Mrs Jane Doe".into(),
        product: "Amoxicillin 500 mg capsules".into(),
        quantity: "21 capsules".into(),
        directions: "Take ONE capsule three times a day".into(),
        warnings: vec!["Space the doses evenly throughout the day. Finish the course.".into()],
        date: "22 Nov 2026".into(),
        pharmacy: "Old Town Pharmacy, 1 Market Square, Old Town".into(),
        serial: Some("Rx 4711".into()),
        prescriber: Some("Dr A. Reed".into()),
        lot: None,
        children: "Keep out of the reach and sight of children".into(),
        code,
    };
    dispensing_label(&label).unwrap()
}

/// As the counter makes one of an article.
fn shelf(code: ShelfCode) -> Document {
    let label = ShelfLabel {
        name: "Ibuprofen 200 mg <24>".into(),
        pack: String::new(),
        price: "GBP 4.99".into(),
        unit_price: None,
        code,
        note: "Price of 2026-11-22".into(),
    };
    let document = shelf_label(&label);
    assert_eq!(document.check(), Ok(()));
    document
}

fn codes_in(pictures: &[Vec<u8>]) -> Vec<Vec<(String, String)>> {
    let folder = tempfile::tempdir().unwrap();
    let name = |number: usize| folder.path().join(format!("{number}.png"));
    for (number, picture) in pictures.iter().enumerate() {
        fs::write(name(number), picture).unwrap();
    }
    let output = Command::new(installed("venv").join("bin/python"))
        .arg(scripts().join("read_codes.py"))
        .args((0..pictures.len()).map(name))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn another_program_draws_our_labels_dot_by_dot_as_we_did() {
    let plain = dispensing(DispensingCode::None);
    for model in ["zebra-zd421-203", "zebra-zd421-300"] {
        check(&plain, (70, 35), model);
        check(&plain, (76, 38), model);
    }
    let mut long = plain;
    let warning = "Do not stop taking this medicine except on your doctor's advice.";
    long.blocks.extend((0..30).map(|_| Block::Text { text: warning.into(), style: Style::default() }));
    assert!(check(&long, (70, 35), "zebra-zd421-203").len() > 2);
}

#[test]
fn the_codes_on_a_label_are_read_back_from_another_program_s_picture() {
    for (size, model) in [((70, 35), "zebra-zd421-203"), ((76, 38), "zebra-zd421-300")] {
        let pictures = check(&dispensing(DispensingCode::DataMatrix(ELEMENTS.into())), size, model);
        let read = codes_in(&pictures);
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].len(), 1, "{read:?}");
        assert_eq!(read[0][0].1.trim_start_matches('\u{1d}'), ELEMENTS, "{read:?}");
        let qr = "https://id.example/8003/0123456789";
        let pictures = check(&dispensing(DispensingCode::Qr(qr.into())), size, model);
        assert_eq!(codes_in(&pictures), [[("QR Code".to_owned(), qr.to_owned())]]);
    }
}

#[test]
fn the_code_of_a_shelf_label_is_read_back_from_another_program_s_picture() {
    for (size, model) in
        [((70, 35), "zebra-zd421-203"), ((70, 35), "zebra-zd421-300"), ((50, 25), "zebra-gk420-203")]
    {
        for (code, kind, text) in [
            (ShelfCode::Ean13("9521234543213".into()), "EAN-13", "9521234543213"),
            // A UPC-A, as the counter writes it.
            (ShelfCode::Ean13("0036000291452".into()), "EAN-13", "0036000291452"),
            (ShelfCode::Ean8("96385074".into()), "EAN-8", "96385074"),
            (ShelfCode::Code128("SHELF-4711".into()), "Code 128", "SHELF-4711"),
            (ShelfCode::DataMatrix("0109521234543213".into()), "Data Matrix", "0109521234543213"),
        ] {
            let pictures = check(&shelf(code), size, model);
            let read: Vec<_> = codes_in(&pictures).into_iter().flatten().collect();
            assert_eq!(read, [(kind.to_owned(), text.to_owned())], "{size:?} {model}");
        }
    }
}
