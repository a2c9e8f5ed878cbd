// A scanner that is plugged into this device types into the page. This file gathers what comes too quickly for a person,
// keeps it out of the fields and off the buttons, and sends it to the box, which says what it was. A person's typing is left
// alone and is never sent from here. docs/hardware/scanners.md is the contract.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const body = document.body;
  const bounds = document.currentScript.dataset;
  const [SILENCE_MS, CHARACTERS_MIN, KEYS_MAX] = [bounds.silenceMs, bounds.characters, bounds.keys].map(Number);
  const GAP_MS = bounds.gapUs / 1000;
  const COMMAND_MIN = 3;         // so many quick keys, and a key that commands the page or the browser belongs to them
  const OTHER_HALF_MS = 500;     // what a scanner types within this time behind a scan without an end belongs to it
  const LATE_MS = 15;            // a timer that comes later than this was held up, and keys may wait behind it
  const WAITING_MAX = 16;        // scans that wait for the box: more than a person scans while one is given up
  const TRY_FOR_MS = 3000;       // a person who scans again in less than this saw nothing happen
  const PAUSE_MS = 200;          // between two attempts
  const MODIFIERS = new Set(["Shift", "Control", "Alt", "AltGraph", "CapsLock", "NumLock", "ScrollLock", "Meta", "Fn"]);
  const FIELDS = "input:not([type=checkbox]), select, textarea";     // what a key changes
  const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  // --- gathering -----------------------------------------------------------------------------------------------
  // What came since the last silence. `before`: each field's value, which it gets back if this was a scan.
  let batch = null;
  let half = null;               // the last batch, if it came quickly and had no end
  let timer = 0;
  const begun = () => ({
    keys: [], count: 0, first: 0, last: 0, ended: false,
    before: new Map([...document.querySelectorAll(FIELDS)].map((field) => [field.id, field.value])),
  });
  // The box judges by the same rule.
  const isQuick = (gathered, least) =>
    gathered.count >= least && gathered.last - gathered.first <= (gathered.count - 1) * GAP_MS;

  function pageKey(event) {
    const key = { down: event.type === "keydown", key: event.key, code: event.code, at_us: Math.round(event.timeStamp * 1000) };
    // What is left out is false.
    if (event.ctrlKey) key.ctrl = true;
    if (event.altKey) key.alt = true;
    if (event.shiftKey) key.shift = true;
    if (event.getModifierState("AltGraph")) key.alt_graph = true;
    if (event.repeat) key.repeat = true;
    return key;
  }

  function heard(event) {
    // A browser that fills a field in tells of keys without a name, and programs within the page of keys that nobody pressed.
    if (!event.isTrusted || !event.key || event.isComposing) return;
    const down = event.type === "keydown";
    if (!batch && !down) return;
    batch ??= begun();
    wait(false);
    // One key too many is kept, for the box to see that there were.
    if (batch.keys.length <= KEYS_MAX) batch.keys.push(pageKey(event));
    if (!down) {
      // Some browsers press a button when the space bar goes up.
      if (event.key === " " && isQuick(batch, COMMAND_MIN) && event.target.matches?.("button")) event.preventDefault();
      return;
    }
    if (event.repeat || MODIFIERS.has(event.key)) return;
    batch.count += 1;
    if (batch.count === 1) batch.first = event.timeStamp;
    batch.last = event.timeStamp;
    if (isScannersOwn(event)) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  }

  // Whether neither the browser nor the rest of the page may act on this key.
  function isScannersOwn(event) {
    // AltGr is Ctrl and Alt together on some systems, and how "]" is typed on many keyboards: it makes characters.
    const altGr = event.getModifierState("AltGraph") || (event.ctrlKey && event.altKey);
    const control = (event.ctrlKey && !altGr) || /^[\x00-\x1f]$/.test(event.key);
    const ends = event.key === "Enter" || event.key === "Tab";
    const alt = event.altKey && !altGr;
    const separator = event.key === "F8" || event.key === "\x1d" || (control && event.key === "]");
    batch.ended = ends || (control && !separator) || alt;
    // The separator means nothing else here, and may come first.
    if (separator) return true;
    if (ends) return isQuick(batch, CHARACTERS_MIN) || (isQuick(batch, 1) && followsHalf());
    if (control || alt || /^F\d+$/.test(event.key)) return isQuick(batch, COMMAND_MIN);
    return event.key === " " && event.target.matches?.("button") && isQuick(batch, COMMAND_MIN);
  }

  // Whether this is the rest of a scan that came with a pause: a person needs longer to go on.
  const followsHalf = () => half && half.count >= CHARACTERS_MIN && batch.first - half.last <= OTHER_HALF_MS;

  function wait(again) {
    clearTimeout(timer);
    timer = setTimeout(silent, SILENCE_MS, performance.now() + SILENCE_MS, again);
  }
  function silent(due, again) {
    if (!again && performance.now() - due > LATE_MS) return wait(true);
    const done = batch;
    batch = null;
    const isScan = isQuick(done, CHARACTERS_MIN);
    if (body.dataset.typed === "lesson") {
      if (done.count >= CHARACTERS_MIN) told(isScan ? "typed-scan" : "typed-slowly", { keys: done.keys });
      return;
    }
    const cut = half;
    half = null;
    if (cut && done.first - cut.last <= OTHER_HALF_MS && (isScan || (done.ended && cut.count >= CHARACTERS_MIN))) {
      putBack(cut.before);
      if (!done.ended) half = { ...done, before: cut.before };
      return notTaken("That scan came with a pause, and was not taken: scan again.");
    }
    // What does not end as scans do may be cut off, or a program of this device that types for a person.
    if (!done.ended && isQuick(done, 2)) half = done;
    if (done.ended && isScan) told("typed-scan", { keys: done.keys, typed: putBack(done.before) });
  }
  const told = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));

  // Gives the fields their values back; says what stood there instead.
  function putBack(before) {
    const typed = new Map();
    for (const [id, value] of before) {
      const field = $(id);
      if (!field || field.value === value) continue;
      typed.set(id, [field.value, value]);
      field.value = value;
    }
    return typed;
  }
  // It was no scan after all.
  function giveBack(typed) {
    for (const [id, [text, before]] of typed) if ($(id)?.value === before) $(id).value = text;
  }
  // Before anything else on the page hears of a key.
  window.addEventListener("keydown", heard, true);
  window.addEventListener("keyup", heard, true);

  // --- who this browser is -------------------------------------------------------------------------------------
  // What is learned of its scanner is kept under this name. A browser that stores nothing has none: its scanner is unproved.
  let page = null;
  try {
    page = localStorage.getItem("page");
    if (!/^[0-9a-f]{32}$/.test(page)) localStorage.setItem("page", page = newId());
  } catch { page = null; }
  body.dataset.page = page ?? "";

  // --- sending: one after the other, so that the order stays -----------------------------------------------------
  const waiting = [];
  let sending = false;
  if (body.dataset.typed === "scans") document.addEventListener("typed-scan", async ({ detail: { keys, typed } }) => {
    if (waiting.length >= WAITING_MAX) return notTaken("Too many scans wait for the box. This one was not taken: scan again.");
    waiting.push({ data: JSON.stringify({ batch: newId(), page, keys }), typed, until: performance.now() + TRY_FOR_MS });
    if (sending) return;
    sending = true;
    for (; waiting.length; waiting.shift()) await deliver(waiting[0]);
    sending = false;
  });

  // The same batch again is the same scan, so a batch without an answer is sent again.
  async function deliver(scan) {
    for (;;) {
      const left = scan.until - performance.now();
      if (left <= 0) return notTaken("The box did not answer. Look whether the pack is in the basket; if it is not, scan again.");
      const answer = await ask(scan.data, left);
      if (answer?.success) return answer.data.typed === "typing" ? giveBack(scan.typed) : undefined;
      if (answer) return notTaken(`${answer.message} This scan was not taken: scan again.`);
      await new Promise((go) => setTimeout(go, PAUSE_MS));
    }
  }
  async function ask(data, withinMs) {
    const [stop, headers] = [new AbortController(), { "content-type": "application/json" }];
    const late = setTimeout(() => stop.abort(), withinMs);
    try {
      const answer = await fetch(`/till/${body.dataset.till}/typed`, { method: "POST", headers, body: data, credentials: "same-origin", signal: stop.signal });
      return await answer.json().catch(() => ({ success: false, message: `The box answered ${answer.status}.` }));
    } catch {
      return null;
    } finally {
      clearTimeout(late);
    }
  }

  // Stays until somebody has seen it.
  function notTaken(text) {
    const [place, said] = [$("not-taken"), $("not-taken-text")];
    if (!place) return;
    const already = !place.hidden && said.textContent !== text ? `${said.textContent} ` : "";
    said.textContent = already.length > 400 ? text : already + text;
    place.hidden = false;
  }
  const seen = () => { if ($("not-taken")) $("not-taken").hidden = true; };
  $("not-taken-seen")?.addEventListener("click", seen);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !document.querySelector("dialog[open]")) seen(); });
})();
