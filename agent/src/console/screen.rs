//! The console's picture, as lines of text. Pure.

use std::net::IpAddr;

use serde::Deserialize;

use super::page::{Gives, Page};

/// An address of the box.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The network card.
    pub card: String,
    /// The address.
    pub ip: IpAddr,
}

/// What is known of the box.
#[derive(Debug, Clone)]
pub struct Told {
    /// How it is.
    pub state: State,
    /// The pages' port, if the configuration can be read.
    pub port: Option<u16>,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// What came of a technician's stick.
    pub setup: Option<String>,
    /// What of the appliance's system failed.
    pub troubles: Vec<String>,
    /// Of the agent.
    pub version: &'static str,
}

/// How the box is.
#[derive(Debug, Clone)]
pub enum State {
    /// The agent answers.
    Running(Box<Health>),
    /// It does not: why, in a sentence. It may just be starting.
    Silent(String),
    /// Nobody has enrolled it: what to do.
    NoIdentity(String),
    /// Its configuration is wrong: where, and what to write.
    BadConfiguration(String),
    /// The box's own start failed before any agent: what it said.
    CannotStart(String),
}

/// Of what `/health` says, what is shown here.
#[derive(Debug, Clone, Deserialize)]
pub struct Health {
    status: String,
    tenant: String,
    branch: String,
    device: String,
    reasons: Vec<String>,
    link: Link,
    devices: Vec<Device>,
}

#[derive(Debug, Clone, Deserialize)]
struct Link {
    state: String,
    waiting: u64,
    detail: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Device {
    name: String,
    class: String,
    state: String,
    detail: Option<String>,
}

/// Draws it for a screen of `width` columns and `height` lines. What has no room is counted: devices first, then reasons; they stand on
/// the pages, too. What came of a stick stands here alone where the stick could not be written, so that stays.
pub fn draw(told: &Told, width: usize, height: usize) -> String {
    let mut page = Page::new(width);
    match &told.state {
        State::Running(health) => running(&mut page, health, told),
        State::Silent(why) => {
            page.title("Pestle", told.version);
            let then = format!("If it stays so, switch the box off and on, and call support ({why}).");
            let rows = ["The agent does not answer. It may be starting: wait half a minute.", &then];
            page.part("Box", Gives::Nothing, rows);
            outside(&mut page, told, None);
        }
        State::NoIdentity(what) => {
            page.title("Pestle", told.version);
            page.part("Box", Gives::Nothing, [what]);
            outside(&mut page, told, None);
        }
        State::BadConfiguration(what) => {
            page.title("Pestle", told.version);
            let rows = ["The configuration is wrong; nothing is sold before it is right.", what];
            page.part("Box", Gives::Nothing, rows);
            outside(&mut page, told, None);
        }
        State::CannotStart(what) => {
            page.title("Pestle", told.version);
            page.part("Box", Gives::Nothing, what.lines());
            system(&mut page, told);
        }
    }
    page.fit(height)
}

fn running(page: &mut Page, health: &Health, told: &Told) {
    page.title(
        &format!("Pestle  {} · branch {} of {}", health.device, health.branch, health.tenant),
        told.version,
    );
    let state = match health.status.as_str() {
        "ok" => "sells",
        "degraded" => "sells, and a person should look",
        _ => "NOTHING CAN BE RECORDED",
    };
    page.part("Box", Gives::Nothing, [state]);
    page.part("", Gives::Last("reasons"), &health.reasons);
    outside(page, told, Some(&health.device));
    let link = match (health.link.state.as_str(), health.link.waiting) {
        ("live", 0) => "connected, and has everything".to_owned(),
        ("offline", waiting) => format!("away; {waiting} facts wait here, and the branch works on"),
        (_, waiting) => format!("connected; {waiting} facts are on their way"),
    };
    page.part("Centre", Gives::Nothing, std::iter::once(&link).chain(&health.link.detail));
    let devices = health.devices.iter().map(|device| {
        let how = match (device.state.as_str(), &device.detail) {
            ("ok", None) => "ok".to_owned(),
            ("ok", Some(detail)) => format!("ok; {detail}"),
            (state, detail) => {
                format!("{}: {}", state.to_uppercase(), detail.as_deref().unwrap_or("look at it"))
            }
        };
        format!("{} ({}): {how}", device.name, device.class)
    });
    page.part("Devices", Gives::Last("devices"), devices);
}

/// What came of a stick, what of the system failed, and where the box can be reached.
fn outside(page: &mut Page, told: &Told, device: Option<&str>) {
    let setup = told.setup.iter().flat_map(|text| text.lines());
    page.part("Set-up", Gives::First, setup);
    // An agent that runs says them itself, among its reasons.
    if device.is_none() {
        system(page, told);
    }
    let port = match told.port {
        None | Some(443) => String::new(),
        Some(port) => format!(":{port}"),
    };
    page.part("Pages", Gives::Nothing, device.map(|device| format!("https://{device}.local{port}")));
    let addresses = told.addresses.iter().map(|Address { card, ip }| format!("{ip} ({card})"));
    page.part("Network", Gives::Nothing, addresses);
    if told.addresses.is_empty() {
        page.part("Network", Gives::Nothing, ["no address: check the network cable and the branch's router"]);
    }
}

fn system(page: &mut Page, told: &Told) {
    page.part("System", Gives::Nothing, &told.troubles);
}

/// Whether two pictures differ in nothing but numbers: how many facts wait changes with every reading of a fridge.
pub fn is_worded_alike(one: &str, other: &str) -> bool {
    let words = |text: &str| -> String { text.chars().filter(|char| !char.is_ascii_digit()).collect() };
    words(one) == words(other)
}

#[cfg(test)]
mod tests {
    use pestle_drivers::printer::codepage::CodePage;

    use super::*;

    fn health(status: &str, devices: usize) -> Health {
        let device = |number| Device {
            name: format!("printer-{number}"),
            class: "printer".into(),
            state: "trouble".into(),
            detail: Some("the printer is out of paper: put in a new roll".into()),
        };
        Health {
            status: status.into(),
            tenant: "acme".into(),
            branch: "north".into(),
            device: "box-1".into(),
            reasons: vec![],
            link: Link { state: "offline".into(), waiting: 12, detail: None },
            devices: (1..=devices).map(device).collect(),
        }
    }

    fn drawn(state: State, port: Option<u16>, addresses: &[&str], height: usize) -> String {
        let address = |ip: &&str| Address { card: "eth0".into(), ip: ip.parse().unwrap() };
        let addresses = addresses.iter().map(address).collect();
        draw(
            &Told { state, port, addresses, setup: None, troubles: Vec::new(), version: "1.2.3" },
            60,
            height,
        )
    }

    #[test]
    fn a_box_whose_agent_does_not_run_says_what_of_its_system_failed() {
        let shown = |state| {
            let troubles = vec!["The firewall did not start.".into(), "The clock is not set.".into()];
            draw(&Told { state, port: None, addresses: vec![], setup: None, troubles, version: "1" }, 60, 24)
        };
        let text = shown(State::NoIdentity("this box is not enrolled".into()));
        assert!(
            text.contains(
                "\nSystem    The firewall did not start.\n          The clock is not set.\nNetwork"
            ),
            "{text}"
        );
        let running = shown(State::Running(Box::new(health("degraded", 0))));
        assert!(!running.contains("System"), "its reasons say it, and nothing says it twice: {running}");
    }

    #[test]
    fn a_count_that_grows_changes_no_word_and_a_trouble_does() {
        let shown = |waiting, devices| {
            let mut health = health("ok", devices);
            health.link.waiting = waiting;
            drawn(State::Running(Box::new(health)), Some(443), &["192.0.2.7"], 24)
        };
        assert_ne!(shown(9, 1), shown(10, 1));
        assert!(is_worded_alike(&shown(9, 1), &shown(10, 1)));
        assert!(!is_worded_alike(&shown(9, 1), &shown(9, 0)));
        let silent = drawn(State::Silent("it does not answer".into()), Some(443), &["192.0.2.7"], 24);
        assert!(!is_worded_alike(&shown(9, 1), &silent));
    }

    #[test]
    fn a_box_that_sells_shows_its_name_its_addresses_and_what_needs_a_person() {
        let text = drawn(State::Running(Box::new(health("ok", 1))), Some(443), &["192.0.2.7"], 24);
        let expected = "\
Pestle  box-1 · branch north of acme                  1.2.3
────────────────────────────────────────────────────────────
Box       sells
Pages     https://box-1.local
Network   192.0.2.7 (eth0)
Centre    away; 12 facts wait here, and the branch works on
Devices   printer-1 (printer): TROUBLE: the printer is out
          of paper: put in a new roll";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_box_that_does_not_sell_says_why_and_what_to_do() {
        let text = drawn(State::NoIdentity("this box is not enrolled".into()), Some(8443), &[], 24);
        assert!(text.contains("this box is not enrolled"), "{text}");
        assert!(text.contains("no address: check the network cable"), "{text}");
        let wrong = State::BadConfiguration("/etc/pestle/agent.toml: no till is configured".into());
        let text = drawn(wrong, None, &["192.0.2.7"], 24);
        assert!(
            text.contains("The configuration is wrong") && text.contains("no till is configured"),
            "{text}"
        );
        let text = drawn(State::CannotStart("No disk.\nPlug it in.\n".into()), None, &[], 24);
        assert!(text.ends_with("Box       No disk.\n          Plug it in."), "{text}");
        let text = drawn(State::Silent("refused".into()), Some(443), &["192.0.2.7"], 24);
        assert!(text.contains("It may be starting"), "{text}");
        let failing = drawn(State::Running(Box::new(health("failing", 0))), Some(8443), &[], 24);
        assert!(
            failing.contains("NOTHING CAN BE RECORDED") && failing.contains("box-1.local:8443"),
            "{failing}"
        );
    }

    #[test]
    fn what_came_of_a_stick_is_shown_also_where_there_is_no_room_for_all_devices_and_reasons() {
        let setup =
            "agent.toml was taken.\nThe stick is full or write-protected.\nThe stick can be pulled.\n";
        let shown = |state| {
            let address = |ip: &str| Address { card: "eth0".into(), ip: ip.parse().unwrap() };
            let addresses = vec![address("192.0.2.7"), address("2001:db8::7")];
            let told = Told {
                state,
                port: Some(443),
                addresses,
                setup: Some(setup.into()),
                troubles: vec![],
                version: "1.2.3",
            };
            // What a serial console has.
            draw(&told, 80, 24)
        };
        let expected = "\nSet-up    agent.toml was taken.\n          The stick is full or write-protected.\n          The stick can be pulled.\n";
        assert!(shown(State::NoIdentity("this box is not enrolled".into())).contains(expected));
        // Three tills with a scanner, a receipt and a label printer each, and six more.
        let mut health = health("degraded", 15);
        let text = shown(State::Running(Box::new(health.clone())));
        // A device takes two lines: the last one stays free.
        assert_eq!(text.lines().count(), 23, "{text}");
        assert!(text.contains(expected) && text.contains("2001:db8::7"), "{text}");
        assert!(text.contains("\nDevices   printer-1 (printer)"), "{text}");
        assert!(text.ends_with("          and 9 more devices: see the box's pages"), "{text}");
        health.reasons = (1..40).map(|number| format!("Reason {number}")).collect();
        let text = shown(State::Running(Box::new(health)));
        assert_eq!(text.lines().count(), 24, "{text}");
        assert!(text.contains(expected) && text.contains("more reasons"), "{text}");
        assert!(text.ends_with("Devices   15 devices: see the box's pages"), "{text}");
    }

    #[test]
    fn every_character_of_a_screen_is_in_the_font_of_the_kernel_s_console() {
        let mut health = health("degraded", 30);
        health.branch = "Łódź–Północ".into();
        health.reasons = vec!["Ştefan’s “disk” is slow…".into()];
        health.link.detail = Some("Ångström ≠ 薬局".into());
        let running = drawn(State::Running(Box::new(health)), Some(443), &["192.0.2.7"], 24);
        assert!(
            running.contains("Lódz-Pólnoc") && running.contains("Stefan's \"disk\" is slow."),
            "{running}"
        );
        let wrong = State::BadConfiguration("agent.toml: \u{1b}[2Jtill „Żabka“\tis no till".into());
        let wrong = drawn(wrong, None, &[], 24);
        for character in running.chars().chain(wrong.chars()).filter(|character| *character != '\n') {
            assert!(CodePage::Pc437.encode(character).is_some(), "{character:?} is an empty box");
        }
    }

    #[test]
    fn no_line_is_wider_than_the_screen_and_what_does_not_fit_is_counted() {
        let text = drawn(State::Running(Box::new(health("ok", 30))), Some(443), &["192.0.2.7"], 20);
        // A device takes two lines: the last one stays free.
        assert_eq!(text.lines().count(), 19);
        assert!(text.ends_with("more devices: see the box's pages"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        let long = State::Silent("x".repeat(300));
        assert!(drawn(long, None, &[], 24).lines().all(|line| line.chars().count() <= 60));
    }
}
