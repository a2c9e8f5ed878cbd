//! `pestle-agent devices`, as a technician runs it, with simulated devices.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

use pestle_drivers::{
    printer::status::Paper,
    scanner::learn::sheet::TestCode,
    sensor::register::Function,
    sim::{
        attached::{SimSystem, SimUsbDevice},
        fridge::{Bank, FridgeFault, SimFridges},
        printer::SimPrinter,
        scanner::SimScanner,
        zebra::SimZebra,
    },
};

use crate::program::{enrolled_box, start};

const SOON: Duration = Duration::from_secs(30);

/// A box with one device of each kind.
struct Shop {
    folder: tempfile::TempDir,
    scanner: SimScanner,
    printer: SimPrinter,
    fridges: SimFridges,
}

impl Shop {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let scanner = SimScanner::plug_in(at("scanner")).unwrap();
        let printer = SimPrinter::listen("127.0.0.1:0".parse().unwrap(), 576).unwrap();
        let fridges = SimFridges::plug_in(at("bus"), &[1]).unwrap();
        let text = format!(
            "data_dir = {:?}\n[[till]]\nid = \"till-1\"\n\
             [[scanner]]\nname = \"scanner-1\"\ntill = \"till-1\"\npath = {:?}\n\
             [[printer]]\nname = \"printer-1\"\ntill = \"till-1\"\naddress = \"tcp://{}\"\n\
             [[sensor]]\nname = \"fridge-1\"\npath = {:?}\nslave = 1\nprofile = \"xy-md02\"\n\
             [[input]]\nname = \"door-1\"\npath = {:?}\nslave = 4\nprofile = \"waveshare-io8\"\ninput = \"1\"\n",
            at("data"),
            scanner.path(),
            printer.address().unwrap(),
            fridges.path(),
            fridges.path(),
        );
        std::fs::write(at("agent.toml"), text).unwrap();
        Self { folder, scanner, printer, fridges }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("agent.toml")
    }

    async fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = devices(&self.config(), arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (output.status.code(), said(&output))
    }

    /// The outcome of a command, and words that must be in what it says.
    async fn check(&self, arguments: &[&str], code: i32, words: &[&str]) {
        let (ended, told) = self.run(arguments).await;
        assert_eq!(ended, Some(code), "{told}");
        for words in words {
            assert!(told.contains(words), "{words:?} is not in {told}");
        }
    }
}

fn devices(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pestle-agent"));
    command.arg("--config").arg(config).arg("devices").args(arguments).stdin(Stdio::null());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// A command that goes on, with what it says line by line. Killed at the latest when this is dropped.
struct Going {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Going {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, lines) = mpsc::channel();
        let sources: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for source in sources {
            let out = out.clone();
            std::thread::spawn(move || {
                BufReader::new(source).lines().map_while(Result::ok).try_for_each(|line| out.send(line))
            });
        }
        Self { child, lines }
    }

    /// Waits for a line with these words.
    async fn says(self, words: &str) -> Self {
        let words = words.to_owned();
        let waiting = tokio::task::spawn_blocking(move || {
            while let Ok(line) = self.lines.recv_timeout(SOON) {
                if line.contains(&words) {
                    return self;
                }
            }
            panic!("it never said {words:?}")
        });
        waiting.await.unwrap()
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_is_tested_with_a_page_and_told_apart_from_one_in_trouble_and_one_that_is_away() {
    let shop = Shop::open();
    shop.check(&["test", "printer-1"], 0, &["printer-1 has printed a test page, and says so itself."]).await;
    let page = shop.printer.last_receipt().unwrap();
    assert!(page.text().contains("This is a test page, no receipt."), "{}", page.text());
    assert_eq!(shop.printer.view().counts.unknown_commands, 0);

    shop.printer.set_paper(Paper::Out);
    shop.check(&["test", "printer-1"], 1, &["printer-1 is there and does not work", "paper"]).await;
    shop.printer.power_off();
    shop.check(&["test", "printer-1"], 69, &["printer-1 is not there", "refuses the connection"]).await;
    assert_eq!(shop.printer.receipts().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_is_tested_with_any_barcode() {
    let shop = Shop::open();
    let config = shop.folder.path().join("agent.toml");
    let going = Going::start(devices(&config, &["test", "scanner-1"]));
    let going = going.says("Scan any barcode now").await;
    shop.scanner.scan(b"]d20109521234543213").await.unwrap();
    going.says("scanner-1 read ]d20109521234543213, which means").await;
    shop.check(&["test", "scanner-1", "--wait", "0"], 1, &["nothing was scanned"]).await;
    shop.scanner.unplug().await;
    shop.check(&["test", "scanner-1"], 69, &["scanner-1 is not there", "plugged in"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_is_tested_with_a_reading() {
    let shop = Shop::open();
    shop.check(&["test", "fridge-1"], 0, &["fridge-1: 5.00 °C"]).await;
    shop.fridges.set_fault(1, FridgeFault::NoProbe).unwrap();
    shop.check(&["test", "fridge-1"], 1, &["does not work", "probe is missing"]).await;
    shop.fridges.set_fault(1, FridgeFault::Silent).unwrap();
    shop.check(&["test", "fridge-1"], 69, &["fridge-1 is not there", "does not answer"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_tested_with_how_it_stands() {
    let shop = Shop::open();
    shop.fridges.set_bank(4, Bank::from([((Function::DiscreteInputs, 0), 1)]));
    shop.check(&["test", "door-1"], 0, &["door-1: door is closed"]).await;
    shop.fridges.set_word(4, Function::DiscreteInputs, 0, 0).unwrap();
    shop.check(&["test", "door-1"], 0, &["door-1: door is open"]).await;
    shop.fridges.set_fault(4, FridgeFault::Silent).unwrap();
    shop.check(&["test", "door-1"], 69, &["door-1 is not there", "does not answer"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_printer_measures_its_labels_and_a_buzzer_is_sounded() {
    let shop = Shop::open();
    let labels = SimZebra::listen("127.0.0.1:0".parse().unwrap(), 203, 832).unwrap();
    let loud = SimPrinter::listen("127.0.0.1:0".parse().unwrap(), 576).unwrap();
    let text = std::fs::read_to_string(shop.config()).unwrap();
    let more = format!(
        "[[printer]]\nname = \"labels\"\ntill = \"till-1\"\nkind = \"zpl\"\naddress = \"tcp://{}\"\n\
         model = \"zebra-zd421-203\"\nlabel = {{ size = \"70x35\" }}\n\
         [[till]]\nid = \"till-2\"\n[[printer]]\nname = \"loud\"\ntill = \"till-2\"\naddress = \"tcp://{}\"\n\
         buzzer = {{ command = \"esc_b\", times = 3, duration = 4 }}\n",
        labels.address().unwrap(),
        loud.address().unwrap(),
    );
    std::fs::write(shop.config(), text + &more).unwrap();

    // 280 dots at 203 dpi are 35 mm.
    labels.set_roll(280);
    shop.check(&["measure", "labels"], 0, &["labels has measured its labels: 35.0 mm, as configured."]).await;
    labels.set_roll(560);
    let other =
        ["labels is there and does not work: it has measured labels of 70.0 mm, and 35.0 mm are configured"];
    shop.check(&["measure", "labels"], 1, &other).await;
    shop.check(&["measure", "printer-1"], 1, &["it is no label printer"]).await;

    shop.check(&["sound", "loud"], 0, &["loud was told to sound: did you hear it?"]).await;
    let sounded = tokio::time::timeout(SOON, loud.wait_until(|view| view.counts.beeps == 1)).await;
    assert!(sounded.is_ok() && loud.receipts().is_empty(), "{:?}", loud.view().counts);
    shop.check(&["sound", "printer-1"], 1, &["buzzer"]).await;
    loud.power_off();
    shop.check(&["sound", "loud"], 69, &["loud is not there"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_that_nobody_knows_is_found_named_and_used_by_what_is_written_for_it() {
    let shop = Shop::open();
    let new = SimFridges::plug_in(shop.folder.path().join("bus-2"), &[17]).unwrap();
    let line = format!("{}?baud=9600", new.path().display());
    let found = shop.run(&["search", &line, "--addresses", "16-18"]).await;
    let (code, told) = &found;
    assert_eq!(*code, Some(0), "{told}");
    assert!(
        told.contains("this takes 3 min at the most") && told.contains("address 17: this fits xy-md02"),
        "{told}"
    );
    // What it says to write is what the box then uses.
    let (_, table) = told.split_once("[[sensor]]").expect(told);
    let table = format!("[[sensor]]{}", table.split("pestle-agent: ").next().unwrap());
    let text = std::fs::read_to_string(shop.config()).unwrap();
    std::fs::write(shop.config(), format!("{text}\n{table}")).unwrap();
    shop.check(&["test", "sensor-17"], 0, &["sensor-17: 5.00 °C"]).await;

    // By the name of a sensor, at each speed: a pseudo-terminal has none.
    let (code, told) = shop.run(&["search", "fridge-1", "--addresses", "1"]).await;
    assert_eq!((code, told.matches("slave = 1\n").count()), (Some(0), 4), "{told}");
    assert!(
        told.contains("profile = # compare with a thermometer, then write \"md02\", or \"xy-md02\""),
        "{told}"
    );

    shop.check(
        &["search", &line, "--addresses", "3"],
        69,
        &["is not there: nobody answers: check the devices' power"],
    )
    .await;
    shop.check(
        &["search", "fridge-9"],
        64,
        &["no sensor of the configuration is named \"fridge-9\"", "write"],
    )
    .await;
    shop.check(&["search", &line, "--addresses", "0-9"], 2, &["devices have 1 to 247"]).await;
    let missing = shop.folder.path().join("bus-3");
    shop.check(&["search", missing.to_str().unwrap()], 69, &["does not exist"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_sends_is_shown_until_it_goes() {
    let shop = Shop::open();
    let config = shop.folder.path().join("agent.toml");
    let going = Going::start(devices(&config, &["watch", "scanner-1"])).says("is open at").await;
    shop.scanner.scan(b"]d201\x1d21S1").await.unwrap();
    let going = going.says("]d201<GS>21S1<CR>").await;
    shop.scanner.unplug().await;
    let mut going = going.says("scanner-1 is not there").await;
    let ended = tokio::task::spawn_blocking(move || going.child.wait().unwrap().code()).await.unwrap();
    assert_eq!(ended, Some(69));
    Going::start(devices(&config, &["watch", "fridge-1"])).says("fridge-1: 5.00 °C").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name_is_answered_with_those_that_there_are() {
    let shop = Shop::open();
    shop.check(
        &["test", "scanner-9"],
        64,
        &["no device is named \"scanner-9\"", "scanner-1, printer-1, fridge-1, door-1"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_attached_is_listed_and_followed_with_and_without_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let sim = SimSystem::new(folder.path()).unwrap();
    sim.plug_in("1-2", &SimUsbDevice::scanner("S21357")).unwrap();
    let config = folder.path().join("agent.toml");
    let text = "[[till]]\nid = \"till-1\"\n[[scanner]]\nname = \"scanner-1\"\ntill = \"till-1\"\npath = \"usb:05e0:1701:S21357\"\n";
    std::fs::write(&config, text).unwrap();
    let system = sim.system();
    let places = ["--sys", system.sys.to_str().unwrap(), "--dev", system.dev.to_str().unwrap()];
    let run = |config: &Path, arguments: &[&str]| {
        let output = devices(config, &[arguments, &places].concat()).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        output
    };
    let json: serde_json::Value = serde_json::from_slice(&run(&config, &["list", "--json"]).stdout).unwrap();
    assert_eq!(json["attached"][0]["bound_to"], serde_json::json!(["scanner-1"]));
    assert_eq!(json["configured"][0]["state"], "attached");

    let going = Going::start(devices(&config, &[&["watch"][..], &places].concat()));
    let going = going.says("+ usb:05e0:1701:S21357  Symbol").await;
    sim.unplug("1-2").unwrap();
    let going = going.says("- usb:05e0:1701:S21357").await;
    sim.plug_in("1-3", &SimUsbDevice::clone_adapter()).unwrap();
    drop(going.says("+ usb-port:1-3  USB Serial (USB serial adapter (CH340), at USB port 1-3)").await);

    std::fs::write(&config, "").unwrap();
    let told = said(&run(&config, &["list"]));
    assert!(told.contains("usb-port:1-3") && told.contains("there is no configuration yet"), "{told}");
}

#[test]
fn a_device_that_the_running_agent_has_is_not_taken_from_it() {
    let folder = enrolled_box();
    let config = folder.path().join("agent.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text
        + "[[printer]]\nname = \"printer-1\"\ntill = \"till-1\"\naddress = \"tcp://127.0.0.1:9\"\n\
                [[sensor]]\nname = \"fridge-1\"\nprofile = \"xy-md02\"\nslave = 1\naddress = \"tcp://127.0.0.1:10\"\n";
    std::fs::write(&config, text).unwrap();
    let (running, web) = start(folder.path());
    let taken = [
        ["watch", "printer-1"],
        ["test", "printer-1"],
        ["search", "fridge-1"],
        ["search", "tcp://127.0.0.1:10"],
    ];
    for arguments in taken {
        let output = devices(&config, &arguments).output().unwrap();
        let told = said(&output);
        assert_eq!(output.status.code(), Some(75), "{told}");
        assert!(told.contains("the agent is running") && told.contains(&web), "{told}");
    }
    let mut list = devices(&config, &["list"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    list.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(list.wait().unwrap().success());
    assert!(told.contains("printer printer-1 (127.0.0.1:9): on the network"), "{told}");
    drop(running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_learns_from_the_sheet_that_a_printer_of_the_box_prints_and_is_believed_from_then_on() {
    let shop = Shop::open();
    shop.check(&["sheet", "--printer", "printer-1"], 0, &["printer-1 has printed the page"]).await;
    let png = shop.folder.path().join("sheet.png");
    shop.check(&["sheet", "--png", png.to_str().unwrap()], 0, &["the page is in"]).await;
    assert!(std::fs::read(&png).unwrap().starts_with(b"\x89PNG"));
    shop.check(&["sheet", "--maker", "nobody", "--png", "x"], 64, &["nobody"]).await;
    let instead = ["no code of Newland", "program NAME --maker newland --purpose suffix_cr"];
    shop.check(&["sheet", "--maker", "newland", "--png", "x"], 64, &instead).await;

    let mut going = Going::start(devices(&shop.config(), &["learn", "scanner-1"]));
    for code in TestCode::ALL {
        going = going.says(&format!("Scan code {code}.")).await;
        shop.scanner.scan(code.data().as_bytes()).await.unwrap();
    }
    let proved = "scanner-1 is proved: lot and serial number are taken from it. It is bound by a path";
    going.says(proved).await;

    let test =
        Going::start(devices(&shop.config(), &["test", "scanner-1"])).says("Scan any barcode now").await;
    shop.scanner.scan(b"0109521234543213").await.unwrap();
    let mut told = String::new();
    while let Ok(line) = test.lines.recv_timeout(SOON) {
        told.push_str(&line);
    }
    assert!(told.contains("scanner-1 read") && !told.contains("not proved"), "{told}");

    // Another scanner in its place.
    let forgotten = ["scanner-1 is whatever stands at", "what was known of the one before is forgotten"];
    shop.check(&["rebind", "scanner-1"], 0, &forgotten).await;
    shop.check(&["rebind", "scanner-1"], 0, &["nothing was known of one before"]).await;
    shop.check(&["rebind", "nobody"], 64, &["no device is named"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_swallows_separators_is_told_with_commands_that_mend_it_and_set_up_by_one_of_them() {
    let shop = Shop::open();
    let mut going = Going::start(devices(&shop.config(), &["learn", "scanner-1"]));
    for code in TestCode::ALL {
        going = going.says(&format!("Scan code {code}.")).await;
        shop.scanner.scan(code.parts().concat().as_bytes()).await.unwrap();
    }
    let mends = "`pestle-agent devices program scanner-1 --maker honeywell --purpose factory_default`";
    drop(going.says(mends).await);

    let command = ["program", "scanner-1", "--maker", "honeywell", "--purpose", "factory_default"];
    let sent = b"\x16M\rDEFALT.";
    let taken = async { shop.scanner.is_told(sent.len(), b"DEFALT\x06.").await.unwrap() };
    let words = ["the scanner has taken it, and keeps it", "Let it learn now"];
    let (told, ()) = tokio::join!(taken, shop.check(&command, 0, &words));
    assert_eq!(told, sent);
    let unknown = async { shop.scanner.is_told(sent.len(), b"DEFALT\x05.").await.unwrap() };
    tokio::join!(unknown, shop.check(&command, 1, &["scanner-1", "does not know it (ENQ)"]));
    shop.check(&command, 1, &["the scanner said nothing"]).await;

    let of = |maker: &'static str, purpose: &'static str| {
        ["program", "scanner-1", "--maker", maker, "--purpose", purpose]
    };
    shop.check(&of("zebra", "suffix_cr"), 64, &["no command of Zebra"]).await;
    shop.check(&of("nobody", "suffix_cr"), 64, &["no codes are known of \"nobody\""]).await;
    shop.check(&of("honeywell", "beep"), 2, &["no code does \"beep\""]).await;
    let printer = ["program", "printer-1", "--maker", "honeywell", "--purpose", "suffix_cr"];
    shop.check(&printer, 1, &["it is no scanner"]).await;
    shop.scanner.unplug().await;
    shop.check(&command, 69, &["scanner-1 is not there"]).await;
}
