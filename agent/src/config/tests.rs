use super::*;
use pestle_drivers::printer::start::PrinterSettings;

const WHOLE: &str = r#"
data_dir = "/srv/pestle"
[web]
listen = "0.0.0.0:8443"
[[till]]
id = "till-1"
name = "Front"
[[scanner]]
name = "scanner-1"
path = "/dev/serial/by-id/x"
till = "till-1"
proved = true
suffix = "cr"
[[printer]]
name = "printer-1"
till = "till-1"
address = "tcp://192.0.2.7:9100"
model = "epson-tm-t20"
columns = 42
[[sensor]]
name = "fridge-1"
path = "/dev/ttyUSB0"
slave = 1
profile = "xy-md02"
[[sensor]]
name = "fridge-2"
path = "/dev/ttyUSB0"
slave = 2
profile = "xy-md02"
interval_s = 30
[journal]
generation_bytes = "1MiB"
[space]
low = "2GiB"
"#;

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_parts("agent.toml", text, pairs)
}

/// `text` (after a till) is refused with `expected`.
fn check(text: &str, expected: &str) {
    let said = parse(text, &[]).unwrap_err().to_string();
    assert!(said.contains(expected), "{said:?} should contain {expected:?}");
    assert!(!said.contains('\n'), "one sentence: {said:?}");
}

#[test]
fn a_whole_file_is_understood() {
    let config = parse(WHOLE, &[]).unwrap();
    assert_eq!(config.data_dir, Path::new("/srv/pestle"));
    assert!(config.web.tls);
    assert_eq!(config.tills[0].name, "Front");
    assert!(config.scanners[0].settings.proved);
    assert_eq!(config.scanners[0].settings.framing.suffixes, [b"\r".to_vec()]);
    let PrinterSettings::EscPos(printer) = &config.printers[0].settings else { panic!() };
    assert_eq!(printer.model.columns, 42);
    assert_eq!(config.buses.len(), 1, "two sensors on one line share a bus");
    assert_eq!(config.buses[0].intervals[1].1, Duration::from_secs(30));
    assert_eq!(config.journal.generation_bytes, 1024 * 1024);
    assert_eq!(config.journal.retention, Duration::from_secs(35 * 86_400));
    assert_eq!(config.space, Budget { low: 2 << 30, ..Budget::default() });
}

#[test]
fn the_environment_wins_over_the_file_and_a_number_stays_as_it_was_written() {
    let config = parse(
        WHOLE,
        &[
            ("PESTLE_AGENT_WEB__LISTEN", "127.0.0.1:0"),
            ("PESTLE_AGENT_JOURNAL__RETENTION_DAYS", "60"),
            ("PESTLE_AGENT_DATA_DIR", "0012345"),
            ("PESTLE_OTHER", "x"),
        ],
    )
    .unwrap();
    assert_eq!(config.web, Web { listen: "127.0.0.1:0".parse().unwrap(), tls: false });
    assert_eq!(config.journal.retention, Duration::from_secs(60 * 86_400));
    assert_eq!(config.data_dir, Path::new("0012345"));
}

#[test]
fn an_unknown_name_is_refused_with_the_file_and_the_nearest_known_one() {
    check(
        "[web]\nlisen = \"127.0.0.1:1\"",
        "agent.toml: \"lisen\" is no name of a setting: the nearest name is \"listen\"",
    );
    check("[[til]]\nid = \"a\"", "the nearest name is \"till\"");
    check("[[till]]\nid = \"a\"\nnam = \"b\"", "the nearest name is \"name\"");
    let said = parse(WHOLE, &[("PESTLE_AGENT_JOURNAL__RETENTON_DAYS", "3")]).unwrap_err().to_string();
    assert_eq!(
        said,
        "PESTLE_AGENT_JOURNAL__RETENTON_DAYS: \"retenton_days\" is no name of a setting: the nearest name is \"retention_days\""
    );
}

#[test]
fn a_till_has_its_own_logo_or_that_of_the_box() {
    let text = "logo = \"chain.png\"\n[[till]]\nid = \"a\"\n[[till]]\nid = \"b\"\nlogo = \"branch-2.png\"\n";
    let logos = |text: &str| -> Vec<Option<String>> {
        parse(text, &[]).unwrap().tills.into_iter().map(|till| till.logo).collect()
    };
    assert_eq!(logos(text), [Some("chain".to_owned()), Some("branch-2".to_owned())]);
    assert_eq!(logos("[[till]]\nid = \"a\"\n"), [None]);
    for wrong in ["branch", "../branch.png", "branch.jpg", ".png", "my logo.png"] {
        check(&format!("logo = \"{wrong}\"\n[[till]]\nid = \"a\"\n"), "the folder of pictures");
    }
    check("[[till]]\nid = \"a\"\nlogo = \"/etc/x.png\"\n", "till.logo is \"/etc/x.png\"");
}

#[test]
fn what_cannot_be_is_refused_with_what_to_write_instead() {
    let till = "[[till]]\nid = \"till-1\"\n";
    check("", "no till is configured");
    check("not toml", "agent.toml");
    check("[[till]]\nid = \"Till 1\"", "write 1 to 40 characters");
    check(&format!("{till}[[till]]\nid = \"till-1\""), "two tills");
    check(&format!("{till}[web]\nlisten = \"8080\""), "write an address and a port");
    check(
        &format!("{till}[[scanner]]\nname = \"s\"\npath = \"/dev/x\"\ntill = \"till-2\""),
        "write one of till-1",
    );
    check(
        &format!("{till}[[scanner]]\nname = \"s\"\npath = \"/dev/x\"\ntill = \"till-1\"\nbaud = 9601"),
        "scanner \"s\"",
    );
    check(&format!("{till}[[printer]]\nname = \"p\"\ntill = \"till-1\"\naddress = \"lpt1\""), "tcp://");
    check(
        &format!(
            "{till}[[printer]]\nname = \"p\"\ntill = \"till-1\"\naddress = \"tcp://1.2.3.4:9100\"\nmodel = \"x\""
        ),
        "printer \"p\"",
    );
    check(&format!("{till}[journal]\ngeneration_bytes = \"7\""), "64KiB");
    check(&format!("{till}[journal]\nretention_days = 3651"), "1 to 3650");
    check(&format!("{till}[space]\nlow = \"much\""), "space.low is \"much\"");
    check(&format!("{till}[space]\nlow = \"100MiB\""), "must get smaller in this order");
    check(&format!("{till}[space]\nreserve = \"0\""), "could not end what was begun");
    check(&format!("{till}[gateway]\nmqtt = \"centre\""), "host:port");
    check(&format!("{till}[gateway]\nhttps = \"http://centre\""), "https://host:port");
}

#[test]
fn addresses_are_cut_into_host_and_port() {
    assert_eq!(host_and_port("centre.example:8883"), Some(("centre.example", 8883)));
    assert_eq!(host_and_port("[::1]:8883"), Some(("::1", 8883)));
    for bad in ["centre", "centre:", ":1", "a b:1", "centre:0", "centre:70000", "https://x:1"] {
        assert_eq!(host_and_port(bad), None, "{bad}");
    }
    assert_eq!(https_address("https://centre.example"), Some(("centre.example", 443)));
    assert_eq!(https_address("https://127.0.0.1:8443/"), Some(("127.0.0.1", 8443)));
    assert_eq!(https_address("http://centre.example"), None);
}

#[test]
fn a_log_filter_that_cannot_be_read_is_refused() {
    let check_filter = |filter: &str| {
        check(&format!("[[till]]\nid = \"till-1\"\n[log]\nfilter = \"{filter}\"\n"), "log.filter is");
    };
    check_filter("pestle_agent=loud");
    check_filter("info,=");
    assert!(parse("[[till]]\nid = \"till-1\"\n[log]\nfilter = \"info,pestle_agent=debug\"\n", &[]).is_ok());
}

#[test]
fn the_configuration_that_the_hardware_page_shows_is_a_good_one() {
    let page = include_str!("../../../docs/hardware.md");
    let shown = page.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let text = format!("[[till]]\nid = \"till-1\"\n{shown}");
    let config = Config::from_parts("docs/hardware.md", &text, []).unwrap();
    assert_eq!((config.scanners.len(), config.printers.len(), config.buses.len()), (1, 2, 1));
    assert_eq!(config.buses[0].settling, [Duration::from_secs(5)]);
}

#[test]
fn what_does_not_go_together_of_a_device_is_refused_with_its_name_and_what_to_write() {
    let till = "[[till]]\nid = \"till-1\"\n";
    let check = |text: &str, expected: &str| {
        let error = Config::from_parts("agent.toml", &format!("{till}{text}"), []).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let scanner = "[[scanner]]\nname = \"counter\"\ntill = \"till-1\"\n";
    check(scanner, "scanner \"counter\": it has neither address nor path");
    check(&format!("{scanner}path = \"/dev/a\"\naddress = \"serial:/dev/a\""), "both address and path");
    let typing = format!("{scanner}address = \"keyboard:usb:05e0:1200:S1\"\n");
    check(&format!("{typing}proved = true"), "sheet of test codes");
    check(&format!("{typing}idle_gap_ms = 5"), "20 to 1000 milliseconds");
    check(&format!("{typing}layout = \"klingon\""), "scanner \"counter\"");
    let printer = |name: &str| {
        format!("[[printer]]\nname = \"{name}\"\ntill = \"till-1\"\naddress = \"tcp://192.0.2.1:9100\"\n")
    };
    check(&format!("{}{}", printer("a"), printer("b")), "till \"till-1\" has two receipt printers");
    check(&format!("{}kind = \"zpl\"", printer("a")), "printer \"a\": it has no model");
    check(&format!("{}paper = \"a4\"", printer("a")), "for printers of kind \"ipp\" alone");
    let input = "[[input]]\nname = \"door\"\naddress = \"serial:/dev/ttyS1\"\nslave = 4\nprofile = \"waveshare-io8\"\n";
    check(&format!("{input}input = \"door\""), "door");
}

#[test]
fn a_receipt_printer_without_a_model_is_taken_for_one_that_says_no_more_than_any_can() {
    let till = "[[till]]\nid = \"till-1\"\n";
    let text =
        format!("{till}[[printer]]\nname = \"p\"\ntill = \"till-1\"\naddress = \"tcp://127.0.0.1:9100\"\n");
    let config = parse(&text, &[]).unwrap();
    let PrinterSettings::EscPos(printer) = &config.printers[0].settings else { panic!() };
    assert_eq!(printer.model.completion, pestle_drivers::printer::model::Completion::QueuedStatus);
}

#[test]
fn a_branch_adds_models_of_printers_by_files_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, labels) = (folder.path().join("printers.toml"), folder.path().join("labels.toml"));
    let model = "[ours]\ntitle = \"Ours\"\ncolumns = 32\ndots = 384\nstatus = false\ncompletion = \"none\"\n\
                 cut = \"none\"\ncode_pages = [{ page = \"pc437\", number = 0 }]\n\
                 drawer = { pin = 0, on_ms = 100, off_ms = 100 }\n";
    std::fs::write(&ours, model).unwrap();
    std::fs::write(&labels, "ours = 1").unwrap();
    let till = "[[till]]\nid = \"till-1\"\n";
    let printer = "[[printer]]\nname = \"p\"\ntill = \"till-1\"\naddress = \"tcp://127.0.0.1:9100\"\nmodel = \"ours\"\n";
    let config = parse(&format!("printer_models = {ours:?}\n{till}{printer}"), &[]).unwrap();
    let PrinterSettings::EscPos(printer) = &config.printers[0].settings else { panic!() };
    assert_eq!(printer.model.columns, 32);
    check(&format!("label_printer_models = {labels:?}\n{till}"), "labels.toml");
    check(&format!("printer_models = \"/nowhere\"\n{till}"), "printer_models: /nowhere cannot be read");
}

/// A branch with a probe and two contacts, and this place.
fn cold(place: &str) -> Result<Config, ConfigError> {
    let text = format!(
        r#"
        [[till]]
        id = "till-1"
        [[sensor]]
        name = "air"
        address = "serial:/dev/ttyS1"
        slave = 10
        profile = "xy-md02"
        [[input]]
        name = "mains"
        address = "serial:/dev/ttyS1"
        slave = 4
        profile = "waveshare-io8"
        input = "1"
        kind = "power"
        [[cold_place]]
        name = "vaccines"
        {place}
        "#
    );
    parse(&text, &[])
}

#[test]
fn a_sensor_that_no_profile_describes_is_one_register() {
    let sensor = |rest: &str| {
        let text = format!(
            "[[till]]\nid = \"till-1\"\n[[sensor]]\nname = \"air\"\naddress = \"tcp://192.0.2.1:4001\"\nslave = 3\n{rest}"
        );
        parse(&text, &[])
    };
    let register = "register = { function = 4, register = 7, scale = 10, min = -40000, max = 85000 }";
    let config = sensor(register).unwrap();
    let air = &config.buses[0].settings.sensors[0];
    assert_eq!((air.profile.baud, air.profile.probe["1"].register), (9_600, 7));
    let profile = "profile = \"xy-md02\"";
    for (rest, expected) in [
        ("", "it has neither profile nor register"),
        (&*format!("{profile}\n{register}"), "it has both profile and register"),
        ("register = { function = 4, register = 7, scale = 0, min = 0, max = 1 }", "scale"),
    ] {
        let said = sensor(rest).unwrap_err().to_string();
        assert!(said.contains("sensor \"air\"") && said.contains(expected), "{said}");
    }
}

#[test]
fn a_cold_place_names_probes_and_contacts_that_there_are_and_keeps_two_to_eight_degrees() {
    let config = cold("probe = \"air\"\npower = \"mains\"").unwrap();
    assert_eq!(config.cold_places[0].limits, pestle_domain::cold_chain::Limits::FRIDGE);
    assert_eq!(config.cold_places[0].sensors().collect::<Vec<_>>(), ["air"]);
    for (place, expected) in [
        ("probe = \"bottle\"", "there is no [[sensor]] named \"bottle\""),
        ("probe = \"air\"\nsecond = \"air\"", "both probes are air"),
        ("probe = \"air\"\ndoor = \"mains\"", "is no door contact: give it kind = \"door\""),
        ("probe = \"air\"\npower = \"plug\"", "there is no [[input]] named \"plug\""),
        ("probe = \"air\"\nlow_milli = 9000", "write the lower one first"),
        ("probe = \"air\"\n[[cold_place]]\nname = \"other\"\nprobe = \"air\"", "in two cold places"),
    ] {
        let said = cold(place).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_buzzer_is_the_model_s_or_as_it_is_written_and_never_guessed() {
    let printer = |rest: &str| {
        let text = format!(
            "[[till]]\nid = \"till-1\"\n[[printer]]\nname = \"p\"\ntill = \"till-1\"\naddress = \"tcp://192.0.2.1:9100\"\n{rest}"
        );
        parse(&text, &[])
    };
    assert!(!printer("").unwrap().printers[0].buzzer);
    assert!(!printer("buzzer = false").unwrap().printers[0].buzzer);
    let said = printer("buzzer = true").unwrap_err().to_string();
    assert!(said.contains("write it as its manual says, such as buzzer = {"), "{said}");
    let config = printer("buzzer = { command = \"esc_b\", times = 3, duration = 4 }").unwrap();
    assert!(config.printers[0].buzzer);
    let PrinterSettings::EscPos(settings) = &config.printers[0].settings else { panic!() };
    assert!(settings.model.buzzer.is_some());
}
