//! The program itself, started as a service manager or a technician starts it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use pestle_domain::{
    enrolment::Identity,
    signature::{SigningKey, VerifyingKey},
};
use pestle_drivers::printer::bitmap::Bitmap;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData as _};

/// A box that is enrolled at a centre that does not answer, with its configuration.
pub(crate) fn enrolled_box() -> tempfile::TempDir {
    enrolled_box_and_centre().0
}

/// The same, and the key with which its centre signs.
pub(crate) fn enrolled_box_and_centre() -> (tempfile::TempDir, SigningKey) {
    let folder = tempfile::tempdir().unwrap();
    let identity = folder.path().join("identity");
    std::fs::create_dir(&identity).unwrap();
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, &authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate = |name: &str| {
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap().pem()
    };
    let who = Identity {
        tenant: "acme".parse().unwrap(),
        branch: "north".parse().unwrap(),
        device: "box-1".parse().unwrap(),
        term: 1,
        https: "https://127.0.0.1:1".into(),
        mqtt: "127.0.0.1:1".into(),
        centre_keys: vec![VerifyingKey::from_point(authority_key.der_bytes()).unwrap()],
        first_epoch: 1,
        earlier: vec![],
    };
    for (name, text) in [
        ("device.key.pem", key.serialize_pem()),
        ("device.cert.pem", certificate("box-1")),
        ("web.cert.pem", certificate("localhost")),
        ("ca.pem", ca.pem()),
        ("identity.json", serde_json::to_string(&who).unwrap()),
    ] {
        std::fs::write(identity.join(name), text).unwrap();
    }
    configure(folder.path());
    (folder, SigningKey::from_pkcs8(authority_key.serialized_der()).unwrap())
}

fn configure(folder: &Path) {
    let text = format!("data_dir = {folder:?}\n[web]\nlisten = \"127.0.0.1:0\"\n[[till]]\nid = \"till-1\"\n");
    std::fs::write(folder.join("agent.toml"), text).unwrap();
}

fn agent(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pestle-agent"));
    command.arg("--config").arg(folder.join("agent.toml")).args(arguments);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// A running agent, killed at the latest when this is dropped.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended in order.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SOON: Duration = Duration::from_secs(20);

fn until<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = f() {
            return found;
        }
        assert!(begun.elapsed() < SOON, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// Starts it, and waits until it says where its pages are.
pub(crate) fn start(folder: &Path) -> (Running, String) {
    let running = Running(agent(folder, &["run"]).stderr(Stdio::null()).spawn().unwrap());
    let id = u64::from(running.0.id());
    let file = folder.join("run/addresses.json");
    let web = until("the start", || {
        let text = std::fs::read(&file).ok()?;
        let addresses: serde_json::Value = serde_json::from_slice(&text).ok()?;
        (addresses["pid"] == id).then(|| addresses["web"].as_str().unwrap().to_owned())
    });
    (running, web)
}

pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn terminate(running: &mut Running) -> Option<i32> {
    let id = rustix::process::Pid::from_child(&running.0);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    until("the end", || running.0.try_wait().unwrap()).code()
}

#[test]
fn a_box_without_its_centre_starts_says_how_it_is_and_ends_in_order() {
    let folder = enrolled_box();
    let (mut running, web) = start(folder.path());
    let health = get(&web, "/health");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    for expected in
        [r#""device":"box-1""#, r#""state":"offline""#, r#""lane":"ledger","epoch":1"#, r#""version":0"#]
    {
        assert!(health.contains(expected), "{expected} is not in {health}");
    }
    let metrics = get(&web, "/metrics");
    assert!(metrics.contains(r#"pestle_agent_journal_waiting{lane="ledger"}"#), "{metrics}");
    assert!(get(&web, "/till/till-1").starts_with("HTTP/1.1 200"));

    let second = agent(folder.path(), &["run"]).output().unwrap();
    let told = said(&second);
    assert!(told.contains(&format!("in use by process {}", running.0.id())), "{told}");
    assert_eq!(terminate(&mut running), Some(0));

    let shown = said(&agent(folder.path(), &["journal", "show"]).output().unwrap());
    let kinds: Vec<_> =
        shown.lines().filter_map(|line| line.split(r#""kind":""#).nth(1)?.split('"').next()).collect();
    assert_eq!(kinds[..2], ["epoch.opened", "box.started"], "{shown}");
}

#[test]
fn a_box_whose_plug_was_pulled_starts_again_and_goes_on_with_the_chain() {
    let folder = enrolled_box();
    for _ in 0..3 {
        let (mut running, _) = start(folder.path());
        running.0.kill().unwrap();
        running.0.wait().unwrap();
    }
    let shown = said(&agent(folder.path(), &["journal", "show"]).output().unwrap());
    assert_eq!(shown.matches("box.started").count(), 3, "{shown}");
    assert_eq!(shown.matches("epoch.opened").count(), 1, "{shown}");
    assert!(shown.starts_with("1/1\t"), "{shown}");
}

#[test]
fn a_wrong_configuration_ends_with_64_and_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("agent.toml"), "[web]\nlisen = \"x\"\n").unwrap();
    let output = agent(folder.path(), &["config", "check"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let told = said(&output);
    assert!(told.contains("agent.toml") && told.contains("the nearest name is \"listen\""), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    configure(folder.path());
    assert!(agent(folder.path(), &["config", "check"]).output().unwrap().status.success());
}

#[test]
fn a_configuration_that_would_hide_an_appliance_s_pages_or_lose_its_data_is_refused_for_an_appliance_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    let check = |head: &str, arguments: &[&str]| {
        std::fs::write(&file, format!("{head}\n[[till]]\nid = \"till-1\"\n")).unwrap();
        let output = agent(folder.path(), &[&["config", "check"], arguments].concat()).output().unwrap();
        (output.status.code(), said(&output))
    };
    let on_an_appliance = ["--appliance"];
    for (head, words) in [
        ("", &["web.listen is \"127.0.0.1:8080\""][..]),
        ("[web]\nlisten = \"[::1]:443\"", &["web.listen"]),
        ("[web]\nlisten = \"[::ffff:127.0.0.1]:443\"", &["web.listen"]),
        ("[web]\nlisten = \"0.0.0.0:8443\"", &["write [web] with listen = \"0.0.0.0:443\""]),
        ("data_dir = \"/srv\"\n[web]\nlisten = \"0.0.0.0:443\"", &["data_dir is \"/srv\""]),
        ("data_dir = \"/srv\"", &["web.listen", "data_dir"]),
    ] {
        let (code, told) = check(head, &on_an_appliance);
        assert_eq!((code, told.lines().count()), (Some(64), words.len()), "{head}: {told}");
        assert!(told.lines().zip(words).all(|(line, words)| line.contains(words)), "{head}: {told}");
        assert!(told.lines().all(|line| line.contains("agent.toml: ")), "{head}: {told}");
        assert_eq!(check(head, &[]).0, Some(0), "{head}: elsewhere it is good");
    }
    // The first serial port is the console's, however it is called.
    for address in ["tty:ttyS0", "/dev/ttyS0"] {
        let good = "[web]\nlisten = \"0.0.0.0:443\"";
        let scanner = format!("[[scanner]]\nname = \"scanner-1\"\ntill = \"till-1\"\npath = \"{address}\"");
        let (code, told) = check(&format!("{good}\n{scanner}"), &on_an_appliance);
        assert_eq!(code, Some(64), "{told}");
        assert!(told.contains("scanner-1 is at ttyS0") && told.contains("its next one"), "{told}");
        assert_eq!(check(&format!("{good}\n{scanner}"), &[]).0, Some(0), "elsewhere it is good");
    }
    for head in [
        "[web]\nlisten = \"0.0.0.0:443\"",
        "[web]\nlisten = \"[::]:443\"",
        "data_dir = \"/var/lib/pestle/\"\n[web]\nlisten = \"192.0.2.7:443\"",
    ] {
        let (code, told) = check(head, &on_an_appliance);
        assert_eq!(code, Some(0), "{head}: {told}");
        assert!(told.starts_with("The configuration is good"), "{told}");
    }
}

#[test]
fn a_good_configuration_is_good_and_what_needs_care_is_named_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path());
    let file = folder.path().join("agent.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let head = format!("pictures = {:?}\nlogo = \"branch.png\"\n", folder.path());
    std::fs::write(&file, format!("{head}{text}")).unwrap();
    let told = || {
        let output = agent(folder.path(), &["config", "check"]).output().unwrap();
        assert!(output.status.success());
        said(&output)
    };
    let missing = told();
    assert!(missing.starts_with("The configuration is good"), "{missing}");
    assert!(missing.contains("branch.png cannot be opened: put the picture there as PNG"), "{missing}");
    assert_eq!(missing.lines().count(), 2, "{missing}");
    std::fs::write(folder.path().join("branch.png"), Bitmap::new(64, 16).png(8).unwrap()).unwrap();
    assert_eq!(told().lines().count(), 1);
}

#[test]
fn a_device_that_is_bound_by_a_device_file_is_named_and_not_refused() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path());
    let file = folder.path().join("agent.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let devices = r#"
        [[scanner]]
        name = "front"
        till = "till-1"
        path = "/dev/serial/by-id/usb-Maker_Scanner-if00"
        [[scanner]]
        name = "back"
        till = "till-1"
        address = "keyboard:usb:05e0:1200:S21357"
        [[printer]]
        name = "receipts"
        till = "till-1"
        address = "usblp:/dev/usb/lp0"
        [[printer]]
        name = "labels"
        till = "till-1"
        kind = "zpl"
        address = "tcp://192.0.2.8:9100"
        model = "zebra-zd421-203"
        label = { size = "70x35" }
        [[sensor]]
        name = "air"
        path = "usb-port:1-4.2"
        slave = 1
        profile = "xy-md02"
    "#;
    std::fs::write(&file, format!("{text}{devices}")).unwrap();
    let output = agent(folder.path(), &["config", "check"]).output().unwrap();
    assert!(output.status.success());
    let told = said(&output);
    let named: Vec<&str> = told.lines().skip(1).collect();
    assert_eq!(named.len(), 2, "{told}");
    for (line, words) in named
        .iter()
        .zip(["front is bound by the device file /dev/serial/by-id/usb-Maker", "receipts is bound by"])
    {
        assert!(line.starts_with(words) && line.contains("\"pestle-agent devices list\""), "{line}");
    }
}

#[test]
fn a_log_filter_that_cannot_be_read_ends_with_64_and_one_sentence_whatever_is_run() {
    let folder = enrolled_box();
    for arguments in [&["config", "check"][..], &["run"][..]] {
        let output =
            agent(folder.path(), arguments).env("PESTLE_AGENT_LOG__FILTER", "pestle=loud").output().unwrap();
        let told = said(&output);
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert!(told.contains("log.filter") && told.lines().count() == 1, "{told}");
    }
}

#[test]
fn a_damage_is_told_by_every_command_and_is_a_fact_of_the_next_start_even_if_a_command_came_first() {
    let folder = enrolled_box();
    let (mut running, _) = start(folder.path());
    assert_eq!(terminate(&mut running), Some(0));
    let log = folder.path().join("journal/ledger/epoch-00001/generation-0000000000000001/store/db");
    std::fs::write(&log, b"").unwrap();

    let ledger = || {
        let mut names: Vec<_> = std::fs::read_dir(folder.path().join("journal/ledger"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = ledger();
    let shown = agent(folder.path(), &["journal", "show"]).output().unwrap();
    assert!(shown.status.success());
    assert!(said(&shown).contains("were lost with the disk"), "{}", said(&shown));
    assert_eq!(ledger(), before, "looking repairs nothing");

    // A command that writes opens the journal first, and fails before anything else.
    let stock = folder.path().join("stock.csv");
    std::fs::write(&stock, "gtin,lot,expiry,quantity\n").unwrap();
    let booked = agent(folder.path(), &["stock-open", stock.to_str().unwrap()]).output().unwrap();
    assert!(!booked.status.success());
    assert!(said(&booked).contains("were lost with the disk"), "{}", said(&booked));

    let (mut running, _) = start(folder.path());
    assert_eq!(terminate(&mut running), Some(0));
    let shown = said(&agent(folder.path(), &["journal", "show"]).output().unwrap());
    let started = shown.lines().find(|line| line.contains("box.started")).unwrap();
    assert!(started.contains("were lost with the disk"), "{shown}");
    let (mut running, _) = start(folder.path());
    assert_eq!(terminate(&mut running), Some(0));
    let shown = said(&agent(folder.path(), &["journal", "show"]).output().unwrap());
    assert_eq!(shown.matches("were lost with the disk").count(), 1, "told once: {shown}");
}

#[test]
fn a_box_that_is_not_enrolled_says_what_to_run_and_ends_with_78() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path());
    let output = agent(folder.path(), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(said(&output).contains("pestle-provision enrol"), "{}", said(&output));
}

#[test]
fn a_port_that_is_taken_is_told_with_what_to_do() {
    let folder = enrolled_box();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = agent(folder.path(), &["run"])
        .env("PESTLE_AGENT_WEB__LISTEN", taken.local_addr().unwrap().to_string())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("another program listens there"), "{}", said(&output));
}

#[test]
fn decode_answers_each_line_at_once() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pestle-agent"))
        .arg("decode")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    for _ in 0..3 {
        input.write_all(b"]d20109520123456788\r\n").unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        assert!(line.contains(r#""ok":true"#), "{line}");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}
