//! Something that listens inside the box beside its pages, and a caller outside: whether the box's firewall keeps them apart.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::Result;
use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{guest::Guest, machine::STRANGER};

/// What it says to whoever comes.
const GREETING: &str = "a stranger";
/// Who is let in is greeted at once, also by a machine in software; who is dropped waits in vain.
const GREETED_WITHIN: Duration = Duration::from_secs(5);
/// Until it listens: a small program is started in a machine in software.
const LISTENS_WITHIN: u32 = 40;
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Whether who listens in the machine is reached from outside, where the machine's port is `port`.
///
/// # Errors
/// Nobody listens, as the machine itself sees it.
pub async fn is_reached(guest: &mut Guest, port: u16) -> Result<bool> {
    guest.run(&listen()).await?;
    // That it listens is seen where no firewall stands between.
    let mut tries = 0;
    while let Err(error) = guest.run(&call_from_inside()).await {
        tries += 1;
        if tries == LISTENS_WITHIN {
            return Err(error.context("nobody listens in the machine"));
        }
        sleep(LOOK_EVERY).await;
    }
    let greeted = async {
        let mut line = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let mut heard = String::new();
        line.read_to_string(&mut heard).await?;
        std::io::Result::Ok(heard.contains(GREETING))
    };
    // QEMU takes each connection at once; one that the machine refuses or drops ends without a word, or stays silent.
    Ok(timeout(GREETED_WITHIN, greeted).await.is_ok_and(|heard| heard.unwrap_or(false)))
}

/// A unit that is gone with the next start.
fn listen() -> String {
    let program = format!(
        "$on = IO::Socket::INET->new(LocalPort => {STRANGER}, Listen => 5, ReuseAddr => 1) or die $!; \
         while ($one = $on->accept) {{ print $one \"{GREETING}\\n\"; close $one }}"
    );
    format!(
        "systemctl is-active --quiet pestle-bench-stranger || \
         systemd-run --quiet --collect --expand-environment=no --unit=pestle-bench-stranger \
         perl -MIO::Socket::INET -e '{program}'"
    )
}

fn call_from_inside() -> String {
    format!(
        "perl -MIO::Socket::INET -e '$to = IO::Socket::INET->new(\"127.0.0.1:{STRANGER}\") or exit 1; print <$to>' | \
         grep '{GREETING}'"
    )
}
