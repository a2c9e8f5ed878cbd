// The counter page: swaps the fragments that the box pushes, and sends what a person does. Everything is decided by the box;
// this file decides nothing.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const body = document.body;
  const base = `/till/${body.dataset.till}`;
  const FRAGMENTS = ["status", "notice", "lines", "total", "quick", "prints"];
  let state = { phase: body.dataset.phase, act: null };
  let marked = null;          // the line that keys act on
  let acts = {};              // by action: one act per attempt to open, close or kick, so a double tap is one act
  let toldSeq = 0;

  // --- what the box pushes -------------------------------------------------------------------------------------
  let stream = null;
  // A stream shows what its browser may see; after a sign-in this browser has a new name, and so needs a new stream.
  function listen() {
    stream?.close();
    const swaps = FRAGMENTS.map((name) => [name, (html) => swap(name, html)]);
    stream = live.follow(`${base}/events`, { ...Object.fromEntries(swaps), phase: (next) => enter(JSON.parse(next)) });
  }
  listen();

  function swap(name, html) {
    const place = $(name);
    const typed = place.contains(document.activeElement) ? [document.activeElement.id, document.activeElement.value] : null;
    const opened = [...place.querySelectorAll("details[open][id]")].map((one) => one.id);
    place.innerHTML = html;
    for (const id of opened) $(id)?.setAttribute("open", "");
    if (typed && typed[0] && $(typed[0])) { $(typed[0]).value = typed[1] ?? ""; $(typed[0]).focus(); }
    if (name === "lines") mark(null);
    if (name === "prints") $("prints-problem").textContent = "";      // the box answers again, and shows how the papers stand
  }

  function enter(next) {
    const before = state;
    state = next;
    body.dataset.phase = next.phase;
    body.dataset.doubted = next.date_doubted;
    body.dataset.mayClose = next.may_close;
    body.dataset.mayDrawer = next.may_open_drawer;
    body.dataset.mayMove = next.may_move_cash;
    body.dataset.session = next.session;
    for (const field of [$("today"), $("open-today")]) {
      field.min = next.date_doubted ? next.business_date : "";
      if (document.activeElement !== field) field.value = next.business_date;
    }
    if (before.phase !== next.phase) acts = {};
    if (next.notice && next.notice.seq > toldSeq) {
      if (toldSeq > 0) sound(next.notice.tone);
      toldSeq = next.notice.seq;
    }
    if (before.act !== next.act) { $("tendered").value = ""; problem($("pay"), ""); }
    if (before.phase !== next.phase || document.activeElement === body) focusHome();
  }

  function focusHome() {
    const home = { sign_in: "staff", closed: "float" }[state.phase] ?? "entry";
    if (document.querySelector("dialog[open]") || document.activeElement?.closest("#pay, #lot-form, #date")) return;
    if (matchMedia("(pointer: fine)").matches || home !== "entry") $(home).focus();
  }

  // --- sending -------------------------------------------------------------------------------------------------
  async function send(action, data = {}) {
    try {
      const answer = await fetch(`${base}/${action}`, {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(data), credentials: "same-origin",
      });
      return await answer.json();
    } catch {
      return { success: false, error: "NO_ANSWER", message: "The box did not answer. Wait until it is back, then look whether it was recorded." };
    }
  }
  const problem = (form, text) => { form.querySelector(".problem").textContent = text; };
  const newAct = () => ([1e7] + -1e3 + -4e3 + -8e3 + -1e11).replace(/[018]/g, (c) =>
    (c ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (c / 4)))).toString(16));

  // The act of an attempt: kept while nobody knows what became of it, so that asking again asks for the same.
  const actOf = (action) => (acts[action] ??= newAct());
  const forget = (action, answer) => { if (answer.error !== "NO_ANSWER") delete acts[action]; };

  async function submit(form, action, data) {
    const button = form.querySelector(".go");
    button.disabled = true;
    problem(form, "");
    const answer = await send(action, data);
    button.disabled = false;
    problem(form, answer.success ? "" : answer.message);
    forget(action, answer);
    return answer.success;
  }

  const FORMS = {
    "sign-in": async (form) => {
      const good = await submit(form, "sign-in", { staff: $("staff").value, pin: $("pin").value });
      $("pin").value = "";
      if (good) { form.reset(); listen(); } else $("pin").focus();
    },
    "open": async (form) => {
      const confirmed = $("date-confirmed").checked;
      const today = confirmed && state.date_doubted ? { today: $("open-today").value } : {};
      if (await submit(form, "open", { act: actOf("open"), float: $("float").value, date_confirmed: confirmed, ...today })) form.reset();
    },
    "date": (form) => submit(form, "confirm-date", { today: $("today").value }),
    "close": async (form) => {
      if (await submit(form, "close", { act: actOf("close"), counted: $("counted").value })) { form.reset(); $("close-dialog").close(); }
    },
    "move": async (form) => {
      const data = { act: actOf("cash"), way: $("move-way").value, amount: $("move-amount").value, reason: $("move-reason").value };
      if (await submit(form, "cash", data)) { form.reset(); $("move-dialog").close(); }
    },
    "pay": async (form) => {
      const due = document.querySelector("#total [data-due]");     // what the person sees, and agrees to
      if (!state.act || !due) return;
      const total = { minor: Number(due.dataset.due), currency: due.dataset.currency };
      if (await submit(form, "pay", { act: state.act, total, tendered: $("tendered").value })) { $("tendered").value = ""; $("entry").focus(); }
      else if (state.phase === "selling") $("tendered").focus();
    },
    "lot-form": () => send("lot", { line: null, lot: $("lot").value }),
    "entry-form": () => entered($("entry").value.trim()),
  };
  document.addEventListener("submit", (event) => {
    event.preventDefault();
    FORMS[event.target.id]?.(event.target);
  });

  // What was typed into the entry field: a code, a quantity, or a name.
  async function entered(text) {
    $("hits").hidden = true;
    if (text === "") { if (state.phase === "selling") $("tendered").focus(); return; }
    $("entry").value = "";
    if (/^\d{1,4}$/.test(text)) { if (marked) send("quantity", { line: marked, quantity: Number(text) }); return; }
    if (/^[\](]|^\d{6,}|\x1d|^https?:/i.test(text)) { send("scan", { code: text }); return; }
    const found = await fetch(`${base}/search?q=${encodeURIComponent(text)}`).then((answer) => answer.json()).catch(() => null);
    showHits(found?.data ?? [], text);
  }
  function showHits(hits, text) {
    const list = $("hits");
    list.replaceChildren(...hits.map((hit) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.add = hit.product;
      const [name, price] = [document.createElement("span"), document.createElement("span")];
      name.textContent = hit.name + (hit.sold_here ? "" : " – on prescription");
      name.className = hit.sold_here ? "" : "not";
      price.textContent = hit.shown;
      price.className = "num";
      button.append(name, price);
      const label = document.createElement("button");
      label.type = "button";
      label.className = "label";
      label.dataset.label = hit.product;
      label.textContent = "Shelf label";
      label.setAttribute("aria-label", `Print the shelf label of ${hit.name}`);
      item.append(button, label);
      return item;
    }));
    if (hits.length === 0) {
      const item = document.createElement("li");
      item.textContent = `No article has “${text}” in its name. Type fewer letters, or scan the pack.`;
      list.append(item);
    }
    list.hidden = false;
    list.querySelector("button")?.focus();
  }

  // --- buttons -------------------------------------------------------------------------------------------------
  const DO = {
    "help": () => $("help-dialog").showModal(),
    "cash": () => { if (state.phase === "selling") $("tendered").focus(); },
    "reprint": () => send("reprint"),
    "void-all": () => { if (state.phase === "selling") $("sure-dialog").showModal(); },
    "void-all-now": () => { $("sure-dialog").close(); send("void-all"); },
    "prints-now": () => answerUnsure(),
    "drawer": async () => forget("drawer", await send("drawer", { act: actOf("drawer") })),
    "close": () => { problem($("close"), ""); $("close-dialog").showModal(); },
    "move": () => { problem($("move"), ""); $("move-dialog").showModal(); },
    "sign-out": () => send("sign-out"),
    "dismiss": () => send("dismiss"),
    "cancel": () => document.querySelector("dialog[open]")?.close(),
    "sound": (button) => {
      const on = localStorage.getItem("sound") !== "on";
      localStorage.setItem("sound", on ? "on" : "off");
      showSound(button);
      if (on) sound("good");
    },
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) {
      const line = event.target.closest("[data-line]");
      if (line) mark(Number(line.dataset.line));
      return;
    }
    const { data } = { data: button.dataset };
    if (data.do) DO[data.do]?.(button);
    else if (data.amount) { $("tendered").value = data.amount; FORMS.pay($("pay")); }
    else if (data.void) send("void", { line: Number(data.void) });
    else if (data.more || data.less) step(Number(data.more ?? data.less), data.more ? 1 : -1);
    else if (data.lot) send("lot", { line: null, lot: data.lot });
    else if (data.add) { $("hits").hidden = true; $("entry").focus(); send("add", { product: data.add }); }
    else if (data.label) shelfLabel(data.label);
    else if (data.prints) answerPrints(data);
  });
  // A word on many papers ends all of them, and is sent only after a second look; what it would do, the first press says.
  let unsure = null;
  function answerPrints({ prints, word, title, sure, go }) {
    $("prints-problem").textContent = "";
    const answer = { jobs: prints.split(",").map(Number), word };
    if (!sure) { sayPrints(answer); return; }
    unsure = answer;
    $("prints-title").textContent = title;
    $("prints-sure").textContent = sure;
    $("prints-go").textContent = go;
    problem($("prints-dialog"), "");
    $("prints-dialog").showModal();
  }
  // What the box refuses, it says on the page; that it did not answer, nobody else says.
  async function sayPrints(answer) {
    const said = await send("print", answer);
    $("prints-problem").textContent = said.error === "NO_ANSWER" ? said.message : "";
  }
  async function answerUnsure() {
    const [dialog, go] = [$("prints-dialog"), $("prints-go")];
    if (!unsure || go.disabled) return;
    const asked = unsure;
    go.disabled = true;
    problem(dialog, "");
    const said = await send("print", asked);
    go.disabled = false;
    const waits = dialog.open && unsure === asked;      // else the person has gone back, or asks for something else
    if (waits && said.success) { unsure = null; dialog.close(); }
    else if (waits) problem(dialog, said.message);
    else if (said.error === "NO_ANSWER") $("prints-problem").textContent = said.message;
  }
  async function shelfLabel(product) {
    const attempt = `shelf-label ${product}`;
    forget(attempt, await send("shelf-label", { act: actOf(attempt), product }));
  }
  const TAPS_APART_MS_MAX = 700;
  const asked = new Map();      // by line: which quantity was asked for last, and when
  function step(line, by) {
    const output = document.querySelector(`[data-line="${line}"] output`);
    if (!output) return;                     // the box took the line off in this moment
    // Quick taps add up, whatever older lines come in between.
    const last = asked.get(line);
    const recent = last && performance.now() - last.at < TAPS_APART_MS_MAX;
    const quantity = (recent ? last.quantity : Number(output.dataset.quantity)) + by;
    asked.set(line, { quantity, at: performance.now() });
    send("quantity", { line, quantity });
  }
  function mark(line) {
    const all = [...document.querySelectorAll("[data-line]")];
    const ids = all.map((one) => Number(one.dataset.line));
    const newest = Math.max(0, ...ids);
    if (line === null) { line = newest > mark.newest || !ids.includes(marked) ? newest : marked; mark.newest = newest; }
    marked = line || null;
    for (const one of all) one.classList.toggle("marked", Number(one.dataset.line) === marked);
    showMarked();
  }
  mark.newest = 0;
  const showMarked = () => document.querySelector(".marked")?.scrollIntoView({ block: "nearest" });
  // What is always in sight covers lines; where there is one column, the money does too. Nothing is scrolled to under it.
  const oneColumn = matchMedia("(max-width: 56rem)");
  const covers = new ResizeObserver((sizes) => {
    const below = oneColumn.matches ? $("money").offsetHeight : 0;
    document.documentElement.style.scrollPadding = `${$("top").offsetHeight}px 0 ${below}px`;
    if (oneColumn.matches && sizes.some(({ target }) => target === $("money"))) showMarked();
  });
  covers.observe($("top"));
  covers.observe($("money"));
  function move(by) {
    const ids = [...document.querySelectorAll("[data-line]")].map((one) => Number(one.dataset.line));
    const at = ids.indexOf(marked);
    if (ids.length) mark(ids[Math.min(ids.length - 1, Math.max(0, at + by))]);
  }

  // --- keys: what a scanner types comes to page-scanner.js first, and what belongs to a scan does not come here --
  const FIELDS = "input:not([type=checkbox]), select";     // what a key changes
  const MODIFIERS = new Set(["Shift", "Control", "Alt", "AltGraph", "Meta", "CapsLock", "NumLock"]);
  document.addEventListener("keydown", (event) => {
    // A browser that fills a field in tells of keys without a name.
    if (!event.key || MODIFIERS.has(event.key) || event.isComposing) return;
    // AltGr is Ctrl and Alt together on some systems, and how "]" is typed on many keyboards: it makes characters.
    const altGr = event.getModifierState("AltGraph") || (event.ctrlKey && event.altKey);
    const plain = altGr || !(event.ctrlKey || event.altKey || event.metaKey);
    if (event.key.length !== 1 || !plain) return key(event);
    // Typing anywhere goes to the entry field.
    const free = !event.target.matches?.("input, select, button") && !document.querySelector("dialog[open]");
    if (free && $("entry").offsetParent) $("entry").focus();
  }, true);

  function key(event) {
    const inField = event.target.matches?.(FIELDS);
    const emptyEntry = event.target === $("entry") && $("entry").value === "";
    const free = !inField || emptyEntry;
    const act = (name) => { event.preventDefault(); DO[name](); };
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "F1") act("help");
    else if (event.key === "F2") act("cash");
    else if (event.key === "F4") act("reprint");
    else if (event.key === "F7" && body.dataset.mayMove === "true" && body.dataset.session === "true") act("move");
    else if (event.key === "F9" && body.dataset.mayDrawer === "true") act("drawer");
    else if (event.key === "F10" && body.dataset.mayClose === "true" && body.dataset.session === "true") act("close");
    else if (event.key === "Escape" && event.shiftKey) act("sign-out");
    else if (event.key === "Escape") {
      event.preventDefault();
      if (!$("hits").hidden) $("hits").hidden = true;
      else if (event.target === $("entry") || event.target === body) send("dismiss");
      $("tendered").value = "";
      if (state.phase !== "sign_in" && state.phase !== "closed") $("entry").focus();
    }
    else if (event.key === "Delete" && event.shiftKey && free) act("void-all");
    else if (event.key === "Delete" && free && marked) { event.preventDefault(); send("void", { line: marked }); }
    else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && event.target.dataset?.add) {
      event.preventDefault();
      const item = event.target.parentElement[event.key === "ArrowDown" ? "nextElementSibling" : "previousElementSibling"];
      (item?.querySelector("button") ?? event.target).focus();
    }
    else if (event.key === "ArrowDown" && free) { event.preventDefault(); move(1); }
    else if (event.key === "ArrowUp" && free) { event.preventDefault(); move(-1); }
  }

  // --- sound (off until somebody wants it) ---------------------------------------------------------------------
  let audio = null;
  function sound(tone) {
    if (localStorage.getItem("sound") !== "on") return;
    audio ??= new AudioContext();
    const beep = (hertz, from, long) => {
      const [voice, volume] = [audio.createOscillator(), audio.createGain()];
      voice.frequency.value = hertz;
      voice.type = tone === "refused" ? "square" : "sine";
      volume.gain.value = 0.08;
      voice.connect(volume).connect(audio.destination);
      voice.start(audio.currentTime + from);
      voice.stop(audio.currentTime + from + long);
    };
    if (tone === "refused") { beep(220, 0, 0.18); beep(165, 0.22, 0.3); } else if (tone === "info") beep(440, 0, 0.12); else beep(880, 0, 0.06);
  }
  const showSound = (button) => {
    const on = localStorage.getItem("sound") === "on";
    button.setAttribute("aria-pressed", on);
    button.textContent = `Sound: ${on ? "on" : "off"}`;
  };
  showSound(document.querySelector("[data-do=sound]"));
})();
