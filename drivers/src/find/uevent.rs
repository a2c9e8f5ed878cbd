//! The kernel's own word that something was plugged in or pulled, over netlink.
//!
//! The word is a bell and no more: whoever hears it looks at what is attached. So nothing is lost with a word that
//! was lost (the kernel drops them when a queue is full), and what it says needs no reading. The first group is the
//! kernel's; udev's second one comes later and only where udev runs (Linux, lib/kobject_uevent.c; systemd, libudev).
//!
//! `rustix`, which is here anyway, has the whole of it in safe functions; crates for udev bring libudev, a C library.
//! inotify on `/dev` would see device files, and neither a changed name below `/sys` nor a box whose `/dev` is not
//! its own.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, bind,
        netlink::{KOBJECT_UEVENT, SocketAddrNetlink},
        recv, socket_with,
    },
};
use tokio::io::unix::AsyncFd;

/// The group of the kernel's own words.
const KERNEL: u32 = 1;

/// The bell.
#[derive(Debug)]
pub struct Uevents {
    socket: AsyncFd<OwnedFd>,
}

impl Uevents {
    /// Listens from now on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The system lets this process have no such socket (a sandbox, another network namespace).
    pub fn listen() -> io::Result<Uevents> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
        bind(&socket, &SocketAddrNetlink::new(0, KERNEL))?;
        #[allow(
            deprecated,
            reason = "its replacement is unsafe; an owned descriptor that is never swapped is all that it asks for"
        )]
        let socket = AsyncFd::new(socket)?;
        Ok(Uevents { socket })
    }

    /// Waits until something happened; all that waits counts as one. Cancel-safe.
    ///
    /// # Errors
    /// What the system said.
    pub async fn heard(&self) -> io::Result<()> {
        let mut rung = false;
        loop {
            let mut ready = self.socket.readable().await?;
            // Cut off at the buffer's end: nobody reads it.
            let mut word = [0u8; 64];
            match recv(self.socket.get_ref().as_fd(), &mut word, RecvFlags::TRUNC) {
                // The queue was full: something happened.
                Ok(_) | Err(Errno::NOBUFS) => rung = true,
                Err(Errno::AGAIN) if rung => return Ok(()),
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
