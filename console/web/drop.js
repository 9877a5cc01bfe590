// Sends the chosen file: first to be looked at, then, once that was said and a reason is given, to be dropped.
"use strict";
const form = document.querySelector("form");
const [, put] = form.querySelectorAll("button");
const said = document.querySelector("#said");
const say = (...parts) => said.replaceChildren(...parts);

for (const field of [form.feed, form.file]) {
  field.addEventListener("change", () => { put.disabled = true; say(); });
}
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const isPut = event.submitter === put;
  const reason = form.reason.value.trim();
  if (isPut && !reason) return form.reason.focus();
  const [file] = form.file.files;
  if (file.size > form.dataset.most * 2 ** 20) {
    return say(`▲ It has ${Math.ceil(file.size / 2 ** 20)} MiB: \`millrace drop\` takes it, up to 512 MiB.`);
  }
  const asked = new URLSearchParams({ feed: form.feed.value, name: file.name, reason: isPut ? reason : "" });
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  say(isPut ? "Dropping it …" : "Looking at it …");
  try {
    const answer = await fetch(`${location.pathname}?${asked}`, {
      method: "POST",
      headers: { "x-token": form.dataset.token },
      body: file,
    });
    const text = await answer.text();
    const page = new DOMParser().parseFromString(text, "text/html");
    say(...(page.querySelector("#said")?.childNodes ?? [text]));
    put.disabled = isPut || !answer.ok;
  } catch {
    say("The console did not answer: nothing is known of the file.");
  }
  form.querySelector("button").disabled = false;
});
