//! Ports for programs that have to be told theirs before they start, and for simulated devices that come back to theirs.

use std::{
    fs,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    net::TcpListener,
    ops::Range,
};

/// Where the kernel takes the near ends of connections from, where it does not say otherwise: `ip_local_port_range` in the
/// kernel's ip-sysctl documentation.
const LOWEST_OF_CONNECTIONS: u16 = 32_768;

/// Below it, services of the machine may listen.
const LOWEST: u16 = 10_000;

/// Free ports of this machine, all different.
///
/// None is one that the kernel gives to a port of 0 or to a connection's near end: between this moment and the start of the
/// program that is to listen there, and while that program is stopped, no other would take such a port but one that asks here.
///
/// # Errors
/// The kernel gives none.
pub fn free<const COUNT: usize>() -> io::Result<[u16; COUNT]> {
    let ports = below_connections();
    let mut held: Vec<TcpListener> = Vec::with_capacity(COUNT);
    let mut tries = u32::from(ports.end - ports.start);
    while held.len() < COUNT {
        match TcpListener::bind(("127.0.0.1", any_of(&ports))) {
            Ok(listener) => held.push(listener),
            Err(error) if tries == 0 => return Err(error),
            Err(_) => tries -= 1,
        }
    }
    let mut free = [0; COUNT];
    for (port, listener) in free.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(free)
}

fn any_of(ports: &Range<u16>) -> u16 {
    // Each of its hashers has keys of its own.
    let random = RandomState::new().build_hasher().finish();
    let within = random % u64::from(ports.end - ports.start);
    // It is less than a count of ports, which is a u16.
    ports.start + u16::try_from(within).unwrap_or_default()
}

fn below_connections() -> Range<u16> {
    let told = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    let lowest = told.as_deref().and_then(|range| range.split_whitespace().next()?.parse().ok());
    // A machine that leaves nothing below gets some of its own range: better a rare meeting than none at all.
    LOWEST..lowest.unwrap_or(LOWEST_OF_CONNECTIONS).max(LOWEST + 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_are_free_and_are_none_that_connections_get() {
        let ports: [u16; 8] = free().unwrap();
        let held: Vec<_> =
            ports.iter().map(|port| TcpListener::bind(("127.0.0.1", *port)).unwrap()).collect();
        let of_connections = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(held.len(), 8);
        assert!(ports.iter().all(|port| *port < of_connections), "{ports:?} {of_connections}");
    }
}
