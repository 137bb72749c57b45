// What HTML alone does not do: the answer a page at a time, a face in front of it, saving, tabs, the theme.
"use strict";

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// the server's own markup, in which everything is escaped
function put(place, markup) {
  place.innerHTML = markup;
  for (const image of all("img", place)) watchImage(image);
}

function watchImage(image) {
  image.addEventListener("error", () => {
    const gone = document.createElement("span");
    gone.className = "gone";
    gone.textContent = "bytes cannot be read";
    image.replaceWith(gone);
  });
}

async function ask(address, options) {
  const answer = await fetch(address, options);
  const text = await answer.text();
  if (!answer.ok) {
    const said = document.createElement("p");
    said.className = "error";
    said.textContent = text || `the server answered ${answer.status}`;
    return said.outerHTML;
  }
  return text;
}

// the theme
one("#theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
});

// parts of the page that are asked for when it is there
const coming = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) {
      coming.unobserve(entry.target);
      nextPage(entry.target);
    }
  }
}, { rootMargin: "800px" });

function address(path, more = {}) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(more)) query.set(name, value);
  return `${path}?${query}`;
}

async function nextPage(more) {
  const section = more.closest("[data-ask]");
  const part = document.createElement("div");
  put(part, await ask(address(section.dataset.ask, { offset: more.dataset.after })));
  const gallery = one(".gallery", section);
  const rows = one(".rows tbody", section);
  const cards = all(".gallery > *", part);
  const lines = all(".rows tbody > tr", part);
  if (gallery && cards.length) gallery.append(...cards);
  if (rows && lines.length) rows.append(...lines);
  all(".gallery, .scroll", part).forEach((left) => left.remove());
  more.replaceWith(...part.children);
  all(".more", section).forEach((next) => coming.observe(next));
}

for (const part of all("[data-ask]")) {
  ask(address(part.dataset.ask)).then((markup) => {
    put(part, markup);
    part.dataset.done = "yes";
    all(".more", part).forEach((more) => coming.observe(more));
    const totals = one("#totals");
    const counted = one(".totals", part);
    if (totals && counted) {
      totals.replaceChildren(counted);
      if (one(".warning", part)) one("[aria-controls=counts]").classList.add("marked");
    }
  }).catch((error) => {
    part.textContent = `the server does not answer (${error.message})`;
  });
}

// tabs
for (const tab of all("[role=tab]")) {
  tab.addEventListener("click", () => {
    for (const other of all("[role=tab]", tab.parentElement)) {
      other.setAttribute("aria-selected", other === tab);
      one(`#${other.getAttribute("aria-controls")}`).hidden = other !== tab;
    }
  });
}

// filters apply as they are chosen; empty fields stay out of the address
const filters = one("#filters");
if (filters) {
  const apply = () => {
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(filters)) {
      if (value.trim() && !(name === "order" && value === "shuffled")) query.append(name, value.trim());
    }
    location.assign(query.size ? `/?${query}` : "/");
  };
  filters.addEventListener("change", apply);
  filters.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });
}

// the query
const box = one("#sql");
if (box) {
  const fit = () => {
    box.rows = Math.min(16, Math.max(3, box.value.split("\n").length));
  };
  fit();
  box.addEventListener("input", fit);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) box.form.requestSubmit();
  });
  const saving = one("#save");
  one("#tosave").addEventListener("click", () => {
    saving.hidden = !saving.hidden;
    if (!saving.hidden) one("input", saving).focus();
  });
  saving.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = one("button", saving);
    const fields = new FormData(saving);
    fields.set("sql", box.value);
    button.disabled = true;
    one("#savedas").textContent = "pinning…";
    put(one("#savedas"), await ask("/save", { method: "POST", body: fields }));
    button.disabled = false;
  });
}

// one face in front of the page
const opened = one("#opened");
let cards = [];

async function open(link) {
  const markup = await ask(`${link.getAttribute("href")}&part=1`);
  put(opened, markup);
  opened.dataset.href = link.getAttribute("href");
  if (!opened.open) opened.showModal();
  opened.scrollTop = 0;
  const now = one(".strip .now", opened);
  if (now) now.parentElement.scrollLeft = now.offsetLeft - now.parentElement.clientWidth / 2;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a.card, a.cell");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
    if (one("main.alone") && !link.closest("dialog")) return;
    event.preventDefault();
    if (!link.closest("dialog")) cards = all("a.card", link.closest("main"));
    open(link);
  } else if (event.target.closest(".close") || event.target === opened) {
    if (opened.open) opened.close();
    else history.back();
  }
});

document.addEventListener("keydown", (event) => {
  if (!opened.open || (event.key !== "ArrowLeft" && event.key !== "ArrowRight")) return;
  const place = cards.findIndex((card) => card.getAttribute("href") === opened.dataset.href);
  const next = cards[place + (event.key === "ArrowRight" ? 1 : -1)];
  if (place >= 0 && next) open(next);
});

for (const image of all("img")) watchImage(image);
