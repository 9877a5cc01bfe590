// Reads the page again while somebody looks at it and puts in what has changed. Focus, scroll, open folds and what is
// being typed stay. Without this file a page is as of its time.
"use strict";
const LEAST_MS = 30_000;
const main = () => document.querySelector("main");
const said = document.body.appendChild(document.createElement("footer"));
said.className = "read";
const say = (what) => { said.textContent = `${what} at ${new Date().toLocaleTimeString()}`; };
const isTyping = () =>
  [...document.querySelectorAll("input:not([type=hidden])")].some((field) => field.value || field === document.activeElement);
const named = (element) => element.getAttribute("href") ?? element.textContent;

function put(read) {
  const focused = document.activeElement;
  const open = new Set([...document.querySelectorAll("details[open] > summary")].map(named));
  for (const summary of read.querySelectorAll("summary")) {
    if (open.has(named(summary))) summary.parentElement.open = true;
  }
  const [before, after] = [main(), read.querySelector("main")].map((each) => [...each.children]);
  if (before.length !== after.length) main().replaceChildren(...after);
  else before.forEach((part, at) => part.isEqualNode(after[at]) || part.replaceWith(after[at]));
  if (focused === document.body || focused.isConnected) return;
  const same = [...main().querySelectorAll("a, button, summary, [tabindex]")].find((each) => named(each) === named(focused));
  same?.focus({ preventScroll: true });
}

let timer;
async function readAgain() {
  clearTimeout(timer);
  const began = performance.now();
  if (!document.hidden && !isTyping()) {
    try {
      const answer = await fetch(location.href);
      if (!answer.ok) throw new Error(answer.statusText);
      const read = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!isTyping()) put(read); // The person may have begun meanwhile.
      say("Read");
    } catch {
      say("Could not be read again");
    }
  }
  // A page that takes long is read less often: a tenth of the time at most is spent on it.
  timer = setTimeout(readAgain, Math.max(LEAST_MS, 9 * (performance.now() - began)));
}
say("Read");
timer = setTimeout(readAgain, LEAST_MS);
document.addEventListener("visibilitychange", readAgain);
