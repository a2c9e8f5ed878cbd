use super::{
    super::{
        device::{DeviceClass, DeviceKind, UsbDevice},
        flaps::{GOINGS, REST},
    },
    *,
};

/// A box, its sockets and a clock.
struct Shop {
    keeping: Keeping,
    now: Instant,
    /// What is in each socket: product and serial number.
    sockets: BTreeMap<&'static str, (u16, Option<&'static str>)>,
}

const CLONE: (u16, Option<&str>) = (0x7523, None);
const OTHER_MODEL: (u16, Option<&str>) = (0x2303, None);

fn name(name: &str) -> DeviceName {
    DeviceName::new(name)
}

/// Its file's number is the socket's, from 0.
fn device(port: &str, product: u16, serial: Option<&str>) -> FoundDevice {
    let number = port[2..].parse::<u8>().unwrap() - 1;
    let port = UsbPort::new(port).unwrap();
    let by_port = Selector::UsbPort { port: port.clone(), interface: None };
    let by_serial =
        serial.map(|serial| Selector::Usb { vendor: 1, product, serial: serial.into(), interface: None });
    FoundDevice {
        file: format!("/dev/ttyUSB{number}").into(),
        kind: DeviceKind::UsbSerial { driver: "ch341-uart".into() },
        usb: Some(UsbDevice {
            vendor: 1,
            product,
            serial: serial.map(str::to_owned),
            maker_name: None,
            product_name: Some(format!("Model {product:x}")),
            interface: 0,
            port,
        }),
        selectors: by_serial.into_iter().chain([by_port]).collect(),
        remark: None,
    }
}

impl Shop {
    fn with(names: &[(&str, &str)]) -> Shop {
        let wanted = names.iter().map(|(one, selector)| {
            Wanted::new(name(one), DeviceClass::Serial, selector.parse().unwrap(), None)
        });
        Shop { keeping: Keeping::new(wanted), now: Instant::now(), sockets: BTreeMap::new() }
    }

    /// Two clones at ports 1-1 and 1-2, bound and in use.
    fn with_twins() -> Shop {
        let mut shop = Shop::with(&[("A", "usb-port:1-1"), ("B", "usb-port:1-2")]);
        shop.sockets.extend([("1-1", CLONE), ("1-2", CLONE)]);
        shop.look_after(1);
        assert_eq!(shop.files(), "A=0 B=1");
        shop
    }

    fn look_after(&mut self, seconds: u64) -> Vec<Change> {
        self.now += Duration::from_secs(seconds);
        let attached = self.sockets.iter().map(|(port, (product, serial))| device(port, *product, *serial));
        self.keeping.see(self.now, attached.collect())
    }

    fn pull(&mut self, port: &'static str, after: u64) -> Vec<Change> {
        self.sockets.remove(port).unwrap();
        self.look_after(after)
    }

    fn plug(&mut self, port: &'static str, what: (u16, Option<&'static str>), after: u64) -> Vec<Change> {
        assert!(self.sockets.insert(port, what).is_none());
        self.look_after(after)
    }

    /// Which device file each name has.
    fn files(&self) -> String {
        let file = |one: &DeviceName| match self.keeping.standing(one)? {
            Standing::Here(spot) => Some(format!("{one}={}", &spot.file.to_str()?["/dev/ttyUSB".len()..])),
            Standing::Not(_) => None,
        };
        self.keeping.names.keys().filter_map(file).collect::<Vec<_>>().join(" ")
    }

    fn question(&self, one: &str) -> Option<Question> {
        self.keeping.asked(&name(one)).filter(|asked| !asked.left_alone).map(|asked| asked.question)
    }

    fn answer(&mut self, one: &str, answer: Answer) -> Vec<Change> {
        let mut changes = self.keeping.answer(&name(one), answer).unwrap();
        changes.extend(self.look_after(0));
        changes
    }

    fn why_not(&self, one: &str) -> String {
        match self.keeping.standing(&name(one)) {
            Some(Standing::Not(why)) => why,
            other => panic!("{one} is {other:?}"),
        }
    }
}

#[test]
fn a_device_with_its_own_number_is_the_same_device_at_another_port() {
    let mut shop = Shop::with(&[("A", "usb:0001:2303:S1")]);
    let changes = shop.plug("1-1", (0x2303, Some("S1")), 1);
    assert!(matches!(&changes[..], [Change::Bound { .. }, Change::Came { .. }]), "{changes:?}");
    shop.pull("1-1", 5);
    let changes = shop.plug("1-4", (0x2303, Some("S1")), 5);
    let moved = |change: &&Change| matches!(change, Change::Moved { from, to, .. } if (from.as_str(), to.as_str()) == ("1-1", "1-4"));
    assert!(changes.iter().any(|change| moved(&change)), "{changes:?}");
    assert_eq!(shop.files(), "A=3");
}

#[test]
fn another_model_at_the_port_asks_and_is_used_only_after_the_answer() {
    let mut shop = Shop::with_twins();
    shop.pull("1-1", 5);
    let changes = shop.plug("1-1", OTHER_MODEL, 5);
    assert!(matches!(&changes[..], [Change::Asks { .. }]), "{changes:?}");
    assert_eq!(shop.files(), "B=1", "B goes on");
    assert!(shop.why_not("A").contains("Where A was plugged in (Model 7523), there is now: Model 2303"));
    assert_eq!(shop.look_after(60), [], "it asks once");
    let changes = shop.answer("A", Answer::UseWhatIsThere);
    assert!(matches!(&changes[..], [Change::Bound { .. }, Change::Came { .. }]), "{changes:?}");
    assert_eq!(shop.files(), "A=0 B=1");
}

#[test]
fn what_is_left_alone_stays_so_until_the_right_device_comes() {
    let mut shop = Shop::with_twins();
    shop.pull("1-1", 5);
    shop.plug("1-1", OTHER_MODEL, 5);
    shop.answer("A", Answer::LeaveAlone);
    assert_eq!(shop.look_after(60), []);
    assert!(shop.why_not("A").contains("decided not to use it"));
    shop.pull("1-1", 5);
    shop.plug("1-1", CLONE, 5);
    assert_eq!(shop.files(), "A=0 B=1");
}

#[test]
fn what_was_left_alone_can_be_used_after_all() {
    let mut shop = Shop::with_twins();
    shop.pull("1-1", 5);
    shop.plug("1-1", OTHER_MODEL, 5);
    shop.answer("A", Answer::LeaveAlone);
    assert!(shop.keeping.asked(&name("A")).is_some_and(|asked| asked.left_alone));
    let changes = shop.answer("A", Answer::UseWhatIsThere);
    assert!(matches!(&changes[..], [Change::Bound { .. }, Change::Came { .. }]), "{changes:?}");
    assert_eq!(shop.files(), "A=0 B=1");
}

#[test]
fn what_shares_a_line_is_asked_about_as_people_call_it() {
    let line = "fridge-1 (with door on its line)";
    let wanted = Wanted::new(name("fridge-1"), DeviceClass::Serial, "usb-port:1-1".parse().unwrap(), None);
    let mut shop = Shop::with(&[]);
    shop.keeping = Keeping::new([wanted.called(line.to_owned())]);
    shop.plug("1-1", CLONE, 1);
    shop.pull("1-1", 5);
    shop.plug("1-1", OTHER_MODEL, 5);
    assert!(shop.why_not("fridge-1").starts_with(&format!("Where {line} was plugged in")));
}

#[test]
fn two_different_devices_that_were_exchanged_are_seen_and_the_names_can_follow_them() {
    let mut shop = Shop::with(&[("A", "usb-port:1-1"), ("B", "usb-port:1-2")]);
    shop.sockets.extend([("1-1", CLONE), ("1-2", OTHER_MODEL)]);
    shop.look_after(1);
    shop.pull("1-1", 5);
    shop.pull("1-2", 5);
    shop.plug("1-1", OTHER_MODEL, 5);
    shop.plug("1-2", CLONE, 5);
    assert_eq!(shop.files(), "");
    let swapped = |shop: &Shop, one: &str, with: &str| matches!(shop.question(one), Some(Question::Swapped { with: other, .. }) if other == name(with));
    assert!(swapped(&shop, "A", "B") && swapped(&shop, "B", "A"));
    let changes = shop.answer("A", Answer::FollowTheDevice);
    assert_eq!(changes.iter().filter(|change| matches!(change, Change::Bound { .. })).count(), 2);
    assert_eq!(shop.files(), "A=1 B=0");
}

#[test]
fn twins_that_were_away_at_the_same_time_ask_and_those_that_went_together_do_not() {
    let mut shop = Shop::with_twins();
    shop.pull("1-1", 10);
    shop.pull("1-2", 10);
    shop.plug("1-1", CLONE, 10);
    shop.plug("1-2", CLONE, 10);
    assert_eq!(shop.files(), "");
    assert!(shop.why_not("A").contains("A and B look the same"));
    assert!(matches!(shop.question("B"), Some(Question::PerhapsSwapped { .. })));
    shop.answer("A", Answer::UseWhatIsThere);
    assert_eq!(shop.files(), "A=0 B=1", "one answer settles both");

    // The hub lost its power: both went at once, and came back as they woke up.
    shop.sockets.clear();
    shop.look_after(10);
    shop.plug("1-2", CLONE, 10);
    shop.plug("1-1", CLONE, 10);
    assert_eq!(shop.files(), "A=0 B=1");
}

#[test]
fn twins_that_were_exchanged_follow_their_names_when_a_person_says_so() {
    let mut shop = Shop::with_twins();
    shop.pull("1-1", 10);
    shop.pull("1-2", 10);
    shop.plug("1-2", CLONE, 10);
    let changes = shop.answer("B", Answer::FollowTheDevice);
    let selectors = changes.iter().filter_map(|change| match change {
        Change::Bound { name, binding } => Some(format!("{name} {}", binding.selector)),
        _ => None,
    });
    assert_eq!(selectors.collect::<Vec<_>>(), ["B usb-port:1-1", "A usb-port:1-2"]);
    assert_eq!(shop.files(), "A=1");
    shop.plug("1-1", CLONE, 10);
    assert_eq!(shop.files(), "A=1 B=0", "no second question");
}

#[test]
fn one_twin_after_the_other_raises_no_question() {
    let mut shop = Shop::with_twins();
    for _ in 0..2 {
        for port in ["1-1", "1-2"] {
            shop.pull(port, 60);
            shop.plug(port, CLONE, 60);
            assert_eq!(shop.files(), "A=0 B=1");
        }
    }
}

#[test]
fn one_without_a_number_that_came_at_a_free_port_is_asked_about() {
    let mut shop = Shop::with_twins();
    shop.pull("1-1", 5);
    assert_eq!(shop.question("A"), None);
    shop.plug("1-3", CLONE, 5);
    assert!(shop.why_not("A").contains("is at USB port 1-3. Is it A?"));
    let changes = shop.answer("A", Answer::UseWhatIsThere);
    assert!(
        matches!(&changes[0], Change::Bound { binding, .. } if binding.selector.to_string() == "usb-port:1-3")
    );
    assert_eq!(shop.files(), "A=2 B=1");
}

#[test]
fn a_clone_with_the_same_number_beside_it_does_not_take_a_device_out_of_use() {
    let mut shop = Shop::with(&[("A", "usb:0001:2303:S1")]);
    shop.plug("1-2", (0x2303, Some("S1")), 1);
    shop.plug("1-1", (0x2303, Some("S1")), 1);
    assert_eq!(shop.files(), "A=1");
    shop.pull("1-2", 1);
    // Now only the clone is there, and it is all that A's number names.
    assert_eq!(shop.files(), "A=0");
}

#[test]
fn what_has_a_name_by_its_number_is_not_taken_for_another_at_whose_port_it_stands() {
    let mut shop = Shop::with(&[("A", "usb-port:1-1"), ("B", "usb:0001:7523:S1")]);
    shop.plug("1-1", (0x7523, Some("S1")), 1);
    assert_eq!(shop.files(), "B=0");
    assert!(shop.why_not("A").contains("B is plugged in where A was"));
}

#[test]
fn a_device_that_flaps_is_told_once_rested_and_taken_back_when_it_has_kept_still() {
    let mut shop = Shop::with_twins();
    let mut told = Vec::new();
    for _ in 0..500 {
        told.extend(shop.pull("1-1", 1));
        told.extend(shop.plug("1-1", CLONE, 1));
    }
    let count =
        |told: &[Change], what: fn(&Change) -> bool| told.iter().filter(|change| what(change)).count();
    assert_eq!(count(&told, |change| matches!(change, Change::Flaps { .. })), 1);
    assert_eq!(count(&told, |change| matches!(change, Change::Went { .. })), GOINGS);
    assert!(shop.why_not("A").starts_with("A came and went 5 times within 60 s"));
    assert_eq!(shop.files(), "B=1");
    assert_eq!(shop.keeping.next_look(), Some(shop.now + REST));
    assert_eq!(shop.look_after(REST.as_secs() - 1), []);
    let changes = shop.look_after(1);
    assert!(matches!(&changes[..], [Change::Rested { .. }, Change::Came { .. }]), "{changes:?}");
    assert_eq!(shop.files(), "A=0 B=1");
}

#[test]
fn no_answer_is_taken_to_what_was_not_asked() {
    let mut shop = Shop::with_twins();
    let refused = |shop: &mut Shop, one: &str, answer| shop.keeping.answer(&name(one), answer).is_err();
    assert!(refused(&mut shop, "A", Answer::UseWhatIsThere));
    assert!(refused(&mut shop, "nobody", Answer::LeaveAlone));
    shop.pull("1-1", 5);
    shop.plug("1-1", OTHER_MODEL, 5);
    assert!(refused(&mut shop, "A", Answer::FollowTheDevice));
}

impl Shop {
    /// The box begins anew, with what was kept of `changes`.
    fn restart(&mut self, changes: &[Change]) {
        let mut kept = BTreeMap::new();
        for change in changes {
            if let Change::Bound { name, binding } = change {
                let written = serde_json::to_string(binding).unwrap();
                kept.insert(name.clone(), serde_json::from_str(&written).unwrap());
            }
        }
        let wanted = self.keeping.names.values().map(|one| {
            let Wanted { name, class, configured, .. } = one.wanted.clone();
            let binding = kept.remove(&name);
            Wanted::new(name, class, configured, binding)
        });
        self.keeping = Keeping::new(wanted.collect::<Vec<_>>());
        self.look_after(1);
    }
}

#[test]
fn twins_that_may_have_been_exchanged_are_asked_about_also_when_the_box_begins_anew() {
    let mut shop = Shop::with(&[("A", "usb-port:1-1"), ("B", "usb-port:1-2")]);
    shop.sockets.extend([("1-1", CLONE), ("1-2", CLONE)]);
    let mut kept = shop.look_after(1);
    kept.extend(shop.pull("1-1", 10));
    // It begins anew while both are away, and once more while the question is open.
    kept.extend(shop.pull("1-2", 10));
    shop.restart(&kept);
    shop.plug("1-1", CLONE, 10);
    shop.plug("1-2", CLONE, 10);
    assert_eq!(shop.files(), "");
    shop.restart(&kept);
    assert_eq!(shop.files(), "");
    assert!(matches!(shop.question("A"), Some(Question::PerhapsSwapped { .. })));
    kept.extend(shop.answer("B", Answer::UseWhatIsThere));
    assert_eq!(shop.files(), "A=0 B=1");
    shop.restart(&kept);
    assert_eq!(shop.files(), "A=0 B=1", "the answer is kept, too");
}
