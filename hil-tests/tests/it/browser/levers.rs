//! The workbench's levers: each is pulled there by a click, and felt at the counter.

use super::Pages;
use pestle_hil_tests::world::PEOPLE;
use thirtyfour::{By, Key};

impl Pages {
    pub(super) async fn pull(&self, lever: &str) {
        self.browser.go_to(&self.workbench).await;
        // A switch is clicked by its label, which is what a person aims at.
        let label = format!("label:has({lever})");
        let target = match self.browser.page.find(By::Css(label.as_str())).await {
            Ok(label) => label,
            Err(_) => self.browser.find(lever).await,
        };
        target.click().await.unwrap();
        self.browser.go_to(&self.counter).await;
    }

    /// A pack is clicked, and is in the basket; the paper is out, and the receipt waits; it is in again, and there it is.
    pub(super) async fn pack_and_paper(&self) {
        let browser = &self.browser;
        browser.go_to(&self.workbench).await;
        let pack = browser.find("#packs .pack > button").await;
        let name = pack.find(By::Css(".name")).await.unwrap().text().await.unwrap();
        pack.click().await.unwrap();
        browser.says("#last-scan", "]d201").await;
        browser.go_to(&self.counter).await;
        browser.says("#lines", &name).await;

        self.pull("#paper").await;
        let no_paper = "document.querySelector('#status').textContent.toLowerCase().includes('paper')";
        browser.holds("the counter to miss the paper", no_paper).await;
        let printed = self.world.branches[0].printer.receipts().len();
        browser.find("#quick button.note:first-of-type").await.click().await.unwrap();
        browser.says("#total", "Change").await;
        browser.says("#prints", "waits to be printed").await;
        assert_eq!(self.world.branches[0].printer.receipts().len(), printed);

        self.pull("#paper").await;
        self.last_paper_says(&[(&name, 1)]).await;
        browser.gone("#prints .print").await;
        browser.go_to(&self.workbench).await;
        browser.says("#which", &format!("{} of {}", printed + 1, printed + 1)).await;
        let picture = "(() => { const paper = document.getElementById('receipt'); \
                       return paper.complete && paper.naturalWidth > 300 && paper.naturalHeight > 300; })()";
        browser.holds("the picture of the receipt", picture).await;
        browser.look("workbench").await;
    }

    pub(super) async fn fridge(&self) {
        let browser = &self.browser;
        browser.go_to(&self.workbench).await;
        browser.find("#temperature").await.send_keys(Key::End).await.unwrap();
        browser.says("#degrees", "25.0 °C").await;
        browser.go_to(&self.counter).await;
        browser.says("#status", "25.0 °C").await;
        self.pull("#answers").await;
        browser.says("#status", "no reading").await;
        self.pull("#answers").await;
        browser.says("#status", "25.0 °C").await;
    }

    pub(super) async fn scanner(&self) {
        let scanner = |tone: &str| {
            format!(
                "[...document.querySelectorAll('#status .chip')].some((chip) => \
                 chip.textContent.includes('counter') && chip.classList.contains('{tone}'))"
            )
        };
        self.browser.go_to(&self.counter).await;
        self.browser.holds("the scanner to be there", &scanner("ok")).await;
        self.pull("#scanner").await;
        self.browser.holds("the scanner to be away", &scanner("bad")).await;
        self.pull("#scanner").await;
        self.browser.holds("the scanner to be back", &scanner("ok")).await;
    }

    pub(super) async fn line(&self) {
        self.browser.go_to(&self.counter).await;
        self.browser.says("#status", "Centre: connected").await;
        self.pull("input[value=reset]").await;
        self.browser.says("#status", "Centre: offline").await;
        self.pull("input[value=fair]").await;
        self.browser.says("#status", "Centre: connected").await;
    }

    /// SIGKILL: the page says that it has lost the box, and comes back by itself to the sign-in.
    pub(super) async fn plug(&self) {
        let browser = &self.browser;
        self.pull("#pull").await;
        browser.says("#lost", "No connection to the box").await;
        browser.go_to(&self.workbench).await;
        browser.says("#agent", "No power.").await;
        self.pull("#put").await;
        browser.gone("#lost").await;
        browser.find("#sign-in").await;
        browser.sign_in(&PEOPLE[1]).await;
        browser.gone("#sign-in").await;
        browser.find("#entry").await;
        browser.go_to(&self.workbench).await;
        browser.says("#agent", "The agent runs.").await;
    }
}
