//! The terminal that the console is drawn on: nothing that is typed shows, stops or ends it.
//!
//! As the kernel hands a terminal out, it echoes what is typed, Ctrl-S holds its output until Ctrl-Q, and Ctrl-C ends the program
//! (termios(3): ECHO, ICANON, IXON, ISIG). A box's screen has no keyboard of its own, but a scanner that types may stand before it,
//! or somebody's arm. One key stays that holds the screen whatever the modes are, Scroll Lock (Linux, `drivers/tty/vt/keyboard.c`,
//! `fn_hold`): that is undone before each look.

use std::io::{self, IsTerminal as _};

use rustix::{
    process::{getpid, getsid},
    termios::{
        InputModes, LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr,
    },
};

/// A terminal that is kept still, and is put back as it was when this is dropped.
#[derive(Debug)]
pub(super) struct StillTerminal {
    /// `None` where the output is no terminal.
    modes: Option<Modes>,
}

#[derive(Debug)]
struct Modes {
    as_it_was: Termios,
    still: Termios,
}

impl StillTerminal {
    /// Keeps the standard output's terminal still. Ctrl-C goes on ending the program where a shell started it: a technician has no
    /// other way. On the box's own screen, where the program leads its session, it does nothing.
    ///
    /// # Errors
    /// The terminal has gone.
    pub(super) fn of_output() -> io::Result<StillTerminal> {
        if !io::stdout().is_terminal() {
            return Ok(StillTerminal { modes: None });
        }
        let as_it_was = tcgetattr(io::stdout())?;
        let mut still = as_it_was.clone();
        still.input_modes.remove(InputModes::IXON);
        still.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON);
        if getsid(None)? == getpid() {
            still.local_modes.remove(LocalModes::ISIG);
        }
        tcsetattr(io::stdout(), OptionalActions::Now, &still)?;
        Ok(StillTerminal { modes: Some(Modes { as_it_was, still }) })
    }

    /// Lets the terminal draw again, should a key hold it, and throws away what was typed. A queue of typed keys that is full would do no
    /// harm; so nothing waits in it for who comes after.
    ///
    /// # Errors
    /// The terminal has gone.
    pub(super) fn let_go(&self) -> io::Result<()> {
        let Some(Modes { still, .. }) = &self.modes else { return Ok(()) };
        // The kernel lets a held terminal go on when flow control is switched off (`n_tty_set_termios`), which it is already.
        let mut held = still.clone();
        held.input_modes.insert(InputModes::IXON);
        for modes in [&held, still] {
            tcsetattr(io::stdout(), OptionalActions::Now, modes)?;
        }
        Ok(tcflush(io::stdout(), QueueSelector::IFlush)?)
    }
}

impl Drop for StillTerminal {
    fn drop(&mut self) {
        if let Some(Modes { as_it_was, .. }) = &self.modes {
            // A terminal that has gone needs nothing put back.
            let _gone = tcsetattr(io::stdout(), OptionalActions::Flush, as_it_was);
        }
    }
}
