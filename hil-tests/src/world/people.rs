//! The demo's people. Their PINs and passwords are printed at each start: they open nothing but the demo.

/// Somebody at a counter.
#[derive(Debug, Clone, Copy)]
pub struct Person {
    /// Short name, as typed at sign-in.
    pub id: &'static str,
    /// As the counter greets them.
    pub name: &'static str,
    /// What they are.
    pub role: &'static str,
    /// What they type.
    pub pin: &'static str,
}

/// Who works in both branches.
pub const PEOPLE: &[Person] = &[
    Person { id: "ada", name: "Ada", role: "assistant", pin: "2468" },
    Person { id: "tom", name: "Tom", role: "technician", pin: "1357" },
    Person { id: "pia", name: "Pia", role: "pharmacist", pin: "8642" },
    Person { id: "max", name: "Max", role: "manager", pin: "9753" },
];

/// Who signs in to the console.
pub const ADMIN: (&str, &str) = ("admin@demo.example", "mortar-and-pestle");
