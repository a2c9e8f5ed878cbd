//! Debian's Chromium, driven through its own driver program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pestle_hil_tests::processes::{Keeper, Process, Program, build_folder};
use pestle_hil_tests::waiting::until;
use pestle_hil_tests::world::Person;
use thirtyfour::{
    By, ChromiumLikeCapabilities, DesiredCapabilities, Key, WebDriver, WebElement, WindowHandle,
};

/// A page answers in milliseconds; the machine may be busy with a whole build.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The widths at which each page must be usable and is pictured, in CSS pixels, with the window's height.
pub(crate) const WIDTHS: [(u32, u32); 3] = [(360, 760), (1280, 860), (1920, 1080)];

/// From key to key, for a person: the page takes keys that are 40 ms apart in the mean for a scanner's.
const HAND: Duration = Duration::from_millis(60);

/// Elements whose content is wider than they are and cannot be read: what hides it, and, where there is room for a
/// table, what makes people scroll sideways for it. An ellipsis says that there is more; a field scrolls by itself.
const CUT_OFF: &str = r#"
    const roomy = document.documentElement.clientWidth >= 1200;
    const hides = roomy ? ["hidden", "clip", "auto", "scroll"] : ["hidden", "clip"];
    return [...document.querySelectorAll("body *")].filter((element) => {
        const style = getComputedStyle(element);
        // Words for those who listen to the page are clipped on purpose.
        return hides.includes(style.overflowX) && style.textOverflow !== "ellipsis" && style.clipPath === "none"
            && !element.matches("input, select") && element.scrollWidth > element.clientWidth + 1;
    }).map((element) => `${element.tagName} #${element.id} .${element.className}: ${element.scrollWidth} in ${element.clientWidth}`)"#;

/// How a scanner that types sends FNC1.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Separator {
    F8,
    CtrlBracket,
}

/// A browser with its driver and a throwaway profile.
pub(crate) struct Browser {
    pub(crate) page: WebDriver,
    driver: Process,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let log = profile.path().join("chromedriver.log");
        let keeper = Keeper::start(&build_folder().join("pestle-demo")).unwrap();
        let driver = Program {
            name: "chromedriver".to_owned(),
            path: program("chromedriver"),
            arguments: vec!["--port=0".to_owned()],
            environment: vec![],
            log: log.clone(),
        };
        let driver = driver.start(&keeper).unwrap();
        let port = until("chromedriver's port", SOON, || std::future::ready(port(&log))).await.unwrap();

        let mut wanted = DesiredCapabilities::chrome();
        wanted.set_binary(program("chromium").to_str().unwrap()).unwrap();
        // Root has no sandbox, and a container little shared memory.
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
        ] {
            wanted.add_arg(argument).unwrap();
        }
        wanted.add_arg(&format!("--user-data-dir={}", profile.path().join("profile").display())).unwrap();
        // The pages' authority is the demo's own.
        thirtyfour::CapabilitiesHelper::accept_insecure_certs(&mut wanted, true).unwrap();
        let page = WebDriver::new(format!("http://127.0.0.1:{port}"), wanted).await.unwrap();
        Self { page, driver, _profile: profile }
    }

    /// Ends the browser, then its driver.
    pub(crate) async fn quit(mut self) {
        let _ = self.page.quit().await;
        self.driver.stop().await;
    }

    /// Waits for an element that is there and shown.
    pub(crate) async fn find(&self, css: &str) -> WebElement {
        let found = until(css, SOON, || async {
            let element = self.page.find(By::Css(css)).await.map_err(|error| error.to_string())?;
            match element.is_displayed().await {
                Ok(true) => Ok(element),
                Ok(false) => Err("it is hidden".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        });
        match found.await {
            Ok(element) => element,
            Err(overdue) => {
                panic!("{overdue}\n{}", self.state().await);
            }
        }
    }

    /// What the page shows, what stands in its fields, and which has the focus: for whoever reads of a failure.
    async fn state(&self) -> String {
        let text = self.page.find(By::Css("body")).await.unwrap().text().await.unwrap_or_default();
        let script = "return JSON.stringify({page: document.body.dataset, focus: document.activeElement?.id, \
                      fields: [...document.querySelectorAll('input, select')].map((field) => \
                      `${field.id}: ${field.type === 'checkbox' ? field.checked : field.value}`)})";
        let known = self.page.execute(script, vec![]).await.map(|answer| answer.json().clone());
        format!("The page says:\n{text}\nIts fields: {known:?}")
    }

    /// Clicks what is shown there. A piece that the box has just sent anew took its buttons with it: a click that found none did nothing.
    pub(crate) async fn click(&self, css: &str) {
        let what = format!("a click on {css}");
        let clicked = until(&what, SOON, || async {
            let element = self.page.find(By::Css(css)).await.map_err(|error| error.to_string())?;
            element.click().await.map_err(|error| error.to_string())
        });
        clicked.await.unwrap();
    }

    /// Scrolls to what lies behind the payment panel, as a person does, and clicks it.
    pub(crate) async fn scroll_and_click(&self, css: &str) {
        self.find(css).await.scroll_into_view().await.unwrap();
        self.click(css).await;
    }

    /// Signs somebody in at a till's page.
    pub(crate) async fn sign_in(&self, person: &Person) {
        self.find("#staff").await.send_keys(person.id).await.unwrap();
        self.find("#pin").await.send_keys(person.pin).await.unwrap();
        self.click("#sign-in .go").await;
    }

    /// Signs somebody in at the page of a closed till, and opens it.
    pub(crate) async fn open_the_till(&self, person: &Person) {
        self.sign_in(person).await;
        self.click("#float").await;
        self.type_by_hand("150.00").await;
        let doubted = self.page.find(By::Css("#date-confirmed")).await.unwrap();
        if doubted.is_displayed().await.unwrap() {
            self.click("#date-confirmed").await;
        }
        self.click("#open .go").await;
        self.says("#lines", "Scan the first pack").await;
    }

    /// Waits until the element says that.
    pub(crate) async fn says(&self, css: &str, wanted: &str) {
        let what = format!("{css} to say {wanted:?}");
        let looked = until(&what, SOON, || async {
            let element = self.page.find(By::Css(css)).await.map_err(|error| error.to_string())?;
            let text = element.text().await.map_err(|error| error.to_string())?;
            if text.contains(wanted) { Ok(()) } else { Err(format!("it says {text:?}")) }
        });
        if let Err(overdue) = looked.await {
            panic!("{overdue}\n{}", self.state().await);
        }
    }

    /// Waits until nothing that `css` selects is shown.
    pub(crate) async fn gone(&self, css: &str) {
        let what = format!("no {css}");
        let looked = until(&what, SOON, || async {
            for element in self.page.find_all(By::Css(css)).await.map_err(|error| error.to_string())? {
                if element.is_displayed().await.unwrap_or(false) {
                    return Err(element.text().await.unwrap_or_default());
                }
            }
            Ok(())
        });
        looked.await.unwrap();
    }

    /// Waits until a script says true.
    pub(crate) async fn holds(&self, what: &str, script: &str) {
        let script = format!("return {script}");
        let looked = until(what, SOON, || async {
            let said = self.page.execute(&script, vec![]).await.map_err(|error| error.to_string())?;
            if said.json() == &serde_json::Value::Bool(true) { Ok(()) } else { Err(said.json().to_string()) }
        });
        if let Err(overdue) = looked.await {
            panic!("{overdue}\n{}", self.state().await);
        }
    }

    /// What stands in a field.
    pub(crate) async fn value(&self, css: &str) -> String {
        self.find(css).await.value().await.unwrap().unwrap_or_default()
    }

    /// Types at a person's pace into whatever has the focus.
    pub(crate) async fn type_by_hand(&self, text: impl Into<thirtyfour::TypingData>) {
        let keys: thirtyfour::TypingData = text.into();
        for key in keys.as_vec() {
            // Not a wait for anything: the pause is what is typed.
            tokio::time::sleep(HAND).await;
            self.page.action_chain().send_keys(key.to_string()).perform().await.unwrap();
        }
    }

    /// Types as a scanner does that was set up as a keyboard: without a pause, and Enter behind it. The separator is
    /// the key F8, or Ctrl+].
    pub(crate) async fn scan_by_keys(&self, code: &str, separator: Separator) {
        // What a person typed before does not belong to it.
        tokio::time::sleep(HAND).await;
        let mut keys = self.page.action_chain();
        for (part, number) in code.split('\u{1d}').zip(0..) {
            if number > 0 {
                keys = match separator {
                    Separator::F8 => keys.send_keys(Key::F8),
                    Separator::CtrlBracket => keys.key_down(Key::Control).send_keys("]").key_up(Key::Control),
                };
            }
            keys = keys.send_keys(part);
        }
        keys.send_keys(Key::Enter).perform().await.unwrap();
    }

    /// Opens a page in a tab of its own, and goes there.
    pub(crate) async fn open(&self, address: &str) -> WindowHandle {
        let tab = self.page.new_tab().await.unwrap();
        self.go_to(&tab).await;
        self.page.goto(address).await.unwrap();
        tab
    }

    /// Goes to another tab.
    pub(crate) async fn go_to(&self, tab: &WindowHandle) {
        self.page.switch_to_window(tab.clone()).await.unwrap();
    }

    /// Sets the page's width, and checks that nothing stands out at the side or is cut off inside.
    pub(crate) async fn fit(&self, (width, height): (u32, u32), what: &str) {
        self.page.cdp().emulation().set_device_metrics_override(width, height, 1.0, false).await.unwrap();
        let what = format!("{what} to fit into {width} px");
        let looked = until(&what, SOON, || async {
            let script = "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]";
            let sizes = self.page.execute(script, vec![]).await.map_err(|error| error.to_string())?;
            let sizes: [u32; 2] = sizes.convert().map_err(|error| error.to_string())?;
            if sizes[0] > sizes[1] || sizes[1] > width {
                return Err(format!("it is {sizes:?} wide"));
            }
            let cut = self.page.execute(CUT_OFF, vec![]).await.map_err(|error| error.to_string())?;
            let cut: Vec<String> = cut.convert().map_err(|error| error.to_string())?;
            if cut.is_empty() { Ok(()) } else { Err(format!("cut off inside: {cut:?}")) }
        });
        looked.await.unwrap();
    }

    /// Looks at the page at each width; writes `docs/screenshots/<name>-<width>.png` when pictures are wanted.
    pub(crate) async fn look(&self, name: &str) {
        self.look_at("body", name).await;
    }

    /// The same, with the picture from the top of what `css` selects.
    pub(crate) async fn look_at(&self, css: &str, name: &str) {
        for size in WIDTHS {
            self.fit(size, name).await;
            if std::env::var_os("PESTLE_SCREENSHOTS").is_some() {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/screenshots");
                std::fs::create_dir_all(&folder).unwrap();
                let scroll =
                    format!("document.querySelector('{css}').scrollIntoView({{ behavior: 'instant' }})");
                self.page.execute(&scroll, vec![]).await.unwrap();
                self.page.screenshot(&folder.join(format!("{name}-{}.png", size.0))).await.unwrap();
            }
        }
        self.page.cdp().emulation().clear_device_metrics_override().await.unwrap();
    }
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.exists())
        .unwrap_or_else(|| panic!("{name} is not installed: run hil-tests/setup.sh"))
}

/// `ChromeDriver was started successfully on port 41234.`
fn port(log: &Path) -> Result<u16, String> {
    let text = std::fs::read_to_string(log).map_err(|error| error.to_string())?;
    text.split("successfully on port ")
        .nth(1)
        .and_then(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next())
        .and_then(|digits| digits.parse().ok())
        .ok_or(text)
}
