// The page on which a scanner is learned that types into it. The box decides each step; this file keeps what was scanned so
// far and sends all of it, so that a break in between costs nothing.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const body = document.body;
  const base = `/till/${body.dataset.till}/learn`;
  let bursts = [];
  let turn = Promise.resolve();     // one step after the other

  async function say(word, burst) {
    const wanted = burst ? [...bursts, burst] : bursts;
    let answer;
    try {
      const headers = { "content-type": "application/json" };
      answer = await (await fetch(base, {
        method: "POST", headers, body: JSON.stringify({ page: body.dataset.page, word, bursts: wanted }), credentials: "same-origin",
      })).json();
    } catch {
      answer = { success: false, message: "The box did not answer. Do that once more." };
    }
    $("step").textContent = answer.message;
    if (!answer.success) return;
    bursts = wanted;
    show(answer.data);
  }

  function show({ code, proved }) {
    $("now").textContent = proved
      ? "What is typed here is proved: lot and serial number are taken."
      : "What is typed here is not proved: it sells by the pack's number alone.";
    $("now").dataset.proved = proved;
    $("code").hidden = code === null;
    if (code !== null && $("code").dataset.code !== code) {
      $("code").dataset.code = code;
      $("code").src = `${base}/${code}`;
      $("code").alt = `Test code ${code}`;
    }
    $("give-up").hidden = code === null;
    $("forget").hidden = !proved;
  }

  const next = (word, burst) => { turn = turn.then(() => say(word, burst)); };
  const begin = (word) => { bursts = []; next(word); };
  document.addEventListener("typed-scan", ({ detail: { keys } }) => { if (!$("code").hidden) next("scan", keys); });
  document.addEventListener("typed-slowly", () => {
    $("step").textContent = "That came too slowly for a scanner. If a scanner typed it, set its pause between characters to 0, and scan again.";
  });
  $("give-up").addEventListener("click", () => next("give_up"));
  $("again").addEventListener("click", () => begin("scan"));
  $("forget").addEventListener("click", () => begin("forget"));
  if (body.dataset.page) begin("scan");
  else $("step").textContent = "This browser stores nothing for pages, so nothing can be learned for it. Allow that in its settings, then open this page again.";
})();
