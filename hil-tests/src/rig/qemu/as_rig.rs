//! The machine as the cases use it.

use std::{
    fs,
    time::{Duration, Instant, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use serde_json::json;

use super::{
    QemuRig, address,
    disk_cuts::{self, Plan},
    gadgets::Gadget,
    machine::{BESIDE_SERIAL, KEYBOARD_SERIAL, SCANNER_SERIAL},
    power_cuts,
    stick::Stick,
    stranger,
};
use crate::{
    counter::Counter,
    rig::{Devices, PrinterKind, Rig, ScannerKind, TakenHome, here::last_screen},
};

/// A box that runs answers at once; one whose network has just come back, or whose agent was started again, in moments.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// How long a device that was pulled may keep what it held.
const PLUGGED_WITHIN: Duration = Duration::from_secs(10);

/// Its rules cannot be read any more, as after a bad update; it is started anew.
const SPOIL_FIREWALL: &str = "echo nonsense > /run/no-rules && mount --bind /run/no-rules /etc/nftables.conf; \
                              systemctl restart nftables; systemctl is-active nftables; true";
const MEND_FIREWALL: &str =
    "umount /etc/nftables.conf; systemctl restart nftables; systemctl is-active nftables";

/// Where chance begins in the short campaigns; the long ones are given theirs (`pestle-rig`).
const SEED: u64 = 1;
/// Sales of each till whose writes are recorded.
const SALES_RECORDED: usize = 10;

/// How often systemd says that it has ended an agent that hung, since this start.
const COUNT_HANGS: &str =
    "journalctl --boot --unit=pestle-agent --output=cat --no-pager | grep -c 'Watchdog timeout' || true";
/// Twice what the unit gives the agent.
const WATCHDOG_WITHIN: Duration = Duration::from_secs(60);

#[async_trait]
impl Rig for QemuRig {
    async fn reset(&mut self) -> Result<()> {
        self.own_box_is_back()?;
        if self.running.as_mut().is_none_or(|running| running.ended().is_some()) {
            self.power_on().await?;
        }
        self.set_network(true).await?;
        self.page_answers(BACK_WITHIN).await?;
        for scanner in std::mem::take(&mut self.pulled_scanners) {
            self.plug_scanner(scanner, true).await?;
        }
        if std::mem::take(&mut self.keyboard_beside) {
            self.plug_keyboard(false).await?;
        }
        if std::mem::take(&mut self.pulled_printer) {
            self.plug_printer(PrinterKind::Usb, true).await?;
        }
        if std::mem::take(&mut self.firewall_fails) {
            self.set_firewall(true).await?;
        }
        if std::mem::take(&mut self.battery_is_empty) {
            // As a time server would.
            let now = UNIX_EPOCH.elapsed()?.as_secs();
            self.inside(&format!("date --set=@{now}")).await?;
        }
        self.site.reset().await
    }

    fn counter(&self, till: &str) -> Result<Counter> {
        let port = self.running.as_ref().context("the machine is off")?.https;
        let authority = match &self.other_box {
            None => &self.authority,
            Some(other) => other.authority()?,
        };
        Ok(Counter::at(address(port), authority)?.at_till(till))
    }

    fn devices(&mut self) -> &mut dyn Devices {
        &mut self.site
    }

    async fn scan(&mut self, scanner: ScannerKind, barcode: &[u8]) -> Result<()> {
        match scanner {
            ScannerKind::Keyboard => self.running()?.type_text(&[barcode, b"\r"].concat()).await,
            _ => self.site.scan(scanner, barcode).await,
        }
    }

    async fn plug_scanner(&mut self, scanner: ScannerKind, into: bool) -> Result<()> {
        self.pulled_scanners.retain(|pulled| *pulled != scanner);
        if !into {
            self.pulled_scanners.push(scanner);
        }
        let (id, device) = match scanner {
            ScannerKind::Keyboard => (
                "keyboard",
                json!({ "driver": "usb-kbd", "id": "keyboard", "bus": "usb.0", "port": "1",
                    "serial": KEYBOARD_SERIAL }),
            ),
            ScannerKind::Serial => (
                "scanner-adapter",
                json!({ "driver": "usb-serial", "id": "scanner-adapter", "bus": "usb.0", "port": "2",
                    "chardev": "scanner", "serial": SCANNER_SERIAL }),
            ),
            ScannerKind::CdcAcm => return Gadget::Scanner.plug(&mut self.guest().await?, into).await,
        };
        if !into {
            self.running()?.ask("device_del", json!({ "id": id })).await?;
            return Ok(());
        }
        // QEMU frees what the device held a moment after it is gone.
        let deadline = Instant::now() + PLUGGED_WITHIN;
        loop {
            match self.running()?.ask("device_add", device.clone()).await {
                Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(200)).await,
                plugged => return plugged.map(drop),
            }
        }
    }

    async fn plug_keyboard(&mut self, into: bool) -> Result<()> {
        self.keyboard_beside = into;
        if !into {
            self.running()?.ask("device_del", json!({ "id": "keyboard-beside" })).await?;
            return Ok(());
        }
        let keyboard = json!({ "driver": "usb-kbd", "id": "keyboard-beside", "bus": "usb.0", "port": "4",
            "serial": BESIDE_SERIAL });
        // QEMU gives its keys to the keyboard that came last.
        self.running()?.ask("device_add", keyboard).await.map(drop)
    }

    async fn press(&mut self, keys: &[&str]) -> Result<()> {
        self.running()?.press(keys).await
    }

    async fn plug_printer(&mut self, printer: PrinterKind, into: bool) -> Result<()> {
        match printer {
            PrinterKind::Usb => {
                self.pulled_printer = !into;
                Gadget::Printer.plug(&mut self.guest().await?, into).await
            }
            _ => bail!("the cable of the {} printer has no plug here", printer.name()),
        }
    }

    async fn set_network(&mut self, there: bool) -> Result<()> {
        self.running()?.ask("set_link", json!({ "name": "card", "up": there })).await?;
        Ok(())
    }

    /// QEMU is killed: what it had not written to this machine's files is what a disk without a cache would have written.
    async fn cut_power(&mut self) -> Result<()> {
        match &mut self.running {
            None => bail!("the machine is off"),
            Some(running) => running.cut(),
        }
        self.running = None;
        // The next start has all devices.
        self.pulled_scanners.clear();
        self.pulled_printer = false;
        self.keyboard_beside = false;
        self.firewall_fails = false;
        self.power_on().await
    }

    async fn cut_power_and_clock(&mut self) -> Result<()> {
        self.battery_is_empty = true;
        self.cut_power().await
    }

    async fn cut_power_while_selling(&mut self, cuts: usize) -> Result<()> {
        self.power_off();
        let report = Box::pin(power_cuts::run(self.settings.clone(), cuts, SEED)).await?;
        ensure!(report.cuts == cuts && report.sales > 0, "too little was sold: {report:?}");
        self.power_on().await
    }

    async fn cut_off_writes(&mut self, points: usize) -> Result<()> {
        self.power_off();
        let plan = Plan { sales: SALES_RECORDED, points, seed: SEED };
        let report = Box::pin(disk_cuts::run(self.settings.clone(), plan)).await?;
        let many = report.points == points && report.unsafe_points > 0 && report.sales_found > 0;
        ensure!(many, "too little was looked at: {report:?}");
        self.power_on().await
    }

    /// Of the first serial port.
    fn configuration(&self) -> Result<String> {
        Ok(fs::read_to_string(self.place.path().join("data/etc/agent.toml"))?)
    }

    async fn stick(&mut self, files: &[(&str, String)]) -> Result<TakenHome> {
        let stick = Stick::with(self.place.path(), files).await?;
        stick.plug_into(self.running()?).await
    }

    async fn box_from_factory(&mut self) -> Result<()> {
        self.other_box_stands_here().await
    }

    fn trust(&mut self, authority: Vec<u8>) -> Result<()> {
        self.other_box_is_enrolled_by(authority)
    }

    async fn set_firewall(&mut self, works: bool) -> Result<()> {
        let done = self.guest().await?.run(if works { MEND_FIREWALL } else { SPOIL_FIREWALL }).await?;
        self.firewall_fails = !works;
        let wanted = if works { "active" } else { "failed" };
        ensure!(done.lines().last() == Some(wanted), "nftables says: {done}");
        Ok(())
    }

    async fn stranger_is_reached(&mut self) -> Result<bool> {
        let port = self.running()?.stranger;
        // The way in is the same: who is not reached is kept out there.
        self.page_answers(BACK_WITHIN).await?;
        stranger::is_reached(&mut self.guest().await?, port).await
    }

    async fn hang_agent(&mut self) -> Result<()> {
        let mut guest = self.guest().await?;
        let before = guest.run(COUNT_HANGS).await?;
        guest.run("systemctl kill --signal=STOP pestle-agent").await?;
        let deadline = Instant::now() + WATCHDOG_WITHIN;
        while guest.run(COUNT_HANGS).await? == before {
            ensure!(Instant::now() < deadline, "no watchdog noticed that the agent hangs");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    async fn inside(&mut self, command: &str) -> Result<String> {
        self.guest().await?.run(command).await
    }

    async fn console(&mut self) -> Result<String> {
        last_screen(&fs::read(&self.running()?.console)?)
    }

    async fn picture_of_screen(&mut self) -> Result<Option<Vec<u8>>> {
        let file = self.place.path().join("screen.png");
        let arguments = json!({ "filename": file, "format": "png" });
        self.running()?.ask("screendump", arguments).await?;
        Ok(Some(fs::read(file)?))
    }
}
