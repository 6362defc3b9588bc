// The server sends parts of the page as HTML in which everything from the store is escaped; they are put in as they are.
"use strict";

const live = document.getElementById("live");
const link = document.getElementById("link");
const said = document.getElementById("said");

// Puts a new part in place of the old one, and the focus where it was.
function put(html) {
  const focused = live.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const left = [...live.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
  live.innerHTML = html;
  live.querySelectorAll(".scroll").forEach((each, index) => { each.scrollLeft = left[index] || 0; });
  if (focused) {
    [...live.querySelectorAll("a")].find((each) => each.getAttribute("href") === focused)?.focus();
  }
}

function listen(address) {
  const events = new EventSource(address);
  events.onerror = () => { link.textContent = "not connected: is cascade ui still there?"; };
  events.addEventListener("part", (event) => {
    const part = JSON.parse(event.data);
    put(part.html);
    link.textContent = "live";
    if (part.said) said.textContent = part.said;
    const report = document.getElementById("report");
    if (part.ended && report) report.contentWindow.location.reload();
  });
  events.addEventListener("gone", (event) => {
    link.textContent = JSON.parse(event.data).said;
    events.close();
  });
  addEventListener("pagehide", () => events.close());
}

const more = document.getElementById("more");
let after = null;
if (more) {
  more.addEventListener("click", async () => {
    more.disabled = true;
    const answer = await fetch(more.dataset.facts + (after === null ? "" : `&after=${encodeURIComponent(after)}`));
    const shown = document.getElementById("shown");
    if (!answer.ok) {
      shown.textContent = "the facts can't be read";
      return;
    }
    const page = await answer.json();
    const body = document.querySelector("#facts tbody");
    body.insertAdjacentHTML("beforeend", page.html);
    after = page.after;
    more.textContent = "More facts";
    more.hidden = after === null;
    more.disabled = false;
    shown.textContent = `${body.rows.length} facts are shown`;
  });
}

if (live && document.body.dataset.events) listen(document.body.dataset.events);
performance.mark("cascade-ready");
