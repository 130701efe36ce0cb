"use strict";
/* The board without a build: live parts, countdowns, keys, theme. Every page reads without it. */

const body = document.body;
const say = body.dataset;
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
document.documentElement.classList.add("has-script");

/* ---------------------------------------------------------------- time
   Countdowns run by the stream's clock: the page's age is added only where that is ours. */
const loadedAt = performance.now();
let streamNow = Number(say.now);
let seenAt = loadedAt;
const now = () => streamNow + ("ticks" in say ? performance.now() - seenAt : 0);

const zh = document.documentElement.lang.startsWith("zh");
function span(ms) {
  const rest = Math.abs(ms), s = Math.floor(rest / 1000), m = Math.floor(s / 60);
  const h = Math.floor(m / 60), two = (n) => String(n).padStart(2, "0");
  if (h < 48) return `${two(h)}:${two(m % 60)}:${two(s % 60)}`;
  const d = Math.floor(h / 24);
  return zh ? `${d} 天 ${h % 24} 小时` : `${d} d ${h % 24} h`;
}
function tick() {
  if (!("ticks" in say)) return;
  for (const element of $$("[data-due]")) {
    const left = Number(element.dataset.due) - now();
    if (left > -1000) element.textContent = span(Math.max(left, 0));
  }
}
setInterval(tick, 1000);

/* ---------------------------------------------------------------- live parts
   A change in the stream fetches this page again; parts marked data-live are replaced, and cards
   move to their new places. A lane under the pointer stands still until it is left. */
const pill = $("#pill"), pillText = $("#pill-text"), pauseButton = $("#pause");
const live = { paused: false, waiting: 0, busy: false, again: false, lost: false };
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
let held = null;

function show(state, text) {
  if (!pill) return;
  pill.classList.toggle("paused", state === "paused");
  pill.classList.toggle("lost", state === "lost");
  if (text) pillText.textContent = text;
}

async function refresh() {
  if (live.paused) { live.waiting += 1; return show("paused", `${say.paused} · ${live.waiting}`); }
  if (live.busy) { live.again = true; return; }
  live.busy = true;
  fetchedAt = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    const text = await answer.text();
    tookMs = performance.now() - fetchedAt;
    adopt(text);
  } catch {
    live.lost = true;
    show("lost", say.lost);
  } finally {
    live.busy = false;
    if (live.again) { live.again = false; later(); }
  }
}

function adopt(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  streamNow = Number(page.body.dataset.now);
  seenAt = performance.now();
  document.title = page.title;
  $$("[data-live]").forEach((part) => replace(part, page.getElementById(part.id)));
  $$(".cards").forEach((list) => patch(list, page.getElementById(list.id)));
  live.lost = false;
  show("live", $("#pill-text", page)?.textContent);
  if (hits?.isConnected && !$("a", hits)) suggest();  // what was missing may have come
}

function replace(part, fresh) {
  if (!fresh || part.contains(document.activeElement) || $("details[open]", part)) return;
  if (part.innerHTML !== fresh.innerHTML) part.replaceChildren(...fresh.childNodes);
}

function patch(list, fresh) {
  if (!fresh) return;
  if ($("details[open]", list)) return;
  const lane = list.closest(".lane"), notice = lane && $(".fresh", lane);
  if (lane && held === lane) {
    const known = new Set($$("[data-key]", list).map((card) => card.dataset.key));
    const more = $$("[data-key]", fresh).filter((card) => !known.has(card.dataset.key)).length;
    notice.hidden = !more;
    notice.textContent = say.fresh.replace("{n}", more);
    return;
  }
  if (notice) notice.hidden = true;
  const old = new Map($$("[data-key]", list).map((card) => [card.dataset.key, card]));
  const places = new Map([...old].map(([key, card]) => [key, card.getBoundingClientRect().top]));
  const focused = list.contains(document.activeElement) &&
    document.activeElement.closest("[data-key]");
  const at = [...list.children].indexOf(focused);
  const changed = [];
  const cards = [...fresh.children].map((card) => {
    const before = old.get(card.dataset.key);
    if (before && before.dataset.version === card.dataset.version) {
      const due = $(".due", before), reason = $(".reason", before);
      if (due) due.textContent = $(".due", card).textContent;
      if (reason) reason.innerHTML = $(".reason", card).innerHTML;
      return before;
    }
    if (card.dataset.key) changed.push(card);
    return card;
  });
  list.replaceChildren(...cards);
  if (focused) {  // what has left the list hands the focus to the next one
    const same = $(`[data-key="${CSS.escape(focused.dataset.key)}"] a`, list);
    (same ?? $("a", cards[Math.min(at, cards.length - 1)]))?.focus({ preventScroll: true });
  }
  if (!still) cards.forEach((card) => glide(card, places.get(card.dataset.key)));
  changed.forEach((card) => {
    card.classList.add("changed");
    setTimeout(() => card.classList.remove("changed"), 1000);
  });
}

function glide(card, before) {
  const moved = before === undefined ? null : before - card.getBoundingClientRect().top;
  if (moved === null) card.animate([{ opacity: 0 }, { opacity: 1 }], 200);
  else if (moved && Math.abs(moved) < innerHeight) {
    card.animate([{ transform: `translateY(${moved}px)` }, { transform: "none" }],
      { duration: 200, easing: "ease-out" });
  }
}

/* At most two fetches a second, however many changes come. Where an answer takes long the page waits
   five times as long: so many open boards slow down together, and leave the server room. */
const FETCH_MS = 500, AS_LONG = 5;
let due = 0, fetchedAt = 0, tookMs = 0;
function later() {
  if (due) return;
  const wait = fetchedAt + Math.max(FETCH_MS, AS_LONG * tookMs) - performance.now();
  due = setTimeout(() => { due = 0; refresh(); }, Math.max(wait, 50));
}

/* The stream tells that something changed. Without one, or where the browser has too many already,
   the page is fetched every five seconds; a hidden page holds no stream. */
const POLL_MS = 5000, SLOW_POLL_MS = 30000;
const shownOrder = $("[data-order]")?.dataset.order;
let source = null, polling = 0;

function poll(everyMs) {
  clearInterval(polling);
  polling = setInterval(() => document.hidden || refresh(), everyMs);
}
function heard(event) {
  if (shownOrder && event.data && JSON.parse(event.data).card?.order_id !== shownOrder) return;
  later();
}
function follow() {
  if (!$("[data-live]")) return;
  if (!say.stream) return poll(POLL_MS);
  source = new EventSource(say.stream);
  ["order.changed", "order.retired"].forEach((kind) => source.addEventListener(kind, heard));
  source.addEventListener("reset", later);
  source.onopen = () => live.lost && later();
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) return poll(POLL_MS);
    live.lost = true;
    show("lost", say.lost);
  };
  poll(SLOW_POLL_MS);
}
document.addEventListener("visibilitychange", () => {
  source?.close();
  if (!document.hidden) { follow(); later(); }
});

$$(".lane").forEach((lane) => {
  lane.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") held = lane; });
  lane.addEventListener("pointerleave", () => {
    held = null;
    if (!$(".fresh", lane).hidden) later();
  });
});

pauseButton?.addEventListener("click", () => {
  live.paused = !live.paused;
  pauseButton.setAttribute("aria-pressed", live.paused);
  $("span", pauseButton).textContent = live.paused ? say.resume : say.pause;
  $("use", pauseButton).setAttribute("href",
    $("use", pauseButton).getAttribute("href").replace(/#.*/, live.paused ? "#play" : "#pause"));
  if (live.paused) show("paused", say.paused);
  else { live.waiting = 0; refresh(); }
});

/* ---------------------------------------------------------------- alerts
   A form on an alert is sent without leaving the page; its answer is this page, as it is then. */
function tell(text) {
  $(".toast")?.remove();
  const toast = document.createElement("p");
  toast.className = "toast";
  toast.setAttribute("role", "status");
  body.append(toast);
  toast.textContent = text;
  setTimeout(() => toast.remove(), 4000);
}
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form.act");
  if (!form) return;
  event.preventDefault();
  try {
    const answer = await fetch(form.action,
      { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const text = await answer.text();
    if (!answer.ok) {
      const reason = new DOMParser().parseFromString(text, "text/html").title.split(" · ")[0];
      return tell(say.failed.replace("{reason}", reason));
    }
    const answers = new DOMParser().parseFromString(text, "text/html").getElementById("answers");
    if (answers) return showAnswers(answers, form);
    if (new URL(answer.url).pathname !== location.pathname) return location.assign(answer.url);
    form.closest("details")?.removeAttribute("open");
    if (!form.closest(".cards")) document.activeElement.blur();
    const lane = held;
    held = null;
    adopt(text);
    held = lane;
    if (!form.isConnected) $("#whys")?.focus({ preventScroll: true });
    tell(say.done);
  } catch {
    tell(say.failed.replace("{reason}", say.lost));
  }
});
/* What a storm's acknowledgement did to each alert, over the page; closing it leads back there. */
function showAnswers(answers, form) {
  const dialog = document.createElement("dialog"), key = form.closest(".card").dataset.key;
  dialog.setAttribute("aria-labelledby", "answers-title");
  dialog.append(answers);
  body.append(dialog);
  $("#answers-back", dialog).addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    $(`[data-key="${CSS.escape(key)}"] a`)?.focus({ preventScroll: true });
  });
  dialog.showModal();
  $("#answers-back", dialog).focus();
  held = null;
  later();
}
function act(name) {
  const alert = document.activeElement.closest(".card, .why") ?? $(".why");
  if (alert) $(`form.act.${name}`, alert)?.requestSubmit();
}

/* ---------------------------------------------------------------- search */
const find = $("#find");
let hits = null, asked = 0;
async function suggest() {
  const number = find.value.trim(), mine = ++asked;
  if (number.length < 4) return hits?.remove();
  const answer = await fetch(`/find?hits=1&q=${encodeURIComponent(number)}`);
  if (!answer.ok || mine !== asked) return;
  hits?.remove();
  hits = document.createElement("div");
  hits.className = "hits";
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  hits.append(...page.body.childNodes);
  find.form.append(hits);
}
let typing = 0;
find?.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(suggest, 150); });
find?.form.addEventListener("keydown", (event) => {
  const links = hits ? $$("a", hits) : [], at = links.indexOf(document.activeElement);
  if (event.key === "Escape") { hits?.remove(); find.focus(); }
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const next = links[at + (event.key === "ArrowDown" ? 1 : -1)] ?? find;
    next.focus();
    event.preventDefault();
  }
});
document.addEventListener("click", (event) => {
  if (hits && !find.form.contains(event.target)) hits.remove();
  const open = $("details.me[open], details.api[open], details.more-acts[open]");
  if (open && !open.contains(event.target)) open.open = false;
});

/* ---------------------------------------------------------------- keys */
let first = "";
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, textarea, select")) return;
  const pages = { b: "/", o: "/orders", a: "/alerts" };
  const isGoing = first === "g";
  first = event.key;
  if (isGoing && pages[event.key]) {
    const link = $(`.rail a[href="${pages[event.key]}"]`);
    if (link) location.href = link.href;
    return;
  }
  if (event.key === "a") act("ack");
  if (event.key === "s") act("snooze");
  if (event.key === "/" && find) { find.focus(); event.preventDefault(); }
  if (event.key === "j" || event.key === "k") {
    const links = $$(".card .line a, .card.storm a, .moves a, .rows a").filter((a) => a.offsetParent);
    const at = links.indexOf(document.activeElement);
    links[Math.min(Math.max(at + (event.key === "j" ? 1 : -1), 0), links.length - 1)]?.focus();
  }
});

/* ---------------------------------------------------------------- small things */
$$("[data-copy]").forEach((button) => button.addEventListener("click", async () => {
  await navigator.clipboard.writeText(button.dataset.copy);
  button.title = say.copied;
  button.classList.add("done");
  setTimeout(() => button.classList.remove("done"), 1200);
}));
document.addEventListener("change", ({ target: select }) => {
  if (!select.matches(".filters select")) return;
  $$("select, input", select.form).forEach((field) => { field.disabled = !field.value; });
  select.form.submit();
});
$("#theme")?.addEventListener("click", (event) => {
  event.preventDefault();
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `ordertide_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
});
if (body.classList.contains("wall")) navigator.wakeLock?.request("screen").catch(() => {});
$("details.raw") && addEventListener("hashchange", () => $(location.hash)?.scrollIntoView());
follow();
