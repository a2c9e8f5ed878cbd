//! The counter's page: what a person does with a mouse, a keyboard, and a scanner that types.

use std::time::{Duration, Instant};

use pestle_hil_tests::check::paper;
use pestle_hil_tests::demo_data::Article;
use pestle_hil_tests::waiting::until;
use thirtyfour::{By, Key};

use super::driver::{SOON, Separator, WIDTHS};
use super::typed::NOT_TAKEN;
use super::{Pages, plain_articles, shows};

/// How often a scan by keys is tried: the page takes a pause of more than 60 ms for the end of a scan.
const KEYED_SCANS_MAX: usize = 5;

/// Packs that fill more than a phone's screen.
const LONG_BASKET: usize = 12;

/// Shorter than the time for which a page holds back what it was sent (`PRESS_MS_MAX` in `live.js`).
const PRESS_MAX: Duration = Duration::from_millis(1_500);
const PRESSES_MAX: usize = 5;
const HEARD_WITHIN: Duration = Duration::from_millis(100);

impl Pages {
    pub(super) async fn sell_by_clicks(&self) {
        let browser = &self.browser;
        let all = plain_articles();
        let sold: Vec<_> = all.iter().step_by(9).take(4).collect();
        for (article, serial) in sold.iter().zip(1..) {
            let scan = article.data_matrix(&article.lots[0], &format!("CLICK{serial}"));
            self.world.branches[0].scanner.scan(scan.as_bytes()).await.unwrap();
            browser.says("#lines", &article.name).await;
        }
        browser.look("counter").await;
        self.a_press_is_a_click_whatever_comes_meanwhile(&all[1], &all[2]).await;
        browser.find("#quick button.note:last-of-type").await.click().await.unwrap();
        browser.says("#total", "Change").await;
        browser.says("#total", "receipt printed").await;
        let names: Vec<_> = sold.iter().map(|article| (article.name.as_str(), 1)).collect();
        let receipt = self.last_paper_says(&names).await;
        // The console was opened before the sale, and nobody reloads it.
        browser.go_to(&self.console).await;
        browser.says("#sales", &receipt).await;
        browser.look("console").await;
        browser.go_to(&self.counter).await;
    }

    /// The finger is on a line's button, a scan sends all lines anew, the finger is lifted: that line goes. A basket as
    /// before is left.
    async fn a_press_is_a_click_whatever_comes_meanwhile(&self, pressed: &Article, meanwhile: &Article) {
        let (browser, scanner) = (&self.browser, &self.world.branches[0].scanner);
        let scan =
            |article: &Article, serial: &str| article.data_matrix(&article.lots[0], serial).into_bytes();
        // A second ear at the same stream tells when the page was sent the lines.
        let listen = "window.sent = ''; window.ear = new EventSource(location.pathname + '/events'); \
                      window.ear.addEventListener('lines', ({ data }) => { window.sent = data; });";
        browser.page.execute(listen, vec![]).await.unwrap();
        browser.holds("the second ear", "window.sent !== ''").await;
        let press = async |attempt: usize| {
            scanner.scan(&scan(pressed, &format!("PRESSED{attempt}"))).await.unwrap();
            browser.says("#lines .marked", &pressed.name).await;
            let button = browser.find("#lines .marked .void").await;
            let begun = Instant::now();
            let chain = browser.page.action_chain().move_to_element_center(&button).click_and_hold();
            chain.perform().await.unwrap();
            scanner.scan(&scan(meanwhile, &format!("MEANWHILE{attempt}"))).await.unwrap();
            browser
                .holds("the lines to be sent", &format!("window.sent.includes({:?})", meanwhile.name))
                .await;
            // Long enough for the page's own ear, which heard it in the same moment.
            tokio::time::sleep(HEARD_WITHIN).await;
            let shown = browser.page.execute(format!("return {}", shows(meanwhile)), vec![]).await.unwrap();
            browser.page.action_chain().release().perform().await.unwrap();
            // A machine that is too busy for so short a press tells nothing.
            let told = (begun.elapsed() < PRESS_MAX).then(|| shown.json() == false);
            browser.holds("what came meanwhile", &shows(meanwhile)).await;
            told
        };
        let mut is_held_back = None;
        for attempt in 0..PRESSES_MAX {
            is_held_back = press(attempt).await;
            if is_held_back.is_some() {
                break;
            }
            self.take_off(pressed).await;
            self.take_off(meanwhile).await;
        }
        assert_eq!(is_held_back, Some(true), "nothing is shown anew under a finger");
        browser.holds("the line that was pressed to go", &format!("!{}", shows(pressed))).await;
        self.take_off(meanwhile).await;
        browser.page.execute("window.ear.close()", vec![]).await.unwrap();
    }

    /// Takes an article's lines off the basket, if there are any.
    async fn take_off(&self, article: &Article) {
        let take = format!(
            "for (const line of document.querySelectorAll('#lines [data-line]')) \
             if (line.textContent.includes({:?})) line.querySelector('.void').click()",
            article.name
        );
        self.browser.page.execute(take, vec![]).await.unwrap();
        self.browser.holds("the line to go", &format!("!{}", shows(article))).await;
    }

    /// Waits for the paper with these articles, row by row, and hands back its number.
    pub(super) async fn last_paper_says(&self, wanted: &[(&str, i64)]) -> String {
        let printer = &self.world.branches[0].printer;
        let read = until("the paper", SOON, || {
            let paper = printer.last_receipt().map(|paper| paper.lines()).unwrap_or_default();
            std::future::ready(paper::read(&paper).and_then(|paper| {
                let said: Vec<_> =
                    paper.lines.iter().map(|line| (line.name.as_str(), line.quantity)).collect();
                if said == wanted { Ok(paper.receipt) } else { Err(format!("{said:?}")) }
            }))
        });
        read.await.unwrap()
    }

    /// No mouse: a name, a quantity, the cash, a refusal that is put aside.
    pub(super) async fn sell_by_keys(&self) {
        let browser = &self.browser;
        let article = &plain_articles()[0];
        browser.holds("the entry to have the focus", "document.activeElement.id === 'entry'").await;
        let words: Vec<&str> = article.name.split_whitespace().take(3).collect();
        browser.type_by_hand(words.join(" ")).await;
        browser.type_by_hand(Key::Enter).await;
        browser.says("#hits", &article.name).await;
        browser.holds("the first hit to have the focus", "!!document.activeElement.dataset.add").await;
        browser.type_by_hand(Key::Enter).await;
        browser.says("#lines", &article.name).await;
        browser.type_by_hand("2").await;
        browser.type_by_hand(Key::Enter).await;
        browser.says("#total", "2 packs").await;

        self.world.branches[0].scanner.scan(b"]E09520999000016").await.unwrap();
        browser.says(".refused", "No article has the number").await;
        browser.type_by_hand(Key::Escape).await;
        browser.gone(".refused").await;

        browser.type_by_hand(Key::F2).await;
        browser.holds("the cash to have the focus", "document.activeElement.id === 'tendered'").await;
        browser.type_by_hand("100").await;
        browser.type_by_hand(Key::Enter).await;
        browser.says("#total", "Change").await;
        self.last_paper_says(&[(&article.name, 2)]).await;
        browser.holds("the entry to have the focus", "document.activeElement.id === 'entry'").await;
    }

    /// Its keys go into whatever field has the focus, and must not stay there.
    pub(super) async fn sell_by_a_scanner_that_types(&self) {
        let browser = &self.browser;
        let all = plain_articles();
        let (first, second) = (&all[5], &all[11]);
        self.scan_by_keys_into("entry", "", first, Separator::F8).await;
        self.scan_by_keys_into("tendered", "5", second, Separator::CtrlBracket).await;
        browser.says("#total", "2 packs").await;
        assert!(browser.page.find_all(By::Css(".refused")).await.unwrap().is_empty());

        browser.type_by_hand("00").await;
        browser.type_by_hand(Key::Enter).await;
        browser.says("#total", "Change").await;
        self.last_paper_says(&[(&first.name, 1), (&second.name, 1)]).await;
    }

    /// Scans a pack by keys while `field` has the focus and `typed` stands in it: the pack is in the basket, and the
    /// field as it was.
    async fn scan_by_keys_into(&self, field: &str, typed: &str, article: &Article, separator: Separator) {
        let browser = &self.browser;
        let code = article.data_matrix(&article.lots[0], &format!("TYPED{field}"));
        let in_basket =
            format!("document.getElementById('lines').textContent.includes({:?})", article.name.as_str());
        for _ in 0..KEYED_SCANS_MAX {
            browser.type_by_hand(if field == "tendered" { Key::F2 } else { Key::Escape }).await;
            let focused = format!("document.activeElement.id === '{field}'");
            browser.holds("the field to have the focus", &focused).await;
            browser.type_by_hand(typed).await;
            browser.scan_by_keys(&code, separator).await;
            let outcome = format!("{in_basket} || {NOT_TAKEN}");
            browser.holds("what came of the scan", &outcome).await;
            if browser.page.execute(format!("return {in_basket}"), vec![]).await.unwrap().json() == true {
                assert_eq!(browser.value(&format!("#{field}")).await, typed, "what stood there is back");
                return;
            }
            // A busy machine typed it with a pause, as no scanner does: put everything aside, and once more.
            self.put_all_aside().await;
        }
        panic!("{} did not come into the basket in {KEYED_SCANS_MAX} scans", article.name);
    }

    /// What the branch's link is doing and how much waits to be sent is always in sight.
    pub(super) async fn a_long_basket_hides_no_link(&self) {
        let browser = &self.browser;
        let all = plain_articles();
        let sold: Vec<_> = all.iter().rev().step_by(3).take(LONG_BASKET).collect();
        browser.fit(WIDTHS[0], "before a long basket").await;
        for (article, serial) in sold.iter().zip(1..) {
            let scan = article.data_matrix(&article.lots[0], &format!("LONG{serial}"));
            self.world.branches[0].scanner.scan(scan.as_bytes()).await.unwrap();
            browser.says("#lines", &article.name).await;
        }
        let newest = "(() => { const at = document.querySelector('#lines .marked').getBoundingClientRect(); \
                      return [at.top + 3, at.bottom - 3].every((y) => \
                      !!document.elementFromPoint(at.left + at.width / 2, y)?.closest('.marked')); })()";
        browser.holds("the newest line in sight", newest).await;
        browser.fit(WIDTHS[0], "a long basket").await;
        let script = "(() => { window.scrollTo(0, document.body.scrollHeight); \
                      const at = document.querySelector('#status .chips .chip').getBoundingClientRect(); \
                      return window.scrollY > 0 && at.height > 0 && at.top >= 0 && at.left >= 0 \
                             && at.bottom <= window.innerHeight && at.right <= window.innerWidth; })()";
        browser.holds("the link below a long basket", script).await;
        browser.page.cdp().emulation().clear_device_metrics_override().await.unwrap();
        browser.find("#quick button.note:last-of-type").await.click().await.unwrap();
        browser.says("#total", "Change").await;
        let names: Vec<_> = sold.iter().map(|article| (article.name.as_str(), 1)).collect();
        self.last_paper_says(&names).await;
    }
}
