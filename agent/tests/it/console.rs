//! The box's own screen, on a pseudo-terminal on which somebody types.

use std::{
    fs::File,
    io::{ErrorKind, Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags, fcntl_setfl},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{InputModes, LocalModes, OptionalActions, tcgetattr, tcsetattr},
};

use crate::program::enrolled_box;

const SOON: Duration = Duration::from_secs(20);

/// A terminal, and what runs in its session.
struct Screen {
    keys: File,
    device: File,
    program: Child,
    /// Its modes before anything ran in it.
    as_made: (LocalModes, InputModes),
    /// All that was written to it.
    drawn: String,
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl Screen {
    /// A session of its own with this terminal, as the service manager or a sign-in makes it.
    fn with(command: &[&str]) -> Screen {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        fcntl_setfl(&keys, OFlags::RDWR | OFlags::NONBLOCK).unwrap();
        let name = ptsname(&keys, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let device = File::from(rustix::fs::open(&*name, flags, Mode::empty()).unwrap());
        let as_made = modes(&device);
        let program = Command::new("setsid")
            .arg("--ctty")
            .args(command)
            .stdin(device.try_clone().unwrap())
            .stdout(device.try_clone().unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Screen { keys: File::from(keys), device, program, as_made, drawn: String::new() }
    }

    /// Holds what is written to it without a key that a mode forbids, as Scroll Lock holds a screen.
    fn hold(&mut self) {
        let mut held = tcgetattr(&self.device).unwrap();
        held.input_modes.insert(InputModes::IXON);
        tcsetattr(&self.device, OptionalActions::Now, &held).unwrap();
        self.keys.write_all(b"\x13").unwrap();
    }

    /// Waits until these words are drawn, behind all that was drawn before.
    fn shows(&mut self, words: &str) {
        let begun = Instant::now();
        let mut behind = String::new();
        while !behind.contains(words) {
            assert!(begun.elapsed() < SOON, "{words:?} was never drawn, but {behind:?}");
            let mut bytes = [0; 4096];
            match self.keys.read(&mut bytes) {
                Ok(count) => behind.push_str(&String::from_utf8_lossy(&bytes[..count])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => panic!("{error}; drawn was {behind:?}"),
            }
        }
        self.drawn.push_str(&behind);
    }
}

fn modes(device: &File) -> (LocalModes, InputModes) {
    let settings = tcgetattr(device).unwrap();
    (settings.local_modes, settings.input_modes)
}

fn console(folder: &Path) -> [String; 6] {
    let program = env!("CARGO_BIN_EXE_pestle-agent").to_owned();
    let config = folder.join("agent.toml").display().to_string();
    [program, "--config".into(), config, "console".into(), "--every".into(), "1".into()]
}

#[test]
fn whatever_is_typed_at_a_box_s_screen_is_not_shown_and_neither_holds_nor_ends_it() {
    let folder = enrolled_box();
    let file = folder.path().join("agent.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let command = console(folder.path());
    let mut screen = Screen::with(&command.each_ref().map(String::as_str));
    screen.shows("The agent does not answer");
    let (local, input) = modes(&screen.device);
    let loud = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    assert!(!local.intersects(loud) && !input.contains(InputModes::IXON), "{local:?} {input:?}");
    // Ctrl-C, Ctrl-\, Ctrl-Z, and Ctrl-S last.
    screen.keys.write_all(b"typed here\r\x03\x1c\x1a\x13").unwrap();
    std::fs::write(&file, "[web]\nlisen = \"x\"\n").unwrap();
    screen.shows("The configuration is wrong");
    // More than any queue holds; what does not go in is lost, as it is with a keyboard.
    let flood = |keys: &mut File| (0..64).take_while(|_| keys.write_all(&[b'k'; 1024]).is_ok()).count();
    flood(&mut screen.keys);
    std::fs::write(&file, good).unwrap();
    screen.shows("The agent does not answer");
    screen.hold();
    std::fs::write(&file, "[web]\nlisten = 8\n").unwrap();
    screen.shows("The configuration is wrong");
    for typed in ["typed here", "^C", "kkkk"] {
        assert!(!screen.drawn.contains(typed), "{typed}: {:?}", screen.drawn);
    }
    assert_eq!(screen.program.try_wait().unwrap(), None);
    screen.hold();
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&screen.program),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let begun = Instant::now();
    let ended = loop {
        assert!(begun.elapsed() < SOON, "a screen that is held keeps the program from its end");
        match screen.program.try_wait().unwrap() {
            Some(ended) => break ended,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert!(ended.success());
}

#[test]
fn a_technician_ends_it_with_ctrl_c_and_has_the_terminal_back_as_it_was() {
    let folder = enrolled_box();
    let console = console(folder.path());
    let shell = ["sh", "-c", "trap : INT; \"$0\" \"$@\"; echo \"ended with $?\"; read line"];
    let command: Vec<&str> = shell.into_iter().chain(console.iter().map(String::as_str)).collect();
    let mut screen = Screen::with(&command);
    screen.shows("The agent does not answer");
    assert!(!modes(&screen.device).0.contains(LocalModes::ECHO));
    screen.keys.write_all(b"\x03").unwrap();
    screen.shows("ended with 0");
    assert!(screen.drawn.contains("\x1b[?25h"), "the cursor is there again: {:?}", screen.drawn);
    assert_eq!(modes(&screen.device), screen.as_made);
}
