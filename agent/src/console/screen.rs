//! The console's picture, as lines of text. Pure.

use std::{fmt::Write as _, net::IpAddr};

use serde::Deserialize;

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

/// The width of the words on the left.
const LABEL: usize = 10;

/// Draws it for a screen of `width` columns and `height` lines; what does not fit is counted on the last line.
pub fn draw(told: &Told, width: usize, height: usize) -> String {
    let mut page = Page { lines: Vec::new(), width: width.max(LABEL + 20) };
    match &told.state {
        State::Running(health) => running(&mut page, health, told),
        State::Silent(why) => {
            page.title("Pestle", told.version);
            page.row("Box", "The agent does not answer. It may be starting: wait half a minute.");
            page.row("", &format!("If it stays so, switch the box off and on, and call support ({why})."));
            network(&mut page, told, None);
        }
        State::NoIdentity(what) => {
            page.title("Pestle", told.version);
            page.row("Box", what);
            network(&mut page, told, None);
        }
        State::BadConfiguration(what) => {
            page.title("Pestle", told.version);
            page.row("Box", "The configuration is wrong; nothing is sold before it is right.");
            page.row("", what);
            network(&mut page, told, None);
        }
        State::CannotStart(what) => {
            page.title("Pestle", told.version);
            page.rows("Box", what);
        }
    }
    // An agent that runs says them itself, among its reasons.
    if !matches!(told.state, State::Running(_)) {
        let mut label = "System";
        for trouble in &told.troubles {
            page.row(label, trouble);
            label = "";
        }
    }
    if let Some(setup) = &told.setup {
        page.rows("Set-up", setup);
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
    page.row("Box", state);
    for reason in &health.reasons {
        page.row("", reason);
    }
    network(page, told, Some(&health.device));
    let link = match (health.link.state.as_str(), health.link.waiting) {
        ("live", 0) => "connected, and has everything".to_owned(),
        ("offline", waiting) => format!("away; {waiting} facts wait here, and the branch works on"),
        (_, waiting) => format!("connected; {waiting} facts are on their way"),
    };
    page.row("Centre", &link);
    if let Some(detail) = &health.link.detail {
        page.row("", detail);
    }
    let mut label = "Devices";
    for device in &health.devices {
        let how = match (device.state.as_str(), &device.detail) {
            ("ok", None) => "ok".to_owned(),
            ("ok", Some(detail)) => format!("ok; {detail}"),
            (state, detail) => {
                format!("{}: {}", state.to_uppercase(), detail.as_deref().unwrap_or("look at it"))
            }
        };
        page.row(label, &format!("{} ({}): {how}", device.name, device.class));
        label = "";
    }
}

fn network(page: &mut Page, told: &Told, device: Option<&str>) {
    let port = match told.port {
        None | Some(443) => String::new(),
        Some(port) => format!(":{port}"),
    };
    if let Some(device) = device {
        page.row("Pages", &format!("https://{device}.local{port}"));
    }
    if told.addresses.is_empty() {
        page.row("Network", "no address: check the network cable and the branch's router");
    }
    let mut label = "Network";
    for Address { card, ip } in &told.addresses {
        page.row(label, &format!("{ip} ({card})"));
        label = "";
    }
}

struct Page {
    lines: Vec<String>,
    width: usize,
}

impl Page {
    fn title(&mut self, title: &str, version: &str) {
        let gap = self.width.saturating_sub(title.chars().count() + version.len() + 1).max(1);
        self.lines.push(format!("{title}{}{version}", " ".repeat(gap)));
        self.lines.push("─".repeat(self.width));
    }

    /// A row for each line of `text`.
    fn rows(&mut self, label: &str, text: &str) {
        for (index, line) in text.lines().enumerate() {
            self.row(if index == 0 { label } else { "" }, line);
        }
    }

    /// A row with its label; words that do not fit go on below it.
    fn row(&mut self, label: &str, text: &str) {
        let room = self.width - LABEL;
        let mut rows = vec![String::new()];
        for word in text.split_whitespace() {
            let last = rows.last().map_or(0, |row| row.chars().count());
            if last > 0 && last + 1 + word.chars().count() > room {
                rows.push(String::new());
            }
            if let Some(row) = rows.last_mut() {
                if !row.is_empty() {
                    row.push(' ');
                }
                // A word as long as that is an address or a path: its beginning says which.
                row.extend(word.chars().take(room - row.chars().count().min(room)));
            }
        }
        for (index, row) in rows.into_iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            self.lines.push(format!("{label:<LABEL$}{row}"));
        }
    }

    fn fit(self, height: usize) -> String {
        let mut text = String::new();
        let (shown, more) = match self.lines.len().checked_sub(height) {
            None | Some(0) => (self.lines.len(), 0),
            Some(over) => (height.saturating_sub(1), over + 1),
        };
        for line in self.lines.iter().take(shown) {
            let _infallible = writeln!(text, "{line}");
        }
        if more > 0 {
            let _infallible = write!(text, "… and {more} more lines: see the box's pages");
        }
        text.trim_end().to_owned()
    }
}

/// Whether two pictures differ in nothing but numbers: how many facts wait changes with every reading of a fridge.
pub fn is_worded_alike(one: &str, other: &str) -> bool {
    let words = |text: &str| -> String { text.chars().filter(|char| !char.is_ascii_digit()).collect() };
    words(one) == words(other)
}

#[cfg(test)]
mod tests {
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
            text.ends_with("System    The firewall did not start.\n          The clock is not set."),
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
    fn what_came_of_a_stick_is_shown_below() {
        let state = State::NoIdentity("this box is not enrolled".into());
        let setup = Some("agent.toml was taken.\nThe stick can be pulled.\n".to_owned());
        let text = draw(
            &Told { state, port: None, addresses: vec![], setup, troubles: vec![], version: "1" },
            60,
            24,
        );
        assert!(
            text.ends_with("Set-up    agent.toml was taken.\n          The stick can be pulled."),
            "{text}"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_screen_and_what_does_not_fit_is_counted() {
        let text = drawn(State::Running(Box::new(health("ok", 30))), Some(443), &["192.0.2.7"], 20);
        assert_eq!(text.lines().count(), 20);
        assert!(text.ends_with("more lines: see the box's pages"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        let long = State::Silent("x".repeat(300));
        assert!(drawn(long, None, &[], 24).lines().all(|line| line.chars().count() <= 60));
    }
}
