//! What a fact bears on, by its kind: who hears of it early, whether it would count twice, whose fields it carries.

use super::{FactBody, PatientAmended, PatientRegistered};
use crate::{journal::Lane, personal::Sealed};

impl FactBody {
    /// Whether people should hear of it before its turn comes: it is then sent early, as a copy.
    pub fn is_urgent(&self) -> bool {
        match self {
            Self::OrderRefused(_) => true,
            // The branch is about to refuse business, or does.
            Self::BoxSpaceLow(said) => matches!(&*said.level, "shedding" | "full"),
            // One wrong PIN is nobody's night; a name that is locked may be.
            Self::StaffDenied(denied) => &*denied.reason == "locked",
            // What stands in the cold has hours.
            Self::InputChanged(changed) => &*changed.kind == "power" && &*changed.state == "away",
            Self::PlaceChanged(changed) => {
                &*changed.state == "began"
                    && matches!(&*changed.trouble, "too_warm" | "too_cold" | "no_reading")
            }
            _ => false,
        }
    }

    /// Whether it adds to stock, cash or takings, so that it would count twice if its act were recorded twice.
    pub fn adds_up(&self) -> bool {
        match self {
            Self::SaleCompleted(_)
            | Self::TillReceived(_)
            | Self::TillPaidIn(_)
            | Self::TillPaidOut(_)
            | Self::StockOpened(_)
            | Self::StockReceived(_)
            | Self::StockSold(_)
            | Self::StockAdjusted(_)
            | Self::StockCounted(_) => true,
            // A session or a patient that is named twice is two; the rest says how things are, and not what is added.
            Self::TillOpened(_)
            | Self::TillClosed(_)
            | Self::PatientRegistered(_)
            | Self::PatientAmended(_)
            | Self::EpochOpened(_)
            | Self::BoxStarted(_)
            | Self::StaffSignedIn(_)
            | Self::StaffDenied(_)
            | Self::DrawerOpened(_)
            | Self::PrintCompleted(_)
            | Self::PrintUnknown(_)
            | Self::PrintReprinted(_)
            | Self::DeviceAttached(_)
            | Self::DeviceLost(_)
            | Self::DeviceFault(_)
            | Self::ReadingSampled(_)
            | Self::ReadingMissed(_)
            | Self::PlaceChanged(_)
            | Self::PrintRequested(_)
            | Self::InputChanged(_)
            | Self::ProbeCalibrated(_)
            | Self::BoxBooksIncomplete(_)
            | Self::BoxFactsFetched(_)
            | Self::BoxSpaceLow(_)
            | Self::BoxShed(_)
            | Self::OrdersJoined(_)
            | Self::OrderApplied(_)
            | Self::OrderRefused(_) => false,
        }
    }

    /// Sealed personal fields, if it carries any.
    pub fn personal(&self) -> Option<&Sealed> {
        match self {
            Self::PatientRegistered(PatientRegistered { details })
            | Self::PatientAmended(PatientAmended { details }) => Some(details),
            _ => None,
        }
    }

    /// Whether a fact of this kind may stand in that lane. Telemetry is shed, copied early and read by many: nothing of
    /// a person goes there, not even sealed (invariant I11).
    pub fn may_stand_in(&self, lane: Lane) -> bool {
        lane == Lane::Ledger || self.personal().is_none()
    }
}
