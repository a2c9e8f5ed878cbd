//! An office printer: CUPS' `ippeveprinter`, which has nothing of ours.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use pestle_domain::document::{Align, Block, Document, Style, TableColumn};
use pestle_drivers::{
    device::{DeviceEvent, DeviceName},
    printer::{
        NotPrinted, Outcome, PrintJob, PrintReport, Printer as _, PrinterEvent, PrinterHandle, PrinterStatus,
        Unknown,
        ipp::{self, IppSettings, IppTimeouts, page, raster::Paper, tls::Fingerprint},
        render::Artwork,
        status::Trouble,
        trouble::PageTrouble,
    },
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command as AsyncCommand},
    sync::mpsc,
};

use crate::soon;

const QUICK: IppTimeouts = IppTimeouts {
    answer: Duration::from_secs(5),
    send: Duration::from_secs(10),
    progress: Duration::from_secs(4),
    stopped: Duration::from_millis(600),
    poll: Duration::from_millis(200),
};

/// What the printer's mechanism does with a page: it says its state, then waits as long as a file named "wait" is there, and
/// fails if one named "fail" is. Its states are told as ippeveprinter(1) describes, on standard error.
const MECHANISM: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
touch began
[ -e state ] && echo "STATE: $(cat state)" >&2
while [ -e wait ]; do sleep 0.05; done
[ -e state ] && echo "STATE: none" >&2
[ -e pages ] && echo "ATTR: job-impressions-completed=$(cat pages)" >&2
[ -e fail ] && exit 1
exit 0
"#;

struct Office {
    folder: tempfile::TempDir,
    port: u16,
    printer: Option<Child>,
    /// `ippeveprinter` announces itself through Avahi, and ends where there is no bus to look for it.
    _bus: Child,
    bus_address: String,
}

impl Office {
    async fn open() -> Office {
        let folder = tempfile::tempdir().unwrap();
        let mechanism = folder.path().join("mechanism");
        fs::write(&mechanism, MECHANISM).unwrap();
        fs::set_permissions(&mechanism, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("spool")).unwrap();
        fs::create_dir(folder.path().join("keys")).unwrap();
        let mut bus = AsyncCommand::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address=1"])
            .arg(format!("--address=unix:path={}", folder.path().join("bus").display()))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("setup.sh test installs dbus-daemon");
        let mut lines = BufReader::new(bus.stdout.take().unwrap()).lines();
        let bus_address = soon(lines.next_line()).await.unwrap().expect("the bus says where it is");
        // A free port; nobody else takes it in the moment until the printer does.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut office = Office { folder, port, printer: None, _bus: bus, bus_address };
        office.switch_on();
        office
    }

    fn switch_on(&mut self) {
        let printer = AsyncCommand::new("/usr/sbin/ippeveprinter")
            .args(["-r", "off", "-k", "-n", "localhost", "-f", "image/pwg-raster"])
            .arg("-d")
            .arg(self.path("spool"))
            .arg("-K")
            .arg(self.path("keys"))
            .arg("-c")
            .arg(self.path("mechanism"))
            .args(["-p", &self.port.to_string(), "Back office"])
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus_address)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("setup.sh test installs cups-ipp-utils");
        self.printer = Some(printer);
    }

    async fn switch_off(&mut self) {
        if let Some(mut printer) = self.printer.take() {
            printer.kill().await.unwrap();
        }
    }

    /// Stops the printer's program where it is, or lets it go on.
    fn signal(&self, signal: &str) {
        let id = self.printer.as_ref().and_then(Child::id).expect("it is switched on");
        assert!(Command::new("kill").args(["-s", signal, &id.to_string()]).status().unwrap().success());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn set(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn clear(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    fn settings(&self, scheme: &str, fingerprint: Option<Fingerprint>) -> IppSettings {
        IppSettings {
            name: DeviceName::new("office"),
            address: format!("{scheme}://localhost:{}/ipp/print", self.port).parse().unwrap(),
            fingerprint,
            paper: Paper::A4,
            timeouts: QUICK,
        }
    }

    async fn printer(&self) -> Desk {
        let (printer, events) = ipp::start(self.settings("ipp", None), Artwork::default());
        let mut desk = Desk { printer, events };
        desk.until(|event| *event == PrinterEvent::Device(DeviceEvent::Attached)).await;
        desk
    }

    /// The files that the printer took, oldest first.
    fn taken(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(self.path("spool")).unwrap().map(|file| file.unwrap().path()).collect();
        // Beside each there is what the mechanism wrote.
        files.retain(|file| file.extension().is_some_and(|ending| ending == "pwg"));
        files.sort();
        files
    }
}

struct Desk {
    printer: PrinterHandle,
    events: mpsc::Receiver<PrinterEvent>,
}

impl Desk {
    async fn until(&mut self, is: impl Fn(&PrinterEvent) -> bool) -> PrinterEvent {
        loop {
            let event = soon(self.events.recv()).await.expect("the driver runs");
            if is(&event) {
                return event;
            }
        }
    }

    async fn print(&self, document: Document) -> PrintReport {
        soon(self.printer.print(PrintJob { document, open_drawer: false })).await
    }

    async fn status(&self, is: impl FnMut(&PrinterStatus) -> bool) -> PrinterStatus {
        soon(self.printer.status().wait_for(is)).await.unwrap().clone()
    }
}

fn register(rows: usize) -> Document {
    let mut document = Document::new("Controlled drugs register, Old Town, November 2026");
    let column = |title: &str, width, align| TableColumn { title: title.into(), width, align };
    let columns = vec![
        column("Date", Some(11), Align::Left),
        column("Supplied to or received from", None, Align::Left),
        column("Quantity", Some(8), Align::Right),
        column("Balance", Some(8), Align::Right),
    ];
    let row = |number: usize| {
        let date = format!("{:02} Nov 2026", number % 30 + 1);
        vec![
            date,
            format!("Entry {number}: person and address, prescriber"),
            "10".into(),
            format!("{}", 1_000 - number),
        ]
    };
    document.blocks = vec![
        Block::Heading { text: "Controlled drugs register".into() },
        Block::Text { text: "Morphine sulfate 10 mg tablets".into(), style: Style::default() },
        Block::Table { columns, rows: (1..=rows).map(row).collect() },
    ];
    document
}

/// Decodes a file with libcups; its pages as 8-bit grey.
fn pages_in(file: &Path) -> Vec<(serde_json::Value, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/witness/office/pwg_raster.py");
    let output = Command::new("python3").arg(script).arg(file).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let page = |(number, line): (usize, &str)| {
        let picture = fs::read(folder.path().join(format!("{}.pgm", number + 1))).unwrap();
        let head = picture.windows(4).position(|four| four == b"255\n").unwrap() + 4;
        (serde_json::from_str(line).unwrap(), picture[head..].to_vec())
    };
    text.lines().enumerate().map(page).collect()
}

#[tokio::test]
async fn what_the_printer_took_is_what_was_drawn_page_by_page() {
    let office = Office::open().await;
    let desk = office.printer().await;
    let report = desk.print(register(120)).await;
    assert_eq!((report.outcome, report.replaced), (Outcome::Printed, vec![]));
    let drawn = page::compose(&register(120), Paper::A4, 300, &Artwork::default()).unwrap().pictures;
    assert!(drawn.len() > 1);
    let files = office.taken();
    assert_eq!(files.len(), 1, "{files:?}");
    let pages = pages_in(&files[0]);
    assert_eq!(pages.len(), drawn.len());
    for ((head, grey), drawn) in pages.iter().zip(&drawn) {
        let expected = serde_json::json!({
            "dpi": 300, "copies": 1, "width": drawn.width(), "height": drawn.height(), "bits": 8,
            "row_bytes": drawn.width(), "colour_space": 18, "colours": 1, "pages": pages.len(),
            "kind": "PwgRaster", "paper": "iso_a4_210x297mm",
        });
        assert_eq!(*head, expected);
        let dots = |y: usize| (0..drawn.width()).map(move |x| if drawn.get(x, y) { 0 } else { 255 });
        assert!(
            (0..drawn.height()).flat_map(dots).eq(grey.iter().copied()),
            "the page is another than was drawn"
        );
    }
}

#[tokio::test]
async fn a_printer_out_of_paper_holds_the_job_and_its_end_is_told_later() {
    let office = Office::open().await;
    let mut desk = office.printer().await;
    office.set("state", "+media-empty");
    office.set("wait", "");
    let report = desk.print(register(3)).await;
    let held = Unknown::Held(Trouble::Page(PageTrouble::PaperOut));
    assert_eq!(report.outcome, Outcome::Unknown { reason: held });
    let status = desk.status(|status| status.notice().is_some()).await;
    // It does not say that it has stopped.
    assert_eq!(status.notice().as_deref(), Some("the office printer is low on paper: fill its tray"));
    office.set("state", "-media-empty");
    office.clear("wait");
    let late = desk.until(|event| matches!(event, PrinterEvent::FinishedLate(_))).await;
    assert_eq!(late, PrinterEvent::FinishedLate(report.process.unwrap()));
    assert_eq!(office.taken().len(), 1);
}

#[tokio::test]
async fn a_job_that_the_printer_aborts_is_not_said_to_be_printed() {
    let office = Office::open().await;
    let desk = office.printer().await;
    office.set("fail", "");
    let report = desk.print(register(3)).await;
    assert!(
        matches!(&report.outcome, Outcome::Unknown { reason: Unknown::Partly { of: 1, cause, .. } } if cause.starts_with("aborted")),
        "{report:?}"
    );
    office.clear("fail");
    assert_eq!(desk.print(register(3)).await.outcome, Outcome::Printed);
}

#[tokio::test]
async fn a_job_that_waits_behind_another_for_too_long_is_taken_back() {
    let office = Office::open().await;
    let desk = office.printer().await;
    office.set("wait", "");
    // Somebody else's job.
    let other = office.path("other.pwg");
    fs::write(&other, b"RaS2").unwrap();
    let uri = format!("ipp://localhost:{}/ipp/print", office.port);
    let test = "/usr/share/cups/ipptool/print-job.test";
    let sent = AsyncCommand::new("ipptool")
        .args(["-f", &other.display().to_string(), "-d", "filetype=image/pwg-raster", &uri, test])
        .stdout(Stdio::null())
        .status();
    assert!(soon(sent).await.unwrap().success());
    let report = desk.print(register(1)).await;
    assert!(matches!(&report.outcome, Outcome::NotPrinted { .. }), "{report:?}");
    office.clear("wait");
    assert_eq!(desk.print(register(2)).await.outcome, Outcome::Printed);
}

#[tokio::test]
async fn a_printer_that_is_switched_off_in_the_middle_leaves_an_unknown_outcome_and_comes_back() {
    let mut office = Office::open().await;
    let mut desk = office.printer().await;
    office.set("wait", "");
    let cut = async {
        while !office.path("began").exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        office.switch_off().await;
    };
    let (report, ()) = tokio::join!(desk.print(register(1)), soon(cut));
    assert!(matches!(report.outcome, Outcome::Unknown { reason: Unknown::Vanished { .. } }), "{report:?}");
    desk.until(|event| matches!(event, PrinterEvent::Device(DeviceEvent::Lost { .. }))).await;
    let away = desk.print(register(1)).await.outcome;
    assert!(matches!(away, Outcome::NotPrinted { reason: NotPrinted::Away(_) }), "{away:?}");
    office.clear("wait");
    office.switch_on();
    desk.until(|event| *event == PrinterEvent::Device(DeviceEvent::Attached)).await;
    assert_eq!(desk.print(register(1)).await.outcome, Outcome::Printed);
}

#[tokio::test]
async fn through_tls_the_printer_is_known_by_its_fingerprint_and_no_other_is_taken() {
    let office = Office::open().await;
    office.printer().await;
    let (_printer, mut events) = ipp::start(office.settings("ipps", None), Artwork::default());
    let Some(PrinterEvent::Device(DeviceEvent::Fault { reason })) = soon(events.recv()).await else {
        panic!()
    };
    assert!(reason.contains("is not configured: compare with the printer's page"), "{reason}");
    let seen: Fingerprint = reason.split('"').nth(1).unwrap().parse().unwrap();
    let (printer, events) = ipp::start(office.settings("ipps", Some(seen)), Artwork::default());
    let mut desk = Desk { printer, events };
    desk.until(|event| *event == PrinterEvent::Device(DeviceEvent::Attached)).await;
    assert_eq!(desk.print(register(1)).await.outcome, Outcome::Printed);
    let other = Fingerprint::of(b"another printer");
    let (_printer, mut events) = ipp::start(office.settings("ipps", Some(other)), Artwork::default());
    let Some(PrinterEvent::Device(DeviceEvent::Fault { reason })) = soon(events.recv()).await else {
        panic!()
    };
    assert!(reason.contains("another than the configured one"), "{reason}");
}

#[tokio::test]
async fn a_wrong_path_is_said_to_be_one() {
    let office = Office::open().await;
    office.printer().await;
    let mut settings = office.settings("ipp", None);
    settings.address = format!("ipp://localhost:{}/no-such-printer", office.port).parse().unwrap();
    let (_printer, mut events) = ipp::start(settings, Artwork::default());
    let Some(PrinterEvent::Device(DeviceEvent::Fault { reason })) = soon(events.recv()).await else {
        panic!()
    };
    assert!(reason.contains("/no-such-printer"), "{reason}");
}

/// Stands before the printer and answers the request with the pages by itself.
struct Between {
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Between {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The operation that carries the pages (RFC 8011, 4.3.1).
const SEND_DOCUMENT: u8 = 6;

/// One request or answer, head and body.
async fn message(stream: &mut TcpStream) -> Vec<u8> {
    let mut message = Vec::new();
    let mut head = None;
    loop {
        let head_length =
            head.or_else(|| message.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4));
        head = head_length;
        if let Some(length) = head {
            let text = String::from_utf8_lossy(&message[..length]).to_lowercase();
            let body = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            if body.is_some_and(|body| message.len() >= length + body) {
                return message;
            }
        }
        let mut buffer = vec![0; 16 * 1_024];
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => message.extend_from_slice(&buffer[..count]),
            _ => return message,
        }
    }
}

impl Between {
    /// The printer may get the pages (`handing_on`); it is the web server before it that refuses.
    async fn refusing_pages(printer_port: u16, handing_on: bool) -> Between {
        let listener = tokio::net::TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let request = message(&mut client).await;
                    let Some(body) = request.windows(4).position(|four| four == b"\r\n\r\n") else { return };
                    let carries_pages = request.get(body + 7) == Some(&SEND_DOCUMENT);
                    let mut answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec();
                    if handing_on || !carries_pages {
                        let mut printer = TcpStream::connect(("localhost", printer_port)).await.unwrap();
                        printer.write_all(&request).await.unwrap();
                        let answered = message(&mut printer).await;
                        answer = if carries_pages { answer } else { answered };
                    }
                    let _gone = client.write_all(&answer).await;
                });
            }
        });
        Between { port, task }
    }
}

#[tokio::test]
async fn a_refusal_behind_the_pages_says_nothing_about_the_paper_until_the_job_itself_does() {
    let office = Office::open().await;
    office.printer().await;
    office.set("wait", "");
    for (handing_on, expected) in [(true, "unknown"), (false, "not printed")] {
        let between = Between::refusing_pages(office.port, handing_on).await;
        let mut settings = office.settings("ipp", None);
        settings.timeouts.answer = Duration::from_millis(800);
        settings.address = format!("ipp://localhost:{}/ipp/print", between.port).parse().unwrap();
        let (printer, events) = ipp::start(settings, Artwork::default());
        let mut desk = Desk { printer, events };
        desk.until(|event| *event == PrinterEvent::Device(DeviceEvent::Attached)).await;
        let outcome = desk.print(register(1)).await.outcome;
        let told = match &outcome {
            Outcome::Unknown { reason: Unknown::RefusedLate(_) | Unknown::Partly { .. } } => "unknown",
            Outcome::NotPrinted { reason: NotPrinted::Refused(_) } => "not printed",
            _ => "something else",
        };
        assert_eq!(told, expected, "{outcome:?}");
        if handing_on {
            office.clear("wait");
        }
    }
}

#[tokio::test]
async fn a_held_job_whose_printer_did_not_answer_for_a_while_is_told_late_all_the_same() {
    let office = Office::open().await;
    let mut settings = office.settings("ipp", None);
    settings.timeouts.answer = Duration::from_millis(500);
    let (printer, events) = ipp::start(settings, Artwork::default());
    let mut desk = Desk { printer, events };
    desk.until(|event| *event == PrinterEvent::Device(DeviceEvent::Attached)).await;
    office.set("state", "+media-empty");
    office.set("wait", "");
    let report = desk.print(register(1)).await;
    assert!(matches!(report.outcome, Outcome::Unknown { .. }), "{report:?}");
    office.signal("STOP");
    desk.until(|event| matches!(event, PrinterEvent::Device(DeviceEvent::Lost { .. }))).await;
    office.signal("CONT");
    desk.until(|event| *event == PrinterEvent::Device(DeviceEvent::Attached)).await;
    office.clear("wait");
    let late = desk.until(|event| matches!(event, PrinterEvent::FinishedLate(_))).await;
    assert_eq!(late, PrinterEvent::FinishedLate(report.process.unwrap()));
}
