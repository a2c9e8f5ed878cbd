// The workbench: what a person does to the devices of one branch, and what these show.
"use strict";

const by = (id) => document.getElementById(id);
let shelf = [];
let state = null;
let branch = decodeURIComponent(location.hash.slice(1));
let looking = null; // the receipt that is shown, or null for the newest

const here = () => state?.branches.find((each) => each.branch === branch) ?? state?.branches[0];

async function tell(path, body) {
  say("");
  try {
    const answer = await fetch(`/api/branches/${here().branch}/${path}`, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
    });
    const said = await answer.json();
    if (!answer.ok) say(said.message);
  } catch {
    say("The workbench has ended. Start the demo again, then reload this page.");
  }
}

let saying;
function say(text) {
  by("message").textContent = text;
  clearTimeout(saying);
  if (text) saying = setTimeout(() => { by("message").textContent = ""; }, 8000);
}

// ---- the shelf ----

const MATRIX = '<svg viewBox="0 0 8 8" aria-hidden="true"><path d="M0 0h1v8H0zM0 7h8v1H0zM2 0h1v1H2zM4 0h1v1H4zM6 0h1v1H6zM7 1h1v1H7zM7 3h1v1H7zM7 5h1v1H7zM2 2h2v1H2zM5 2h1v2H5zM2 4h1v2H2zM4 4h1v1H4zM5 5h1v1H5zM3 5h1v1H3z"/></svg>';
const BARS = '<svg viewBox="0 0 8 8" aria-hidden="true"><path d="M0 0h1v8H0zM2 0h.5v8H2zM3 0h1v8H3zM5 0h.5v8H5zM6 0h.5v8H6zM7 0h1v8H7z"/></svg>';

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`)?.value;

function fits(pack) {
  const words = by("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.every((word) => pack.name.toLowerCase().includes(word) || pack.gtin.includes(word))) return false;
  switch (chosen("show")) {
    case "counter": return pack.counter;
    case "prescription": return !pack.counter;
    case "cold": return pack.cold;
    default: return pack.expired || pack.recalled;
  }
}

function element(kind, className, text) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function drawShelf() {
  const shown = shelf.filter(fits);
  by("packs").replaceChildren(...shown.map(drawPack));
  by("none").hidden = shown.length > 0;
}

function drawPack(pack) {
  const item = element("li", "pack");
  item.style.setProperty("--hue", String((pack.number * 47) % 360));
  const scan = element("button");
  scan.type = "button";
  const face = element("span", "face");
  face.append(element("span", "tag", pack.kind));
  face.insertAdjacentHTML("beforeend", chosen("symbol") === "ean13" ? BARS : MATRIX);
  const small = element("span", "small");
  small.append(element("span", "", pack.price), element("span", "", pack.gtin));
  scan.append(face, element("span", "name", pack.name), small);
  scan.addEventListener("click", () => tell("scan", { pack: pack.id, symbol: chosen("symbol"), lot: "good" }));
  item.append(scan);
  if (pack.expired || pack.recalled) {
    const lots = element("div", "lots");
    for (const [has, lot, text] of [[pack.expired, "expired", "Expired lot"], [pack.recalled, "recalled", "Recalled lot"]]) {
      if (!has) continue;
      const button = element("button", lot, text);
      button.type = "button";
      button.setAttribute("aria-label", `Scan the ${text.toLowerCase()} of ${pack.name}`);
      button.addEventListener("click", () => tell("scan", { pack: pack.id, symbol: "data_matrix", lot }));
      lots.append(button);
    }
    item.append(lots);
  }
  return item;
}

// ---- the devices ----

function drawBranches() {
  const buttons = state.branches.map((each) => {
    const button = element("button", "", each.title);
    button.type = "button";
    button.setAttribute("aria-pressed", String(each.branch === here().branch));
    button.addEventListener("click", () => {
      branch = each.branch;
      history.replaceState(null, "", `#${branch}`);
      looking = null;
      draw();
    });
    return button;
  });
  const focused = [...by("branches").children].indexOf(document.activeElement);
  by("branches").replaceChildren(...buttons);
  if (focused >= 0) buttons[focused].focus();
}

function check(name, value) {
  for (const radio of document.querySelectorAll(`input[name="${name}"]`)) radio.checked = radio.value === value;
}

function draw() {
  const now = here();
  drawBranches();
  by("counter-link").href = now.counter;
  by("console-link").href = state.console;
  by("paper").checked = now.printer.paper;
  by("cover").checked = now.printer.cover_closed;
  by("power").checked = now.printer.power;
  by("drawer").textContent = now.printer.drawer_kicks === 0 ? "The drawer has not opened." :
    `The drawer has opened ${now.printer.drawer_kicks === 1 ? "once" : `${now.printer.drawer_kicks} times`}.`;
  drawReceipt(now);
  by("answers").checked = now.fridge.answers;
  if (document.activeElement !== by("temperature")) by("temperature").value = now.fridge.milli_celsius;
  drawDegrees(now.fridge.milli_celsius);
  check("line", now.line);
  by("carried").textContent = `${(now.carried_bytes / 1024).toFixed(0)} KiB carried`;
  by("agent").textContent = { running: "The agent runs.", starting: "The agent is starting …", unplugged: "No power." }[now.agent] ?? now.agent;
  by("lamp").className = `lamp ${{ running: "on", starting: "wait" }[now.agent] ?? ""}`;
  by("pull").disabled = now.agent !== "running";
  by("put").disabled = now.agent === "running" || now.agent === "starting";
  by("scanner").checked = now.scanner;
  by("last-scan").textContent = now.last_scan || "none";
}

function drawDegrees(milli) {
  by("degrees").textContent = `${(milli / 1000).toFixed(1)} °C`;
  by("degrees").parentElement.className = `degrees ${milli > 8000 ? "warm" : milli < 2000 ? "freezing" : ""}`;
}

function drawReceipt(now) {
  const count = now.printer.receipts;
  const number = looking ?? count;
  const image = by("receipt");
  image.hidden = count === 0;
  by("receipt-note").hidden = count > 0;
  by("older").disabled = number <= 1;
  by("newer").disabled = number >= count;
  by("which").textContent = count ? `${number} of ${count}` : "";
  if (!count) return;
  const source = `/api/branches/${now.branch}/receipts/${number}.png`;
  if (image.getAttribute("src") !== source) {
    image.src = source;
    image.alt = `Printed paper ${number} of ${count}`;
  }
}

for (const button of document.querySelectorAll("[data-odd]")) {
  button.addEventListener("click", () => tell("odd-scan", { kind: button.dataset.odd }));
}
for (const part of ["paper", "cover", "power"]) {
  by(part).addEventListener("change", (event) => tell("printer", { part, good: event.target.checked }));
}
by("temperature").addEventListener("input", (event) => drawDegrees(Number(event.target.value)));
by("temperature").addEventListener("change", (event) => tell("fridge", { milli_celsius: Number(event.target.value) }));
by("answers").addEventListener("change", (event) => tell("fridge", { answers: event.target.checked }));
for (const radio of document.querySelectorAll('input[name="line"]')) {
  radio.addEventListener("change", () => tell("line", { line: radio.value }));
}
by("pull").addEventListener("click", () => tell("power", { on: false }));
by("put").addEventListener("click", () => tell("power", { on: true }));
by("scanner").addEventListener("change", (event) => tell("scanner", { plugged: event.target.checked }));
by("older").addEventListener("click", () => { looking = (looking ?? here().printer.receipts) - 1; draw(); });
by("newer").addEventListener("click", () => {
  looking = (looking ?? here().printer.receipts) + 1;
  if (looking >= here().printer.receipts) looking = null;
  draw();
});
by("find").addEventListener("input", drawShelf);
for (const radio of document.querySelectorAll('input[name="show"], input[name="symbol"]')) radio.addEventListener("change", drawShelf);

fetch("/api/shelf").then((answer) => answer.json()).then((packs) => { shelf = packs; drawShelf(); });
const events = new EventSource("/api/events");
events.onmessage = (event) => { state = JSON.parse(event.data); draw(); };
events.onerror = () => say("The workbench does not answer. Is the demo still running?");
events.onopen = () => say("");
