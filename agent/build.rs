//! How the agent's program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Thirty thousand addresses are moved at each start: in the packed form (glibc 2.36) that takes a fortieth of the reading.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
}
