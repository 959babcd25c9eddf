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

// ---- a name is checked while it is typed

for (const place of document.querySelectorAll("[data-check]")) {
  const said = place.parentElement.querySelector("[data-checked]");
  const name = place.querySelector("input"), domain = place.querySelector("select");
  const first = said.textContent;
  let last = 0, timer = 0;
  const check = async () => {
    const turn = ++last;
    said.className = "hint checked";
    if (!name.value.trim()) { said.textContent = first; return; }
    try {
      const answer = await fetch(place.dataset.check + "?" + new URLSearchParams({ name: name.value, domain: domain.value }));
      const found = await answer.json();
      if (turn !== last) return;
      said.textContent = found.text;
      said.classList.add(found.free ? "good" : "bad");
    } catch { if (turn === last) said.textContent = first; }
  };
  const later = () => { clearTimeout(timer); timer = setTimeout(check, 300); };
  name.addEventListener("input", later);
  domain.addEventListener("change", check);
  if (name.value && !name.hasAttribute("aria-invalid")) check();
}

// Fields that belong to one choice choose it.
for (const place of document.querySelectorAll("[data-with]")) {
  const box = place.parentElement.querySelector(`input[value="${place.dataset.with}"]`);
  place.addEventListener("input", () => { box.checked = true; });
}

// ---- what is marked data-live follows the service, and a search what is typed

const replaceLive = async (url) => {
  const answer = await fetch(url, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(old.id);
    if (fresh && fresh.innerHTML !== old.innerHTML && !old.contains(document.activeElement)) old.replaceWith(fresh);
  }
};

const filter = document.querySelector("form[data-filter]");
if (filter) {
  const button = filter.querySelector("button");
  let timer = 0;
  button.hidden = true;
  const apply = () => {
    const given = [...new FormData(filter)].filter(([, value]) => value);
    const url = filter.getAttribute("action") + (given.length ? "?" + new URLSearchParams(given) : "");
    history.replaceState(null, "", url);
    replaceLive(url).catch(() => {});
  };
  filter.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(apply, 200); });
  filter.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
}

if (document.querySelector("[data-live]")) {
  const PERIOD = 3000, PATIENCE = 10 * 60 * 1000; // who has left the machine is not kept signed in by it
  let active = Date.now();
  for (const kind of ["pointermove", "keydown", "scroll", "focus"]) {
    addEventListener(kind, () => { active = Date.now(); }, { passive: true });
  }
  setInterval(() => {
    if (!document.hidden && Date.now() - active < PATIENCE) replaceLive(location.href).catch(() => {});
  }, PERIOD);
}
