// Live parts: the server sends each part of the page as it stands whenever it has changed.
"use strict";
(() => {
  const pill = document.getElementById("link");
  const say = (text, tone) => { pill.textContent = text; pill.className = "pill " + tone; };
  const parts = ["summary", "devices", "sales", "tills", "stock", "orders", "appeals", "alarms"];
  const find = document.getElementById("find");
  let source;
  const connect = () => {
    if (source) source.close();
    const query = new URLSearchParams(new FormData(find));
    source = new EventSource("/console/events?" + query);
    source.onopen = () => say("Live", "good");
    source.onerror = () => {
      say("Reconnecting", "wait");
      // A refused stream is not tried again by the browser: the sign-in is over, or the gateway restarts.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 3000);
    };
    for (const part of parts) {
      source.addEventListener(part, (event) => { document.getElementById(part).innerHTML = event.data; });
    }
  };
  let typing;
  const again = () => {
    history.replaceState(null, "", "/console?" + new URLSearchParams(new FormData(find)));
    connect();
  };
  find.addEventListener("submit", (event) => { event.preventDefault(); again(); });
  find.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(again, 250); });
  connect();
})();
