//! Another box in the place of the rig's own, as it leaves the factory: the image as it is shipped, nobody's.

use std::fs;

use anyhow::{Context as _, Result};

use super::{DISK, QemuRig, VARIABLES, disk, firmware, image};

/// The folder of what the rig's own box keeps meanwhile.
const PUT_ASIDE: &str = "own-box";

/// A box that stands there for as long as a case takes.
#[derive(Debug, Default)]
pub(super) struct OtherBox {
    /// Of the centre that has enrolled it, in PEM.
    enrolled_by: Option<Vec<u8>>,
}

impl OtherBox {
    /// What has signed its pages' certificate.
    ///
    /// # Errors
    /// It is nobody's yet.
    pub(super) fn authority(&self) -> Result<&Vec<u8>> {
        self.enrolled_by.as_ref().context("the box from the factory is nobody's yet")
    }
}

impl QemuRig {
    /// Switches the own box off, and one from the factory on.
    pub(super) async fn other_box_stands_here(&mut self) -> Result<()> {
        self.power_off();
        let aside = self.place.path().join(PUT_ASIDE);
        fs::create_dir_all(&aside)?;
        for kept in [DISK, VARIABLES] {
            fs::rename(self.place.path().join(kept), aside.join(kept))?;
        }
        self.other_box = Some(OtherBox::default());
        disk::shipped(&image(&self.settings), &self.disk()).await?;
        firmware(&self.settings, self.place.path())?;
        self.press_power_button().await?;
        self.plug_gadgets().await
    }

    /// Its pages are believed from now on.
    pub(super) fn other_box_is_enrolled_by(&mut self, authority: Vec<u8>) -> Result<()> {
        let other = self.other_box.as_mut().context("the rig's own box has its own centre")?;
        other.enrolled_by = Some(authority);
        Ok(())
    }

    /// Takes it away, if it is there. The own box is off then.
    pub(super) fn own_box_is_back(&mut self) -> Result<()> {
        if self.other_box.take().is_some() {
            self.power_off();
            let aside = self.place.path().join(PUT_ASIDE);
            for kept in [DISK, VARIABLES] {
                fs::rename(aside.join(kept), self.place.path().join(kept))?;
            }
        }
        Ok(())
    }
}
