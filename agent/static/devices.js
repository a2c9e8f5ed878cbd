// The page for devices: swaps the fragments that the box pushes, and sends what a person does. Everything is decided by the
// box; this file decides nothing.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const body = document.body;
  const base = `/till/${body.dataset.till}/devices`;
  const FRAGMENTS = ["who", "questions", "devices", "loose"];
  // Devices that learn or are tried because of this page: leaving it ends that.
  const begun = new Set();

  live.follow(`${base}/events`, Object.fromEntries(FRAGMENTS.map((name) => [name, (html) => swap(name, html)])));

  // The focus stays with the device in whose card it was, though its button may have gone; a list that was open stays open.
  function swap(name, html) {
    const place = $(name);
    const focused = place.contains(document.activeElement) ? document.activeElement : null;
    const [id, card] = [focused?.id, focused?.closest(".device")?.id];
    const open = [...place.querySelectorAll("details[open]")].map((details) => details.id);
    place.innerHTML = html;
    for (const opened of open) $(opened)?.setAttribute("open", "");
    if (focused) ($(id) ?? $(card))?.focus({ preventScroll: true });
  }

  async function send(action, data) {
    try {
      const answer = await fetch(`${base}/${action}`, {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(data), credentials: "same-origin",
      });
      return await answer.json();
    } catch {
      return { success: false, message: "The box did not answer. Wait until it is back, then look at the page again." };
    }
  }

  let quiet = 0;
  function tell(text, good) {
    const told = $("told");
    clearTimeout(quiet);
    told.textContent = text;
    told.classList.toggle("refused-said", !good);
    told.hidden = text === "";
    // What went well is read at a glance; a refusal stays until the next act.
    if (good) quiet = setTimeout(() => { told.hidden = true; }, 8000);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-act]");
    // Not disabled while it is sent: a disabled button loses the focus.
    if (!button || button.disabled || button.dataset.sending) return;
    const { act, device, question, answer, printer, maker, purpose } = button.dataset;
    const data = {
      answer: { question, answer },
      sheet: maker ? { printer, maker } : { printer },
      "set-up": { device, maker, purpose },
    }[act] ?? { device };
    button.dataset.sending = "yes";
    const answered = await send(act, data);
    delete button.dataset.sending;
    tell(answered.message ?? "", answered.success);
    if (!answered.success) return;
    if (act === "learn" || act === "identify") begun.add(device);
    if (act === "leave") begun.delete(device);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const card = document.activeElement?.closest(".device");
    const leave = (card ?? document).querySelector("button[data-act=leave]");
    if (leave) { event.preventDefault(); leave.click(); }
  });

  // Closing the page or going back to the till ends what was begun here: the scanner sells again.
  addEventListener("pagehide", () => {
    for (const device of begun) {
      navigator.sendBeacon(`${base}/leave`, new Blob([JSON.stringify({ device })], { type: "application/json" }));
    }
    begun.clear();
  });

  setInterval(() => {
    for (const left of document.querySelectorAll("[data-left]")) {
      const seconds = Math.max(0, Number(left.dataset.left) - 1);
      left.dataset.left = seconds;
      left.textContent = seconds;
    }
  }, 1000);
})();
