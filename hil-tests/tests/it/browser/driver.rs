//! Debian's Chromium, driven through its own driver program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pestle_hil_tests::processes::{Keeper, Process, Program, build_folder};
use pestle_hil_tests::waiting::until;
use thirtyfour::{By, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver, WebElement};

/// A page answers in milliseconds; the machine may be busy with a whole build.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The widths at which each page must be usable and is pictured, in CSS pixels, with the window's height.
pub(crate) const WIDTHS: [(u32, u32); 3] = [(360, 760), (1280, 860), (1920, 1080)];

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
                let text = self.page.find(By::Css("body")).await.unwrap().text().await.unwrap_or_default();
                panic!("{overdue}\nThe page says:\n{text}");
            }
        }
    }

    /// Waits until the element says that.
    pub(crate) async fn says(&self, css: &str, wanted: &str) {
        let what = format!("{css} to say {wanted:?}");
        let looked = until(&what, SOON, || async {
            let element = self.page.find(By::Css(css)).await.map_err(|error| error.to_string())?;
            let text = element.text().await.map_err(|error| error.to_string())?;
            if text.contains(wanted) { Ok(()) } else { Err(format!("it says {text:?}")) }
        });
        looked.await.unwrap();
    }

    /// Sets the page's width, and checks that nothing stands out at the side.
    pub(crate) async fn fit(&self, (width, height): (u32, u32), what: &str) {
        self.page.cdp().emulation().set_device_metrics_override(width, height, 1.0, false).await.unwrap();
        let what = format!("{what} to fit into {width} px");
        let looked = until(&what, SOON, || async {
            let script = "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]";
            let sizes = self.page.execute(script, vec![]).await.map_err(|error| error.to_string())?;
            let sizes: [u32; 2] = sizes.convert().map_err(|error| error.to_string())?;
            if sizes[0] <= sizes[1] && sizes[1] <= width {
                Ok(())
            } else {
                Err(format!("it is {sizes:?} wide"))
            }
        });
        looked.await.unwrap();
    }

    /// Looks at the page at each width; writes `docs/screenshots/<name>-<width>.png` when pictures are wanted.
    pub(crate) async fn look(&self, name: &str) {
        for size in WIDTHS {
            self.fit(size, name).await;
            if std::env::var_os("PESTLE_SCREENSHOTS").is_some() {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/screenshots");
                std::fs::create_dir_all(&folder).unwrap();
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
