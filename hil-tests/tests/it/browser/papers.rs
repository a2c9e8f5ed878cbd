//! More papers than a person goes through one by one: told of, and asked about, as one.

use pestle_hil_tests::world::PEOPLE;

use super::typed::NOT_TAKEN;
use super::{Pages, plain_articles, shows};

/// More than the page shows one by one.
const PAPERS: usize = 12;

impl Pages {
    /// Sales without paper, and a cut: the page asks about all of them at once, lets one be answered by itself, and prints the
    /// others as copies.
    pub(super) async fn many_papers_of_before_a_cut(&self) {
        let (browser, branch) = (&self.browser, &self.world.branches[0]);
        self.pull("#paper").await;
        browser.go_to(&self.counter).await;
        let no_paper = "document.querySelector('#status').textContent.toLowerCase().includes('paper')";
        browser.holds("the counter to miss the paper", no_paper).await;
        for (article, number) in plain_articles().iter().cycle().zip(1..=PAPERS) {
            let scan = article.data_matrix(&article.lots[0], &format!("CUT{number}"));
            loop {
                branch.scanner.scan(scan.as_bytes()).await.unwrap();
                browser.holds("what came of a scan", &format!("({}) || {NOT_TAKEN}", shows(article))).await;
                if browser.says_true(&shows(article)).await {
                    break;
                }
                // A busy machine reads it in two pieces, and takes neither.
                self.put_all_aside().await;
            }
            browser.click("#quick button.note:last-of-type").await;
            browser.says("#total", "Change").await;
        }
        browser.says("#prints", &format!("{PAPERS} receipts wait to be printed, from Receipt")).await;
        browser.says("#prints", "put in a new roll").await;

        let printed = branch.printer.receipts().len();
        self.pull("#pull").await;
        browser.go_to(&self.counter).await;
        browser.says("#lost", "No connection to the box").await;
        self.pull("#put").await;
        browser.go_to(&self.counter).await;
        browser.gone("#lost").await;
        browser.sign_in(&PEOPLE[1]).await;
        browser.says("#prints", &format!("{PAPERS} receipts are recorded, from Receipt")).await;
        browser.look("papers-in-doubt").await;

        browser.scroll_and_click("#prints .each > summary").await;
        browser.says("#prints .each", "And 2 more, shown when these have ended.").await;
        let shown = "document.querySelectorAll('#prints .each > .print').length";
        browser.holds("ten of them one by one", &format!("{shown} === 10")).await;
        browser.scroll_and_click("#prints .each > .print .go").await;
        browser.says("#prints", &format!("{} receipts are recorded", PAPERS - 1)).await;
        browser.says("#prints .each", "And 1 more, shown when these have ended.").await;

        browser.scroll_and_click("#prints .many > .row [data-word=give_up]").await;
        browser.says("#prints-sure", "None of 11 receipts will be printed.").await;
        browser.click("#prints-dialog [data-do=cancel]").await;
        browser.says("#prints", &format!("{} receipts are recorded", PAPERS - 1)).await;

        self.pull("#paper").await;
        browser.go_to(&self.counter).await;
        browser.scroll_and_click("#prints .many > .row [data-word=print_copy]").await;
        browser.says("#notice", &format!("{} copies are being printed.", PAPERS - 1)).await;
        browser.gone("#prints .print").await;
        let copies = branch.printer.receipts().split_off(printed);
        assert_eq!(copies.len(), PAPERS - 1);
        assert!(copies.iter().all(|paper| paper.text().contains("COPY")));
    }
}
