// SPDX-License-Identifier: GPL-3.0-or-later
// What a page can do beyond what it says: copy, filter, follow. Every page works without it.
"use strict";

const announce = (text) => {
  const place = document.getElementById("said");
  if (place) place.textContent = text;
};

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const code = button.closest(".copy").querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "✓";
      announce(button.getAttribute("aria-label") + " ✓");
    } catch {
      getSelection().selectAllChildren(code); // without https there is no clipboard: Ctrl-C does it then
    }
    setTimeout(() => { button.textContent = label; }, 1500);
  });
}

// A form is sent once, however often its button is pressed.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// Choices that need no button.
for (const select of document.querySelectorAll("select[data-submit]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}

document.getElementById("wrong")?.focus();
