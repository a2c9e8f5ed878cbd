//! Modbus as others speak it: our client against pymodbus' servers, pymodbus' and libmodbus' (mbpoll's) masters against our
//! simulated devices. So neither our client nor our simulators are judged by our own codec alone.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use pestle_domain::units::MilliCelsius;
use pestle_drivers::{
    device::DeviceName,
    line::{LineAddress, serial::SerialSettings},
    sensor::{
        NoData, Reading, Sensor as _,
        bus::{self, Bus, BusAddress, BusSettings, Framing, InputSettings, SensorSettings},
        input::{Input as _, InputState},
        profile::SensorProfiles,
        register::Function,
    },
    sim::{
        fridge::{Bank, FridgeFault, SimFridges},
        pty::Pty,
    },
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
    task::AbortHandle,
};

use crate::soon;

/// The Python that has the witnesses of `drivers/tests/witness`; beside the build, made by the set-up.
fn python() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let python = target.join("witness/modbus/venv/bin/python");
    assert!(python.exists(), "{} is missing: run hil-tests/setup.sh test", python.display());
    python
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/witness/modbus").join(name)
}

/// A server of pymodbus. Ends with its handle.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    async fn start(args: &[&str]) -> Server {
        let mut child = Command::new(python())
            .arg(script("server.py"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon(said.next_line()).await.unwrap().expect("the server's error is above");
        let port = line.strip_prefix("ready ").unwrap().parse().unwrap();
        Server { child, port }
    }

    async fn end(mut self) {
        self.child.stdin.take().unwrap().shutdown().await.unwrap();
        assert!(soon(self.child.wait()).await.unwrap().success());
    }
}

/// What hangs on the server: unit 1 as a transmitter, unit 2 by a branch's own profile, and units that fail.
fn start(address: BusAddress) -> Bus {
    let own = "[own]\ntitle = \"T\"\nsource = \"server.py\"\nbaud = 9600\n
        [own.probe.1]\nfunction = 3\nregister = 10\nformat = \"s32\"\nscale = 1\nmin = -99_999\nmax = 99_999\n
        [own.probe.2]\nfunction = 3\nregister = 20\nformat = \"f32\"\nscale = 1_000\nmin = -99_999\nmax = 99_999\n
        [own.input.door]\nkind = \"door\"\nfunction = 2\nregister = 0\nraised_when = 1\n
        [own.input.bell]\nkind = \"alarm\"\nfunction = 1\nregister = 8\nraised_when = 1\n";
    let profiles = SensorProfiles::built_in().unwrap().with(SensorProfiles::parse(own).unwrap());
    let sensor = |name: &str, slave, profile| {
        SensorSettings::new(DeviceName::new(name), slave, profiles.get(profile).unwrap().clone())
    };
    let mut sensors =
        vec![sensor("1", 1, "xy-md02"), sensor("2", 2, "own"), sensor("2b", 2, "own").probe("2")];
    sensors.extend((3..=6).map(|unit| sensor(&unit.to_string(), unit, "xy-md02")));
    let input =
        |name: &str| InputSettings::new(DeviceName::new(name), 2, profiles.get("own").unwrap().clone(), name);
    let mut settings = BusSettings::at(address, sensors, vec![input("door"), input("bell")]).unwrap();
    // A Python that starts to answer may take its time on a loaded machine.
    settings.answer_timeout = Duration::from_millis(700);
    settings.rest = (Duration::from_millis(20), Duration::from_millis(50));
    bus::start(settings)
}

async fn all_is_read_as_it_is(address: BusAddress) {
    let damaged = if address.framing == Framing::Rtu { NoData::Crc } else { NoData::Garbled };
    let bus = start(address);
    let expected: [Reading; 7] = [
        Ok(MilliCelsius(4_200)),
        Ok(MilliCelsius(-12_345)),
        Ok(MilliCelsius(4_250)),
        Err(NoData::Timeout),
        Err(damaged),
        Err(NoData::Garbled),
        Err(NoData::Garbled),
    ];
    for (sensor, expected) in bus.sensors.iter().zip(expected) {
        assert_eq!(soon(sensor.read()).await, expected, "unit {}", sensor.name());
        // Whatever went wrong, the next answer is the right one of the right unit.
        assert_eq!(soon(bus.sensors[0].sample()).await.humidity_permille, Some(Ok(450)));
    }
    assert_eq!(soon(bus.inputs[0].read()).await, Ok(InputState::Raised));
    assert_eq!(soon(bus.inputs[1].read()).await, Ok(InputState::AtRest));
    let missing = pestle_drivers::sensor::register::Question::one(Function::Holding, 999);
    assert_eq!(soon(bus.handle.ask(1, missing)).await, Err(NoData::Exception(2)));
}

#[tokio::test]
async fn our_client_reads_pymodbus_by_modbus_tcp() {
    let server = Server::start(&["tcp"]).await;
    let line = LineAddress::Tcp(([127, 0, 0, 1], server.port).into());
    all_is_read_as_it_is(BusAddress { line, framing: Framing::Tcp }).await;
    server.end().await;
}

#[tokio::test]
async fn our_client_reads_pymodbus_behind_a_converter() {
    let server = Server::start(&["rtu-tcp"]).await;
    let line = LineAddress::Tcp(([127, 0, 0, 1], server.port).into());
    all_is_read_as_it_is(BusAddress { line, framing: Framing::Rtu }).await;
    server.end().await;
}

/// A serial cable between two programs: what one writes the other reads, `after` a pause before each byte of an answer.
struct NullModem {
    folder: tempfile::TempDir,
    carrier: AbortHandle,
}

impl NullModem {
    fn plug_in(after: Duration) -> NullModem {
        let folder = tempfile::tempdir().unwrap();
        let [master, slave] = ["master", "slave"].map(|end| Pty::plug_in(&folder.path().join(end)).unwrap());
        let carry = async move {
            let (mut from_master, mut from_slave) = ([0u8; 256], [0u8; 256]);
            loop {
                tokio::select! {
                    Ok(count) = master.read(&mut from_master) => {
                        slave.write_all(&from_master[..count]).await.unwrap();
                    }
                    Ok(count) = slave.read(&mut from_slave) => {
                        for byte in &from_slave[..count] {
                            tokio::time::sleep(after).await;
                            master.write_all(&[*byte]).await.unwrap();
                        }
                    }
                    else => return,
                }
            }
        };
        NullModem { folder, carrier: tokio::spawn(carry).abort_handle() }
    }

    fn end(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for NullModem {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

#[tokio::test]
async fn our_client_reads_pymodbus_on_a_serial_line_however_slowly_its_bytes_come() {
    for after in [Duration::ZERO, Duration::from_millis(3)] {
        let cable = NullModem::plug_in(after);
        let server = Server::start(&["rtu", cable.end("slave").to_str().unwrap()]).await;
        let line = LineAddress::Serial(SerialSettings::new(cable.end("master"), 9_600).unwrap());
        all_is_read_as_it_is(BusAddress { line, framing: Framing::Rtu }).await;
        server.end().await;
    }
}

/// A transmitter at 1, contacts at 2, one whose answers are damaged at 3, a silent one at 4.
fn furnish(fridges: &SimFridges) {
    fridges.set_milli_celsius(1, -20_500).unwrap();
    let bits = (7..17).map(|at| ((Function::DiscreteInputs, at), u16::from(at % 3 == 0)));
    fridges.set_bank(2, bits.chain([((Function::Coils, 3), 1)]).collect::<Bank>());
    fridges.set_fault(3, FridgeFault::WrongCrc).unwrap();
    fridges.set_fault(4, FridgeFault::Silent).unwrap();
}

async fn run(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    soon(command.output()).await.expect("the program is missing: run hil-tests/setup.sh test")
}

async fn pymodbus_understands(kind: &str, place: &str) {
    let said = run(python(), &[script("client.py").to_str().unwrap(), kind, place]).await;
    let lines: Vec<String> = String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect();
    let contacts = "false, false, true, false, false, true, false, false, true, false";
    let expected = [
        r#"{"input": [65331, 450]}"#,
        r#"{"holding": [1]}"#,
        r#"{"missing": {"exception": 2}}"#,
        r#"{"unknown function": {"exception": 1}}"#,
        &format!(r#"{{"discrete": [{contacts}]}}"#),
        r#"{"coils": [true]}"#,
        r#"{"damaged": {"error": "ModbusIOException"}}"#,
        r#"{"silent": {"error": "ModbusIOException"}}"#,
        r#"{"after that": [65331]}"#,
    ];
    assert_eq!(lines, expected, "{}", String::from_utf8_lossy(&said.stderr));
}

#[tokio::test]
async fn pymodbus_understands_our_simulated_devices() {
    let folder = tempfile::tempdir().unwrap();
    let serial = SimFridges::plug_in(folder.path().join("bus"), &[1, 3, 4]).unwrap();
    furnish(&serial);
    pymodbus_understands("rtu", serial.path().to_str().unwrap()).await;
    for (kind, framing) in [("tcp", Framing::Tcp), ("rtu-tcp", Framing::Rtu)] {
        let fridges = SimFridges::on_network(framing, &[1, 3, 4]).await.unwrap();
        furnish(&fridges);
        pymodbus_understands(kind, &fridges.network().unwrap().port().to_string()).await;
    }
}

/// What mbpoll says, both of its streams; addresses counted from 0, as they are sent.
async fn mbpoll(line: &[&str], unit: &str, kind: &str, first: &str, count: &str, place: &str) -> String {
    let question = ["-0", "-1", "-o", "0.5", "-a", unit, "-t", kind, "-r", first, "-c", count, place];
    let said = run("mbpoll", &[line, &question].concat()).await;
    let text =
        [said.stdout, said.stderr].map(|stream| String::from_utf8_lossy(&stream).into_owned()).concat();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn libmodbus_understands(line: &[&str], place: &str, damaged: Option<&str>) {
    let input = mbpoll(line, "1", "3", "1", "2", place).await;
    assert!(input.contains("[1]: 65331 (-205) [2]: 450"), "{input}");
    let holding = mbpoll(line, "1", "4", "257", "1", place).await;
    assert!(holding.contains("[257]: 1"), "{holding}");
    let discrete = mbpoll(line, "2", "1", "8", "3", place).await;
    assert!(discrete.contains("[8]: 0 [9]: 1 [10]: 0"), "{discrete}");
    let coil = mbpoll(line, "2", "0", "3", "1", place).await;
    assert!(coil.contains("[3]: 1"), "{coil}");
    let missing = mbpoll(line, "1", "3", "999", "1", place).await;
    assert!(missing.contains("Illegal data address"), "{missing}");
    let silent = mbpoll(line, "4", "3", "1", "1", place).await;
    assert!(silent.contains("timed out"), "{silent}");
    if let Some(words) = damaged {
        let said = mbpoll(line, "3", "3", "1", "1", place).await;
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn libmodbus_understands_our_simulated_devices() {
    let folder = tempfile::tempdir().unwrap();
    let serial = SimFridges::plug_in(folder.path().join("bus"), &[1, 3, 4]).unwrap();
    furnish(&serial);
    let line = ["-m", "rtu", "-b", "9600", "-P", "none"];
    libmodbus_understands(&line, serial.path().to_str().unwrap(), Some("Invalid CRC")).await;
    let gateway = SimFridges::on_network(Framing::Tcp, &[1, 3, 4]).await.unwrap();
    furnish(&gateway);
    let port = gateway.network().unwrap().port().to_string();
    libmodbus_understands(&["-m", "tcp", "-p", &port], "127.0.0.1", None).await;
}
