// What the box pushes, for every page that follows it: a stream whose pieces are shown as they come, but not under a finger. A
// press is a click only if it ends on what it began on; so while something is pressed, the newest of each piece waits.
"use strict";
const live = (() => {
  const body = document.body;
  const PRESS_MS_MAX = 2000;   // a finger that rests, or a release that the page was not told of, keeps nobody from what is new
  const waiting = new Map();   // by piece: what shows the newest of it
  let pressed = 0;             // the timer of a press, 0 without one

  function release() {
    clearTimeout(pressed);
    pressed = 0;
    const shows = [...waiting.values()];
    waiting.clear();
    // One piece that cannot be shown keeps none from being shown.
    for (const show of shows) { try { show(); } catch (error) { reportError(error); } }
  }
  function show(name, how) {
    if (pressed) waiting.set(name, how);
    else how();
  }
  // The click comes after the release of a mouse at once, after that of a finger in a moment.
  const releaseIn = (milliseconds) => {
    if (!pressed) return;
    clearTimeout(pressed);
    pressed = setTimeout(release, milliseconds);
  };
  addEventListener("pointerdown", () => { clearTimeout(pressed); pressed = setTimeout(release, PRESS_MS_MAX); }, true);
  addEventListener("pointerup", () => releaseIn(50), true);
  addEventListener("pointercancel", () => releaseIn(0), true);
  addEventListener("click", () => releaseIn(0), true);

  // Follows the stream at `address`; `shows` has by name of a piece what shows it.
  function follow(address, shows) {
    const stream = new EventSource(address);
    // That the box is away moves what stands below as well.
    const standing = (word) => () => show("stream", () => { body.dataset.stream = word; });
    stream.onopen = standing("open");
    stream.onerror = standing("lost");
    for (const [name, piece] of Object.entries(shows)) {
      stream.addEventListener(name, ({ data }) => show(name, () => piece(data)));
    }
    stream.addEventListener("version", ({ data }) => { if (data !== body.dataset.version) location.reload(); });
    return stream;
  }
  return { follow };
})();
