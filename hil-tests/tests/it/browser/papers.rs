//! More papers than a person goes through one by one: told of, and asked about, as one.

use pestle_hil_tests::waiting::until;
use pestle_hil_tests::world::PEOPLE;

use super::driver::SOON;
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
            branch.scanner.scan(scan.as_bytes()).await.unwrap();
            browser.holds("the pack", &shows(article)).await;
            browser.click("#quick button.note:last-of-type").await;
            browser.says("#total", "Change").await;
        }
        browser.says("#prints", &format!("{PAPERS} receipts wait to be printed, from Receipt")).await;
        browser.says("#prints", "put in a new roll").await;

        let printed = branch.printer.receipts().len();
        self.pull("#pull").await;
        browser.go_to(&self.counter).await;
        browser.says("#lost", "No connection to the box").await;
        // A box that is away takes no word on its papers, and the person who presses is told so.
        browser.scroll_and_click("#prints .many > [data-word=give_up]").await;
        browser.says("#prints-title", "Print none of them?").await;
        browser.click("#prints-go").await;
        browser.says("#prints-dialog .problem", "The box did not answer.").await;
        browser.click("#prints-dialog [data-do=cancel]").await;
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
        browser.scroll_and_click("#prints .many > .row [data-word=came_out]").await;
        browser.says("#prints-title", "Are all of them there?").await;
        browser.says("#prints-sure", "11 receipts are noted as printed, and not asked about again.").await;
        browser.says("#prints-go", "All are there").await;
        browser.click("#prints-dialog [data-do=cancel]").await;
        browser.says("#prints", &format!("{} receipts are recorded", PAPERS - 1)).await;
        browser.scroll_and_click("#prints .many > .row [data-word=print_copy]").await;
        browser.says("#prints-sure", "11 receipts are printed one after the other, each marked COPY.").await;
        browser.click("#prints-go").await;
        browser.says("#notice", &format!("{} copies are being printed.", PAPERS - 1)).await;
        browser.gone("#prints .print").await;
        // The last few that are still to come are not told of.
        let copies = until("the copies", SOON, || async {
            let copies = branch.printer.receipts().split_off(printed);
            if copies.len() < PAPERS - 1 { Err(format!("{} came out", copies.len())) } else { Ok(copies) }
        });
        let copies = copies.await.unwrap();
        assert_eq!(copies.len(), PAPERS - 1);
        assert!(copies.iter().all(|paper| paper.text().contains("COPY")));
    }
}
