// The keys of the review page: each presses the button or ticks the box that names it. Without this file they are clicked.
"use strict";
let isSent = false;
document.addEventListener("submit", () => { isSent = true; });
document.addEventListener("keydown", (event) => {
  // A key that is held down must not decide one item after another.
  if (isSent || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = event.target;
  if (event.key === "Escape") field.blur();
  const isTyped = field.matches("input:not([type=checkbox]), textarea");
  // In an empty field of a number a letter is a key; "e" within a number is its exponent.
  if (isTyped && (field.type !== "number" || field.value !== "" || field.validity.badInput || /[0-9]/.test(event.key))) return;
  const named = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!named) return;
  event.preventDefault();
  named.click();
});
