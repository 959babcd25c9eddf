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

// ---- passkeys: the form is sent with what the browser answers; it stays hidden where there are none

const octets = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const base64 = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const askPasskey = async (kind, options) => {
  options.challenge = octets(options.challenge);
  if (options.user) options.user.id = octets(options.user.id);
  for (const known of [...(options.allowCredentials ?? []), ...(options.excludeCredentials ?? [])]) known.id = octets(known.id);
  const { id, rawId, type, response } = await navigator.credentials[kind]({ publicKey: options });
  const fields = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const given = fields.filter((field) => response[field]).map((field) => [field, base64(response[field])]);
  return JSON.stringify({ id, type, rawId: base64(rawId), response: Object.fromEntries(given) });
};

if (window.PublicKeyCredential) {
  for (const note of document.querySelectorAll("[data-without-passkeys]")) note.hidden = true;
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const answer = form.elements.credential, refused = form.querySelector("[data-refused]"), known = form.querySelector("[data-known]");
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      if (answer.value) return;
      event.preventDefault();
      event.stopImmediatePropagation(); // it is not sent yet
      for (const note of [refused, known]) if (note) note.hidden = true;
      try {
        answer.value = await askPasskey(form.dataset.passkey, JSON.parse(form.dataset.options));
      } catch (error) {
        (error.name === "InvalidStateError" && known || refused).hidden = false;
        return;
      }
      form.requestSubmit();
    });
  }
  addEventListener("pageshow", (event) => {
    for (const form of document.querySelectorAll("form[data-passkey]")) if (event.persisted) form.elements.credential.value = "";
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
