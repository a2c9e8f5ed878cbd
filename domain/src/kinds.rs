//! How the kinds of facts and of orders are declared: each a struct of its own, and an enum of all of them that knows their
//! names on the wire. A kind that a version does not know is not malformed: parsing it gives `None`.

macro_rules! kinds {
    (
        $(#[$body_doc:meta])* enum $body:ident;
        $($(#[$doc:meta])* $variant:ident = $kind:literal { $($(#[$fdoc:meta])* $field:ident : $type:ty,)* })*
    ) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            pub struct $variant { $($(#[$fdoc])* pub $field: $type,)* }

            impl From<$variant> for $body {
                fn from(data: $variant) -> Self { Self::$variant(data) }
            }
        )*

        $(#[$body_doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $body { $($(#[$doc])* $variant($variant),)* }

        impl $body {
            /// Every kind that this version knows.
            pub const KINDS: &[&str] = &[$($kind),*];

            /// The kind as it stands in the line.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind,)* }
            }

            fn data_json(&self) -> Result<String, serde_json::Error> {
                match self { $(Self::$variant(data) => serde_json::to_string(data),)* }
            }

            /// Reads the data of a known kind; `None` for a kind that this version does not know.
            fn parse(kind: &str, data: &str) -> Option<Result<Self, serde_json::Error>> {
                match kind {
                    $($kind => Some(serde_json::from_str(data).map(Self::$variant)),)*
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use kinds;
