//! The disk under a path of this machine.

use std::fs::File;
use std::sync::Barrier;
use std::thread;

use pestle_hil_tests::disk::{mount::Mount, plain::Plain, state::Disk};
use pestle_hil_tests::power_cuts::campaign;

/// In some of them the kernel has a last question on its way when the disk goes.
const MOUNTS: usize = 400;

#[test]
fn a_disk_goes_in_peace_while_the_last_files_on_it_are_let_go() {
    let place = campaign::place().unwrap();
    let path = place.path().join("disk");
    for number in 0..MOUNTS {
        let mount = Mount::at(&path, &Disk::new(Plain::empty())).unwrap();
        let open: Vec<_> = (0..8).map(|file| File::create(path.join(file.to_string())).unwrap()).collect();
        let both = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                both.wait();
                drop(open);
            });
            both.wait();
            mount.end().unwrap_or_else(|error| panic!("mount {number}: {error}"));
        });
    }
}
